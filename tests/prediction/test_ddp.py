"""Two processes over gloo train the model that one trains: in scripts, as DistributedDataParallel needs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
from tests.prediction.conftest import World
from ptofa_gpu.prediction.training import fit

if __name__ == "__main__":
    import torch
    torch.set_num_threads(1)
    devices, folder, debias = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    world = World(rows=3_001)
    model, module = world.model(dropout=0.0, debias=None if debias == "none" else debias), world.module(batch_size=128)
    result = fit(model, module, max_epochs=2, directory=folder, progress=None, logger=None, devices=devices)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
        c = result.calibration
        with open(folder + "/result.json", "w") as f:
            json.dump({"history": rows, "calibration": list(c), "world": model.trainer.world_size}, f)
"""


def train(folder: Path, devices: int, debias: str) -> dict:
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(devices), str(folder), debias]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("debias", ["none", "ipw"])
def test_two_processes_train_what_one_trains(tmp_path, debias):
    one, two = (train(tmp_path / str(n), n, debias) for n in (1, 2))
    assert (one["world"], two["world"]) == (1, 2)
    for a, b in zip(one["history"], two["history"], strict=True):
        assert set(a) == set(b)
        for name in a:
            # Adam divides gradients by their size, so those of the size of rounding differ; ranks of near ties follow
            tolerance = {"abs": 1e-3} if name == "val_auc" else {"rel": 1e-3, "abs": 2e-5}
            assert b[name] == pytest.approx(a[name], **tolerance), name
    assert two["calibration"] == pytest.approx(one["calibration"], rel=1e-3)
