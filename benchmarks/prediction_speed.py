"""Training and prediction speed, each against the plain way to do the same, in one run.

    python benchmarks/prediction_speed.py train --rows 100000 --repeat 5
    python benchmarks/prediction_speed.py revenue --customers 200000 --repeat 5 --debias auto

`train`: seconds of a Lightning epoch over seconds of the same network, loss and optimizer in a bare PyTorch loop over
tensors that were cut into batches beforehand. `revenue`: seconds of a forward pass over all pairs, in blocks of the
size that suits it best, over seconds of `expected_revenue`, both of a trained model. The ways take turns; medians are
reported, and appended to results/prediction_speed.csv.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

import ptofa_gpu as ptofa
from ptofa_gpu.prediction.checkpoints import History
from ptofa_gpu.prediction.training import _quiet_lightning, _threads_for

RESULTS = Path(__file__).parent / "results" / "prediction_speed.csv"
FIELDS = ("date", "device", "cores", "torch", "what", "method", "rows", "batch", "repeat", "ours", "plain", "ratio")


class Clock(pl.Callback):
    """Seconds of each training epoch, validation left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer, module) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, module) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self.start)


def bare_epoch(model, batches, optimizer) -> float:
    """One epoch of the plain loop."""
    model.train()
    start = time.perf_counter()
    for batch in batches:
        loss = model.row_loss(batch).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def train(args: argparse.Namespace) -> dict:
    """Epochs of both kinds in turn, on the same rows."""
    data = ptofa.datasets.lct("A", customers=args.rows, seed=0)
    module = data.module(batch_size=args.batch, device=args.device)
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder, _quiet_lightning():
        device = torch.device(args.device)
        with _threads_for(module, device):
            other = ptofa.RevenueModel(data.schema, method=args.method, debias=args.debias)
            for _ in range(args.repeat):
                model = ptofa.RevenueModel(data.schema, method=args.method, debias=args.debias)
                clock = Clock()
                trainer = pl.Trainer(
                    accelerator="cpu" if args.device == "cpu" else "gpu", devices=1, max_epochs=2, logger=False,
                    callbacks=[clock, History()], enable_checkpointing=False, enable_progress_bar=False,
                    enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0, default_root_dir=folder,
                )  # fmt: skip
                trainer.fit(model, datamodule=module)
                ours.append(clock.seconds[-1])
                if not plain:
                    other.net.start(module.label_statistics)
                    module.trainer = None
                    batches = [other.labelled(b) for b in module.batches("train", args.batch, shuffle=True)]
                    optimizer = torch.optim.Adam(other.parameters(), lr=other.lr, fused=True)
                    bare_epoch(other, batches, optimizer)
                plain.append(bare_epoch(other, batches, optimizer))
    rows = module.n_rows("train")
    return {"rows": rows, "ours": statistics.median(ours), "plain": statistics.median(plain), "kind": "slower"}


def naive_revenue(model, customers, funds, block: int) -> np.ndarray:
    """Expected revenue by the forward pass over every pair, features repeated, in blocks of so many customers."""
    n, f = len(customers), len(funds)
    sides = {
        "customer_categorical": torch.as_tensor(customers.categorical),
        "customer_numeric": torch.as_tensor(customers.numeric),
        "fund_categorical": torch.as_tensor(funds.categorical),
        "fund_numeric": torch.as_tensor(funds.numeric),
    }
    out = np.empty((n, f), np.float32)
    scale = float(model.statistics.scale)
    model.eval()
    with torch.no_grad():
        for lo in range(0, n, block):
            hi = min(lo + block, n)
            c, g = torch.arange(lo, hi).repeat_interleave(f), torch.arange(f).repeat(hi - lo)
            batch = {k: v[c if k.startswith("customer") else g] for k, v in sides.items()}
            output = model._finished_rows(model(batch), batch)
            revenue = torch.sigmoid(output.logit) * torch.exp(output.mu + 0.5 * output.sigma**2) * scale
            out[lo:hi] = revenue.reshape(hi - lo, f).numpy()
    return out


def revenue(args: argparse.Namespace) -> dict:
    """E of all pairs both ways in turn, and that they agree."""
    data = ptofa.datasets.lct("A", customers=args.customers, seed=0)
    model = ptofa.RevenueModel(data.schema, method=args.method, debias=args.debias)
    with tempfile.TemporaryDirectory() as folder:
        module = data.module(batch_size=4096, device="cpu")
        ptofa.fit(model, module, max_epochs=1, directory=folder, logger=None, progress=None)
    customers, funds = data.encoded_customers, data.encoded_funds
    ours: list[float] = []
    plain: dict[int, list[float]] = {block: [] for block in args.blocks}
    ptofa.expected_revenue(model, customers, funds, device="cpu")
    for _ in range(args.repeat):
        start = time.perf_counter()
        fast = ptofa.expected_revenue(model, customers, funds, device="cpu")
        ours.append(time.perf_counter() - start)
        for block, seconds in plain.items():
            start = time.perf_counter()
            slow = naive_revenue(model, customers, funds, block)
            seconds.append(time.perf_counter() - start)
            worst = float(np.abs(fast / slow - 1).max())
            assert worst < 1e-4, f"they differ by {worst:.2e}"
    medians = {block: statistics.median(seconds) for block, seconds in plain.items()}
    for block, seconds in medians.items():
        print(f"plain, {block} customers a block: {seconds:.3f} s")
    best = min(medians.values())
    return {"rows": fast.size, "ours": statistics.median(ours), "plain": best, "kind": "faster"}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["train", "revenue"])
    parser.add_argument("--method", default="ptofa")
    parser.add_argument("--debias", default=None, help="auto is the method's default")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--blocks", type=int, nargs="+", default=[128, 256, 512, 1024, 8192], help="of the plain way")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    found = {"train": train, "revenue": revenue}[args.what](args)
    ratio = found["ours"] / found["plain"] if found["kind"] == "slower" else found["plain"] / found["ours"]
    print(
        f"{args.what}: ours {found['ours']:.3f} s, plain {found['plain']:.3f} s, {ratio:.2f} times as "
        f"{'long' if found['kind'] == 'slower' else 'fast'}; {found['rows'] / found['ours']:,.0f} rows/s"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="") as f:
        out = csv.DictWriter(f, FIELDS)
        if fresh:
            out.writeheader()
        out.writerow(
            {
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "device": _processor() if args.device == "cpu" else torch.cuda.get_device_name(),
                "cores": len(os.sched_getaffinity(0)),
                "torch": torch.__version__,
                "what": args.what,
                "method": args.method,
                "rows": found["rows"],
                "batch": args.batch if args.what == "train" else "",
                "repeat": args.repeat,
                "ours": f"{found['ours']:.4f}",
                "plain": f"{found['plain']:.4f}",
                "ratio": f"{ratio:.3f}",
            }
        )


def _processor() -> str:
    names = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in names if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
