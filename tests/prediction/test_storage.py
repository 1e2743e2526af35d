import pickle

import pytest
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.errors import InputError, SchemaError
from ptofa_gpu.prediction.schema import Schema


def test_a_saved_model_comes_back_whole(trained, world, tmp_path):
    model, result = trained
    path = model.save(tmp_path / "new folder" / "model.pt")
    for source in (path, result.best_path):
        loaded = ptofa.RevenueModel.load(source, world.schema)
        assert loaded.statistics == model.statistics
        assert loaded.exposure == model.exposure
        assert dict(loaded.hparams) == dict(model.hparams)
        theirs = ptofa.expected_revenue(loaded, world.customers, world.funds)
        assert (theirs == ptofa.expected_revenue(model, world.customers, world.funds)).all()


def test_another_schema_is_refused_naming_the_columns(trained, world, tmp_path):
    path = trained[0].save(tmp_path / "model.pt")
    other = Schema.infer(world.customers.rename(columns={"region": "district"}).drop(columns="wealth"), world.funds)
    with pytest.raises(SchemaError) as caught:
        ptofa.RevenueModel.load(path, other)
    assert all(
        name in str(caught.value) for name in ("'region' is missing", "'wealth' is missing", "'district' is new")
    )


def test_files_that_could_run_code_are_not_read(world, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "model.pt"
    torch.save({"hyper_parameters": {}, "state_dict": Bomb()}, path)
    with pytest.raises(InputError, match="could run code"):
        ptofa.RevenueModel.load(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        ptofa.RevenueModel.load(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_model_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="There is no model"):
        ptofa.RevenueModel.load(tmp_path / "none.pt")
    torch.save({"a": 1}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="is not a model"):
        ptofa.RevenueModel.load(tmp_path / "other.pt")
    whole = trained[0].save(tmp_path / "model.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        ptofa.RevenueModel.load(tmp_path / "half.pt")
