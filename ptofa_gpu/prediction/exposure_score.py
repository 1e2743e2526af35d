r"""The exposure score of a pair: how much more the platform favours this customer for this fund than others.

A platform that shows funds to likely buyers tells by every exposure, converted or not, whom it takes for one. A log
has a hundred exposures for each conversion, so this preference is learned far better than the conversions themselves.
It is also what biases the log: given the score, who was shown a fund no longer depends on the features (Rosenbaum &
Rubin, 1983, call it a balancing score), so a model that lets outcomes depend on it speaks for pairs not shown too.

The score is the centred logit of a choice among the funds that a customer *may* see, learned without looking at the
customer's risk tolerance. The tolerance decides what may be shown; what is learned is what is preferred among that,
from features that customers on both sides of the limit share. Pairs that are forbidden, and so were never shown, get
their score from them. This assumes that of two customers alike in all other features the bolder one does not like a
fund better for being allowed it; the log cannot tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ptofa_gpu.prediction.exposure_model import TOLERANCE, ExposureModel, train_exposure_model

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import ExposureModule
    from ptofa_gpu.prediction.schema import Schema

_ROWS = 1 << 16
# The share of logged rows beyond each end of the range in which scores are kept.
_TAIL = 0.001


class ExposureScore(nn.Module):
    """The score of customers and funds, without unit; 0 on average over a customer's funds and a fund's customers.

    Parameters
    ----------
    schema
        The customer's features, and the funds by their ids.
    """

    shown: Tensor
    fund_mean: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, schema: Schema):
        super().__init__()
        n = schema.fund_features[0].cardinality
        self.choice = ExposureModel(schema, n, without=(TOLERANCE,)).requires_grad_(False)
        self.register_buffer("shown", torch.zeros(n, dtype=torch.bool))
        self.register_buffer("fund_mean", torch.zeros(n))
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """Scores of customers and all fund codes, (N, codes); 0 for a fund that training did not show."""
        score = self._centred(categorical, numeric) - self.fund_mean
        return torch.where(self.shown, score.clamp(self.low, self.high), torch.zeros_like(score))

    def _centred(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        score = self.choice.scores(categorical, numeric)
        share = self.shown / self.shown.sum().clamp(min=1)
        return score - (score * share).sum(dim=1, keepdim=True)

    def learn(self, module: ExposureModule, seed: int) -> None:
        """Learn the preference from the module's training rows, on the rows' device."""
        from ptofa_gpu.prediction.data import SPLITS

        rows = module.rows()
        self.to(rows.device)
        codes = rows.fund_categorical[:, 0].long()
        train = module.log.split == SPLITS["train"]
        exposed = np.bincount(module.log.fund[train], minlength=len(module.funds)) > 0
        self.choice.requires_grad_(True)
        try:
            train_exposure_model(self.choice, module, seed, target=codes, allowed_only=True)
        finally:
            self.choice.requires_grad_(False)
        self.shown.zero_()
        self.shown[codes[torch.as_tensor(exposed, device=codes.device)]] = True
        self.shown[0] = False  # funds that the schema does not know share this code
        self._centre(module, codes, train)

    @torch.no_grad()
    def _centre(self, module: ExposureModule, codes: Tensor, train: np.ndarray) -> None:
        rows = module.rows()
        total = torch.zeros(len(self.shown), dtype=torch.float64, device=rows.device)
        of_pairs = []
        shown_to = torch.as_tensor(np.flatnonzero(train)).to(rows.device)
        for categorical, numeric in zip(
            rows.customer_categorical.split(_ROWS), rows.customer_numeric.split(_ROWS), strict=True
        ):
            total += self._centred(categorical, numeric).sum(dim=0, dtype=torch.float64)
        self.fund_mean.copy_(total / len(rows.customer_categorical))
        for index in shown_to.split(_ROWS):
            customer = rows.customer[index]
            score = self._centred(rows.customer_categorical[customer], rows.customer_numeric[customer])
            of_pairs.append((score - self.fund_mean).gather(1, codes[rows.fund[index], None]).squeeze(1))
        low, high = np.quantile(torch.cat(of_pairs).cpu().numpy(), [_TAIL, 1.0 - _TAIL])
        self.low.fill_(float(low))
        self.high.fill_(float(high))
