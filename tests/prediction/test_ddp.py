"""Two processes over gloo train the model that one trains: in scripts, as DistributedDataParallel needs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import torch
from tests.prediction.conftest import World
from ptofa_gpu.prediction.data import ExposureModule
from ptofa_gpu.prediction.training import fit

class Double(ExposureModule):
    # In float32 a pre-activation within rounding of 0 may switch a unit on in one run and off in the other, and Adam
    # makes steps of the size of lr from gradients of the size of rounding; in float64 neither is likely.
    def weigh(self, weight):
        super().weigh(weight)
        rows = self.rows()
        for name in ("amount", "weight", "customer_numeric", "fund_numeric"):
            if getattr(rows, name) is not None:
                setattr(rows, name, getattr(rows, name).double())

if __name__ == "__main__":
    torch.set_num_threads(1)
    devices, folder, debias = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    world = World(rows=3_001)
    model = world.model(dropout=0.0, debias=None if debias == "none" else debias).double()
    module = world.module(batch_size=128)
    module.__class__ = Double
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
@pytest.mark.parametrize("debias", ["none", "ipw", "adjust"])
def test_two_processes_train_what_one_trains(tmp_path, debias):
    one, two = (train(tmp_path / str(n), n, debias) for n in (1, 2))
    assert (one["world"], two["world"]) == (1, 2)
    for a, b in zip(one["history"], two["history"], strict=True):
        assert set(a) == set(b)
        for name in a:
            assert b[name] == pytest.approx(a[name], rel=1e-6, abs=1e-9), name  # metrics are kept in float32
    assert two["calibration"] == pytest.approx(one["calibration"], rel=1e-6)
