"""The rows of a log on which predictions are judged: those that training has not seen, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptofa_gpu._arguments import real_array
from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation._kinds import exposure_data
from ptofa_gpu.evaluation.calibration import Calibration, calibrate

if TYPE_CHECKING:
    from ptofa_gpu.datasets.base import ExposureData

#: the splits that predictions may be judged on, best first, and their numbers in a log's arrays
_JUDGES: tuple[tuple[Literal["test", "validation"], int], ...] = (("test", 2), ("validation", 1))
_BINS = 10


@dataclass(frozen=True)
class HeldOut:
    """Rows kept from training. It is false where there are none.

    Attributes
    ----------
    split : {"test", "validation", ""}
        Which rows they are; empty where there are none.
    rows : (n,) int64
        Their places in the log.
    customer, fund : (n,) int64
        Rows and columns of E.
    converted : (n,) bool
    amount : (n,) float32
        Currency.
    """

    split: Literal["test", "validation", ""]
    rows: NDArray[np.int64]
    customer: NDArray[np.int64]
    fund: NDArray[np.int64]
    converted: NDArray[np.bool_]
    amount: NDArray[np.float32]

    def __len__(self) -> int:
        return self.rows.size

    @property
    def note(self) -> str:
        """What these rows are and what may be said of them, in a sentence."""
        sold = f"{int(self.converted.sum()):,} of them converted"
        if self.split == "test":
            return f"{len(self):,} test rows, which training has not seen; {sold}."
        if self.split == "validation":
            return (
                f"The log has no test rows. These are its {len(self):,} validation rows, by which the epoch was chosen "
                f"and predictions were calibrated ({sold}): they flatter the model."
            )
        return (
            "All rows of the log are training rows, so nothing can be said of how right predictions are. Keep some: "
            "write 'test' into the log's column split, or leave the column out, and customers are split by chance."
        )

    def predicted(self, revenue: Any) -> NDArray[Any]:
        """Return the (n,) predictions for these rows, from those for all pairs.

        Parameters
        ----------
        revenue : (U, F) array
            On any device, rows and columns in the order of the data's customers and funds.

        Raises
        ------
        InputError
            Fewer rows or columns than these rows speak of.
        """
        host = real_array("revenue", revenue)
        least = (int(self.customer.max()) + 1, int(self.fund.max()) + 1) if len(self) else (0, 0)
        if host.ndim != 2 or host.shape[0] < least[0] or host.shape[1] < least[1]:
            raise InputError(
                f"revenue has shape {host.shape}; the {self.split} rows need at least {least[0]:,} customers and "
                f"{least[1]} funds. Give the revenue of all pairs, as expected_revenue returns it."
            )
        return host[self.customer, self.fund]

    def calibrate(self, revenue: Any, *, draws: int = 500, level: float = 0.95, seed: int = 0) -> Calibration:
        """Compare predicted revenue with what was earned on these rows, in tenths, or in fewer parts if they are few.

        Parameters
        ----------
        revenue : (U, F) array
            See :meth:`predicted`.
        draws, level, seed
            See :func:`ptofa_gpu.evaluation.calibrate`.

        Raises
        ------
        InputError
            There are no rows, or `revenue` is not of the data's customers and funds.
        """
        if not len(self):
            raise InputError(self.note)
        bins = min(_BINS, len(self))
        return calibrate(self.predicted(revenue), self.amount, bins=bins, draws=draws, level=level, seed=seed)


def held_out(data: ExposureData) -> HeldOut:
    """Return the rows that predictions can be judged on: the test rows, or the validation rows where there are none.

    A log whose rows all train has no such rows: what is returned is then empty, and its ``note`` says what to do.
    """
    log = exposure_data(data).arrays
    split: Literal["test", "validation", ""] = ""
    rows = np.zeros(0, dtype=np.int64)
    for name, number in _JUDGES:
        found = np.flatnonzero(log.split == number)
        if found.size:
            split, rows = name, found
            break
    return HeldOut(split, rows, log.customer[rows], log.fund[rows], log.converted[rows], log.amount[rows])
