"""Tables for readers: small data frames, and how training went."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import instance, text_of
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._table import html_table
from ptofa_gpu.reporting.style import short_number

if TYPE_CHECKING:
    from ptofa_gpu.prediction.training import FitResult

_COLUMNS = {
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_auc": "validation AUC",
    "val_conversion_ratio": "conversions, predicted / seen",
    "val_total_ratio": "revenue, predicted / earned",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Table:
    """A small data frame as a reader wants it: no row numbers, four digits, words to the left.

    Parameters
    ----------
    frame : pandas.DataFrame
    caption : str
        One sentence above it.
    """

    frame: Any
    caption: str = ""

    def to_frame(self) -> Any:
        """Return the frame, with all its digits."""
        return self.frame

    def _repr_html_(self) -> str:
        _require_frame(self.frame)
        columns, words = {}, []
        for name, values in self.frame.items():
            kind = values.dtype.kind
            if kind in "iu":
                columns[str(name)] = [f"{v:,}" for v in values]
            elif kind == "f":
                columns[str(name)] = ["—" if math.isnan(v) else short_number(v) for v in values]
            else:
                words.append(str(name))
                columns[str(name)] = [str(v) for v in values]
        return html_table(columns, caption=text_of("caption", self.caption), text=words)


def _require_frame(frame: Any) -> None:
    import pandas as pd

    instance("frame", frame, pd.DataFrame)
    if not frame.columns.is_unique:
        raise InputError("frame has two columns of one name; give each its own")


@dataclass(frozen=True)
class TrainingTable:
    """One row an epoch, numbered from 1 as in the figure, with the epoch whose weights the model has marked.

    Parameters
    ----------
    training : FitResult
        What `fit` returned. Its ratios are those of validation rows before calibration; 1 is right in total.
    """

    training: FitResult

    @property
    def kept(self) -> int:
        """The epoch whose weights the model has, counted from 1."""
        return self.training.best_epoch + 1

    def curves(self, *names: str) -> dict[str, tuple[list[float], list[float]]]:
        """Return epochs and values of the columns `names` that the history has (without validation rows, few)."""
        rows, found = _fit_result(self.training).history, {}
        for name in names:
            values = [row.get(name, math.nan) for row in rows]
            if any(map(math.isfinite, values)):
                found[_COLUMNS[name]] = ([row["epoch"] + 1 for row in rows], values)
        return found

    def to_frame(self) -> Any:
        """Return the history with epochs from 1, as a pandas data frame."""
        import pandas as pd

        frame = pd.DataFrame(_fit_result(self.training).history)
        frame["epoch"] = frame["epoch"].astype(int) + 1
        return frame.assign(kept=frame["epoch"] == self.kept)

    def _repr_html_(self) -> str:
        rows = _fit_result(self.training).history
        columns = {"epoch": [f"{row['epoch'] + 1:.0f}" for row in rows]}
        for name, words in _COLUMNS.items():
            values = [row.get(name, math.nan) for row in rows]
            columns[words] = ["—" if math.isnan(v) else f"{v:.4g}" for v in values]
        columns["kept"] = ["✓" if row["epoch"] == self.training.best_epoch else "" for row in rows]
        loss = "validation" if any("val_loss" in row for row in rows) else "training"
        return html_table(
            columns, caption=f"The epoch of lowest {loss} loss is kept. Ratios before calibration; 1 is right in total."
        )


def _fit_result(value: Any) -> FitResult:
    from ptofa_gpu.prediction.training import FitResult

    return instance("training", value, FitResult, "from fit")
