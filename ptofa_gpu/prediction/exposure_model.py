"""A model of the platform's policy: which fund a customer is shown, from the customer's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ptofa_gpu.prediction.networks import FeatureEncoder

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import DeviceRows, ExposureModule
    from ptofa_gpu.prediction.schema import Schema

#: The customer feature that only says what may be shown.
TOLERANCE = "tolerance"
_EPOCHS, _PATIENCE, _BATCH, _LR = 30, 2, 2048, 0.005
_FORBIDDEN = -1e9  # a finite stand-in for log 0: the log's own rows are never forbidden


class ExposureModel(nn.Module):
    """Softmax over funds from a customer's features: which fund a customer is shown.

    Parameters
    ----------
    schema
        Its customer features are read.
    n_funds
        F.
    hidden
        Width of the one hidden layer.
    without
        Names of customer features that it does not look at; ignored where no other is left.
    """

    categorical_columns: Tensor
    numeric_columns: Tensor

    def __init__(self, schema: Schema, n_funds: int, hidden: int = 64, without: Sequence[str] = ()):
        super().__init__()
        features = schema.customer_features
        read = [f for f in features if f.name not in without] or list(features)
        for kind in ("categorical", "numeric"):
            columns = [i for i, f in enumerate(f for f in features if f.kind == kind) if f in read]
            self.register_buffer(f"{kind}_columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        self.encoder = FeatureEncoder(read, embedding=8)
        self.layers = nn.Sequential(nn.Linear(self.encoder.width, hidden), nn.ReLU(), nn.Linear(hidden, n_funds))

    def scores(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """Log probabilities but for a constant of each customer, (N, F)."""
        numeric = numeric[:, self.numeric_columns].to(self.encoder.table.weight.dtype)
        return self.layers(self.encoder(categorical[:, self.categorical_columns], numeric))

    def forward(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """Log probabilities (N, F)."""
        return torch.log_softmax(self.scores(categorical, numeric), dim=1)


def train_exposure_model(
    model: ExposureModel, module: ExposureModule, seed: int, target: Tensor | None = None, allowed_only: bool = False
) -> tuple[float, float]:
    """Train on training rows until the loss on validation rows (else on training rows) stops falling.

    Parameters
    ----------
    model
        Trained in place, on the rows' device.
    module
        The log.
    seed
        Of the order of rows.
    target
        The model's column for each of the module's funds, (F,) int64; in order by default.
    allowed_only
        Choose among the funds that the customer may see: what is learned is the platform's preference, not the rule.

    Returns
    -------
    tuple of float
        Mean -log p(shown fund) on the rows it is judged by: of the model, and of the funds' shares alone.
    """
    from ptofa_gpu.prediction.data import SPLITS, mix_seed

    rows, log = module.rows(), module.log
    loss_of = _Loss(model, module, rows, target, allowed_only)
    generator = torch.Generator().manual_seed(mix_seed(seed, 3))
    train = torch.as_tensor(np.flatnonzero(log.split == SPLITS["train"]))
    held_out = np.flatnonzero(log.split == SPLITS["validation"])
    judged = torch.as_tensor(held_out).to(rows.device) if held_out.size else train.to(rows.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=_LR)
    best, state, waited = float("inf"), {k: v.clone() for k, v in model.state_dict().items()}, 0
    with torch.enable_grad():
        for _ in range(_EPOCHS):
            order = train[torch.randperm(len(train), generator=generator)].to(rows.device)
            for index in order.split(_BATCH):
                loss = loss_of(index)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                value = float(sum(loss_of(index) * len(index) for index in judged.split(1 << 15)) / len(judged))
            if value < best - 1e-5:
                best, state, waited = value, {k: v.clone() for k, v in model.state_dict().items()}, 0
            elif (waited := waited + 1) > _PATIENCE:
                break
    model.load_state_dict(state)
    share = torch.bincount(rows.fund[train.to(rows.device)], minlength=len(module.funds)).float() + 0.5
    return best, float(-(share / share.sum()).log()[rows.fund[judged]].mean())


class _Loss:
    """Mean -log p(shown fund) of some log rows."""

    def __init__(
        self, model: ExposureModel, module: ExposureModule, rows: DeviceRows, target: Tensor | None, allowed_only: bool
    ):
        self.model, self.rows = model, rows
        self.target = None if target is None else target.to(rows.device)
        self.tolerance = self.risk = None
        if allowed_only and module.tolerance is not None and module.risk is not None:
            self.tolerance = torch.tensor(np.asarray(module.tolerance), device=rows.device)
            self.risk = torch.tensor(np.asarray(module.risk), device=rows.device)

    def __call__(self, index: Tensor) -> Tensor:
        rows, customer = self.rows, self.rows.customer[index]
        scores = self.model.scores(rows.customer_categorical[customer], rows.customer_numeric[customer])
        if self.target is not None:
            scores = scores[:, self.target]
        shown = rows.fund[index]
        if self.tolerance is not None:
            assert self.risk is not None
            allowed = self.tolerance[customer, None] >= self.risk
            scores = scores.masked_fill(~allowed.scatter(1, shown[:, None], True), _FORBIDDEN)
        return cross_entropy(scores, shown)
