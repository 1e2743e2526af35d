"""The three campaigns of the paper's Table 2, simulated in a world whose truth is known.

| campaign | baseline | against it |
|:---|:---|:---|
| P1 | ESMM + manual | ESMM + heuristic |
| P2 | ESMM + heuristic | PTOFA + heuristic |
| P3 | ESMM + manual | PTOFA + heuristic, PTOFA + optimal |

The last arm is not the paper's: it shows what the certified optimum adds to the heuristic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptofa_gpu._arguments import listed, seed_of
from ptofa_gpu.evaluation.ab_test import ABTest, Arm, ab_test

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.datasets.truth import Truth

#: campaign to arms, the baseline first; an arm is a model and an allocator
CAMPAIGNS: dict[str, tuple[tuple[str, str], ...]] = {
    "P1": (("esmm", "manual"), ("esmm", "heuristic")),
    "P2": (("esmm", "heuristic"), ("ptofa", "heuristic")),
    "P3": (("esmm", "manual"), ("ptofa", "heuristic"), ("ptofa", "optimal")),
}


@dataclass(frozen=True)
class Campaigns:
    """Finished campaigns, in their order."""

    tests: tuple[ABTest, ...]

    def words(self) -> list[str]:
        """Say for every lift of every campaign what the test shows, and what it could have shown."""
        return [line for test in self.tests for line in test.words()]

    def to_frame(self) -> Any:
        """Return one row an arm of each campaign, as a pandas data frame."""
        import pandas as pd

        return pd.concat([test.to_frame() for test in self.tests], ignore_index=True)

    def _repr_html_(self) -> str:
        return "".join(test._repr_html_() for test in self.tests)


def model_campaigns(
    problem: AllocationProblem,
    truth: Truth,
    esmm: Any,
    ptofa: Any,
    *,
    priority: Sequence[int] | None = None,
    draws: int = 1000,
    device: str = "auto",
    seed: int = 0,
) -> Campaigns:
    """Run P1, P2 and P3.

    Parameters
    ----------
    problem : AllocationProblem
        All customers and quotas; each campaign divides all of them by a lot of its own.
    truth : Truth
        What customers really do.
    esmm, ptofa : (U, F) float
        Expected revenue by the two models.
    priority : sequence of int, optional
        In which order manual work fills the funds; by default its own.
    draws, seed
        See :func:`ab_test`.

    Raises
    ------
    InputError
        See :func:`ab_test`.
    """
    revenue, seed = {"esmm": esmm, "ptofa": ptofa}, seed_of(seed)
    order = None if priority is None else listed("priority", priority, "funds' indices")
    options = {"manual": {"priority": order}} if order is not None else {}

    def arm(model: str, method: str) -> Arm:
        return Arm(revenue[model], method, options.get(method))

    return Campaigns(
        tuple(
            ab_test(
                problem,
                truth,
                {f"{model.upper()} + {method}": arm(model, method) for model, method in arms},
                name=name,
                draws=draws,
                device=device,
                seed=seed + i,
            )
            for i, (name, arms) in enumerate(CAMPAIGNS.items(), 1)
        )
    )
