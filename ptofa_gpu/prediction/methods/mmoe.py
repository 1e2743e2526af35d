"""MMoE: experts shared by both tasks, mixed by a gate of each task's own (Ma et al., 2018, KDD)."""

from __future__ import annotations

from torch import Tensor

from ptofa_gpu.prediction.experts import ExpertNetwork
from ptofa_gpu.prediction.methods.shared_bottom import SharedBottom


class Mmoe(SharedBottom):
    """As `SharedBottom`, but each tower reads a mixture of experts of its own.

    Parameters
    ----------
    network
        The experts, with one gate for conversion and one for revenue.
    label
        "raw" or "log1p", as for `SharedBottom`.
    """

    network_class = ExpertNetwork

    def towers(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Conversion logit and log revenue, from representations (..., 2, width)."""
        return self.conversion_head(hidden[..., 0, :]), self.revenue_head(hidden[..., 1, :])
