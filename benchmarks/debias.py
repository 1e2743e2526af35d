"""Debiasing on synthetic worlds with known truth; medians are printed, rows added to results.

python benchmarks/debias.py --customers 50000 --seeds 5 --variants none ipw dr adjust
"""

from __future__ import annotations

import argparse
import csv
import datetime
from dataclasses import asdict, fields
from pathlib import Path

from ptofa_gpu.datasets import lct
from ptofa_gpu.evaluation.debias import DebiasRow, compare_debias, medians

RESULTS = Path(__file__).parent / "results" / "debias-by-features.csv"
SETTINGS = ("date", "world", "customers", "exposures", "lr", "dropout", "max_epochs", "drift")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--world", default="A")
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--exposures", type=int, default=1, help="exposures a customer in the first week")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--drift", type=float, default=0.1, help="how much the later week, the truth's, differs")
    parser.add_argument("--variants", nargs="+", default=["none", "ipw", "dr", "adjust"])
    parser.add_argument("--clip", type=float, default=10.0, help="largest weight before normalising")
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    fresh = not RESULTS.exists()
    setting = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "world": args.world,
        "customers": args.customers,
        "exposures": args.exposures,
        "lr": args.lr,
        "dropout": args.dropout,
        "max_epochs": args.epochs,
        "drift": args.drift,
    }
    with RESULTS.open("a", newline="") as f:
        out = csv.DictWriter(f, [*SETTINGS, *(field.name for field in fields(DebiasRow))])
        if fresh:
            out.writeheader()

        def write(row: DebiasRow) -> None:
            numbers = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            out.writerow(setting | numbers | {"debias": row.debias or "none"})
            f.flush()
            print(numbers)

        rows = compare_debias(
            lambda seed: lct(args.world, args.customers, seed, exposures=args.exposures, drift=args.drift),
            range(args.first_seed, args.first_seed + args.seeds),
            [None if v == "none" else v for v in args.variants],
            max_epochs=args.epochs,
            progress=write,
            lr=args.lr,
            dropout=args.dropout,
            clip=args.clip,
        )
    for way, numbers in medians(rows).items():
        print(way or "none", {k: round(v, 4) for k, v in numbers.items()})


if __name__ == "__main__":
    main()
