r"""A doubly robust target: what a first model believes of every pair, corrected where the log knows better.

For a customer u who was shown fund f with outcome Y, and a fund g drawn at random, the row's loss is
:math:`\hat\ell(u,g) + w\,(\ell(u,f;Y) - \hat\ell(u,f))`, where :math:`\hat\ell` is the mean loss under the belief and w
the inverse-propensity weight. Its mean over the log is the mean loss over all pairs if either the belief or the
propensities are right (Robins, Rotnitzky & Zhao, 1994; for recommendation Wang et al., 2019, ICML).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptofa_gpu._files import scratch_folder
from ptofa_gpu.prediction.methods.base import PairOutput

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel

_EPOCHS, _PATIENCE, _ROWS = 15, 3, 1 << 13


class Belief:
    """What a first model says of all pairs, on the device.

    Parameters
    ----------
    table
        Logit, mu and sigma of each pair, (U, F, 3).
    fund_categorical, fund_numeric
        The funds' encoded features.
    """

    def __init__(self, table: Tensor, fund_categorical: Tensor, fund_numeric: Tensor):
        self.table, self.fund_categorical, self.fund_numeric = table, fund_categorical, fund_numeric

    def of(self, customer: Tensor, fund: Tensor) -> Tensor:
        """Logit, mu and sigma of these pairs, (N, 3)."""
        return self.table[customer, fund]

    def draw(self, customer: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """One random fund for each customer: its features, and the belief about the pair."""
        fund = torch.randint(self.table.shape[1], customer.shape, generator=generator, device=customer.device)
        return {
            "other_categorical": self.fund_categorical[fund],
            "other_numeric": self.fund_numeric[fund],
            "other_belief": self.of(customer, fund),
        }


def as_output(columns: Tensor) -> PairOutput:
    """The (N, 3) tensor of a belief as a model's answer."""
    return PairOutput(*columns.unbind(-1))


def learn_belief(model: RevenueModel, module: ExposureModule) -> Belief:
    """Train the same model without weights on the same log, and keep what it says of every pair."""
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.training import fit

    first = RevenueModel(**{**model.hparams, "debias": None})
    log_only = ExposureModule(
        module.log, module.customers, module.funds, module.batch_size, module.device, module.seed, module.schema
    )
    with scratch_folder() as folder:
        fit(
            first,
            log_only,
            max_epochs=_EPOCHS,
            patience=_PATIENCE,
            directory=folder,
            logger=None,
            progress=None,
            calibration=False,
        )
    rows, network = module.rows(), first.net.network
    first.to(rows.device).eval()
    with torch.no_grad():
        fund_part = network.fund_part(rows.fund_categorical, rows.fund_numeric)
        parts = []
        for categorical, numeric in zip(
            rows.customer_categorical.split(_ROWS), rows.customer_numeric.split(_ROWS), strict=True
        ):
            output = first.net.outputs(network(network.customer_part(categorical, numeric)[:, None], fund_part[None]))
            parts.append(torch.stack(output, dim=-1))
    return Belief(torch.cat(parts), rows.fund_categorical, rows.fund_numeric)
