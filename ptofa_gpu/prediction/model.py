"""`RevenueModel`: conversion and amount of every (customer, fund) pair, as a LightningModule around a method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptofa_gpu.errors import DegenerateModelError, InputError, PtofaWarning, SchemaError
from ptofa_gpu.prediction import methods
from ptofa_gpu.prediction.calibration import Calibration
from ptofa_gpu.prediction.data import Batch, ExposureModule, mix_seed
from ptofa_gpu.prediction.methods.base import LabelStatistics, PairOutput
from ptofa_gpu.prediction.metrics import RevenueMetrics, degeneracy
from ptofa_gpu.prediction.networks import PairNetwork, SeededDropout
from ptofa_gpu.prediction.schema import Schema


class RowPredictions(NamedTuple):
    """Uncalibrated predictions and outcomes of log rows, (N,) float64 or bool; amounts in currency."""

    logit: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    converted: np.ndarray
    amount: np.ndarray


class RevenueModel(pl.LightningModule):
    """Learns P(convert) and the log-normal amount given conversion from an exposure log.

    Parameters
    ----------
    schema
        Customer and fund features (a `Schema`, or its JSON as a checkpoint holds it).
    method
        "ptofa" (joint loss with a counterfactual amount) or "ziln" (zero-inflated log-normal).
    counterfactual
        For "ptofa": "density" (the paper's term with bounds; the default) or "censored" (its probability form).
    dropout
        Share of units dropped after each shared layer in training.
    lr
        Adam's learning rate. 0.002 suits batches of 512; the paper's grid starts at 0.01.
    embedding
        Size of the embedding of each categorical feature.
    hidden
        Widths of the shared layers.
    eps
        For "ptofa": the counterfactual amount, in units of the median amount; 1e-6 by default.
    seed
        Decides the initial weights and the dropout masks. The caller's random state is not touched.

    Raises
    ------
    InputError
        For a setting out of its range.
    NotAvailableError
        For a method of the paper's Table 1 that this version does not have.

    Notes
    -----
    The label scale, the base rate and the amounts' quantiles come from the data module when training starts, and lie
    in the checkpoint. Tang et al. (2025), arXiv 2503.03165, section 4.1.
    """

    def __init__(
        self,
        schema: Schema | str,
        method: str = "ptofa",
        counterfactual: str | None = None,
        dropout: float = 0.1,
        lr: float = 0.002,
        embedding: int = 24,
        hidden: Sequence[int] = (128, 64),
        eps: float | None = None,
        seed: int = 0,
    ):
        super().__init__()
        _check_settings(dropout, lr, embedding, hidden)
        self.schema = Schema.from_json(schema) if isinstance(schema, str) else schema
        self.save_hyperparameters(
            {
                "schema": self.schema.to_json(),
                "method": method,
                "counterfactual": counterfactual,
                "dropout": float(dropout),
                "lr": float(lr),
                "embedding": int(embedding),
                "hidden": [int(width) for width in hidden],
                "eps": eps,
                "seed": int(seed),
            }
        )
        self.method, self.lr, self.seed = method, float(lr), int(seed)
        options = {k: v for k, v in (("counterfactual", counterfactual), ("eps", eps)) if v is not None}
        if options and method == "ziln":
            raise InputError(f"method='ziln' has no counterfactual term: leave out {' and '.join(options)}.")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mix_seed(self.seed, 0))
            network = PairNetwork(self.schema, int(embedding), self.hparams["hidden"], float(dropout))
            self.net = methods.build(method, network, **options)
        self.calibration = Calibration()
        self.validation_metrics = RevenueMetrics()
        self.last_metrics: dict[str, float] = {}
        self.trained_on: torch.device | None = None  # Lightning takes a model back to the CPU after training
        self._verdict_at_end = True
        self.register_buffer("_loss_sums", torch.zeros(2, 2, dtype=torch.float64), persistent=False)

    _loss_sums: Tensor  # (train, validation) x (sum of row losses, rows)

    # --- the answer -------------------------------------------------------------------------------------------------

    @property
    def statistics(self) -> LabelStatistics | None:
        """Label statistics of the training rows, or None before training."""
        return self.net.statistics

    def forward(self, batch: Batch) -> PairOutput:
        """Uncalibrated output for a batch of rows, amounts in units of the label scale."""
        network = self.net.network
        customer = network.customer_part(batch["customer_categorical"], batch["customer_numeric"])
        fund = network.fund_part(batch["fund_categorical"], batch["fund_numeric"])
        return self.net.outputs(network(customer, fund))

    def require_fitted(self) -> LabelStatistics:
        """The label statistics; raises InputError if the model was never trained."""
        statistics = self.statistics
        if statistics is None:
            raise InputError(
                "This model has not been trained: it knows no currency scale. Train it (Trainer.fit, or "
                "ptofa_gpu.prediction.training.fit), or load a checkpoint with RevenueModel.load_from_checkpoint(path)."
            )
        return statistics

    def check_schema(self, other: Schema) -> None:
        """Refuse data of another schema.

        Raises
        ------
        SchemaError
            Naming every column that is missing, new, moved or encoded in another way.
        """
        problems = self.schema.differences(other)
        if problems:
            raise SchemaError("The data's schema is not the one this model was trained with.", problems)

    @torch.no_grad()
    def predict_rows(self, module: ExposureModule, split: str) -> RowPredictions:
        """Uncalibrated predictions of a split's log rows, in the log's order."""
        log_scale = math.log(self.require_fitted().scale)
        module.check_fits(self.schema)
        was_training = self.training
        self.eval()
        parts = []
        for batch in module.batches(split):
            batch = {name: values.to(self.device) for name, values in batch.items()}
            output = self(batch)
            parts.append(torch.stack([x.double() for x in (*output, batch["converted"], batch["amount"])]))
        self.train(was_training)
        if not parts:
            raise InputError(f"The log has no {split} row.")
        logit, mu, sigma, converted, amount = torch.cat(parts, dim=1).cpu().numpy()
        return RowPredictions(logit, mu + log_scale, sigma, converted.astype(bool), amount)

    # --- training ---------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Take label statistics from the data module, unless the model has them from earlier training."""
        module = getattr(self.trainer, "datamodule", None)
        if not isinstance(module, ExposureModule):
            raise InputError("A RevenueModel needs an ExposureModule: Trainer.fit(model, datamodule=data.module()).")
        if module.schema is not None:
            self.check_schema(module.schema)
        module.check_fits(self.schema)
        if stage == "fit":
            statistics = module.label_statistics  # raises where nothing can be learned, also before resuming
            if self.statistics is None:
                self.net.start(statistics)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)

    def on_train_epoch_start(self) -> None:
        """Give each epoch its own dropout masks, whether or not training was interrupted before it."""
        self.trained_on = self.device
        self._loss_sums[0] = 0.0
        for i, layer in enumerate(m for m in self.modules() if isinstance(m, SeededDropout)):
            layer.reseed(mix_seed(self.seed, 1, self.current_epoch, i))

    @property
    def train_loss(self) -> Tensor:
        """Mean loss of the training rows seen in this epoch."""
        return (self._loss_sums[0, 0] / self._loss_sums[0, 1]).float()

    def _row_loss(self, batch: Batch, output: PairOutput, which: int) -> Tensor:
        rows = self.net.row_loss(output, self.net.labels(batch["converted"], batch["amount"]))
        self._loss_sums[which, 0] += rows.detach().sum()
        self._loss_sums[which, 1] += len(rows)
        return rows.mean()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean negative log-likelihood of the batch."""
        return self._row_loss(batch, self(batch), 0)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean training loss; the only time it leaves the device."""
        self.log("train_loss", self.train_loss)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's rows."""
        self.validation_metrics.reset()
        self._loss_sums[1] = 0.0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the batch to loss and metrics."""
        output = self(batch)
        self._row_loss(batch, output, 1)
        log_revenue = logsigmoid(output.logit) + output.mu + 0.5 * output.sigma**2 + self.net.scale.log()
        self.validation_metrics.update(output.logit, log_revenue.exp(), batch["converted"], batch["amount"])

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the metrics as ``val_NAME``."""
        self.log("val_loss", (self._loss_sums[1, 0] / self._loss_sums[1, 1]).float())
        self.last_metrics = self.validation_metrics.compute()
        self.log_dict({f"val_{name}": value for name, value in self.last_metrics.items()})

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start

    def on_test_epoch_end(self) -> None:
        """Log the metrics as ``test_NAME``."""
        self.log("test_loss", (self._loss_sums[1, 0] / self._loss_sums[1, 1]).float())
        self.log_dict({f"test_{name}": value for name, value in self.validation_metrics.compute().items()})

    def on_fit_end(self) -> None:
        """Warn if the trained model is degenerate on validation rows."""
        if self._verdict_at_end and self.last_metrics:
            self.warn_if_degenerate(self.last_metrics)

    def warn_if_degenerate(self, metrics: dict[str, float]) -> None:
        """Say in words, as a `PtofaWarning`, what validation metrics show to be wrong with the model."""
        problem = degeneracy(metrics, float(self.validation_metrics.conversion_ratio.observed))
        if problem:
            warnings.warn(problem, PtofaWarning, stacklevel=2)

    def check_finite(self) -> None:
        """Raise DegenerateModelError if a weight is not finite: training diverged."""
        bad = [name for name, weights in self.named_parameters() if not bool(torch.isfinite(weights).all())]
        if bad:
            raise DegenerateModelError(
                f"The model's weights are not finite ({bad[0]} and {len(bad) - 1} more): training diverged. Lower the "
                "learning rate and train again."
            )

    # --- the face ---------------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, str]:
        """What the model is, in words: settings, size, what it was trained on, how it did."""
        statistics, method = self.statistics, self.method
        if method == "ptofa":
            method += f", counterfactual {getattr(self.net, 'counterfactual', '')}"
        of_customers, of_funds = self.schema.customer_features, self.schema.fund_features
        names = ", ".join(f.name for f in (*of_customers, *of_funds))
        about = {
            "method": method,
            "features": f"{len(of_customers)} of customers, {len(of_funds)} of funds: {names}",
            "parameters": f"{sum(p.numel() for p in self.parameters()):,}",
        }
        if statistics is None:
            return {**about, "trained": "not yet"}
        about["trained"] = f"on {statistics.rows:,} exposures, {statistics.positives:,} conversions"
        about["label scale"] = f"{statistics.scale:,.4g} {self.schema.currency} (median amount)"
        c = self.calibration
        about["calibration"] = (
            f"logit x {float(c.slope):.3f} {float(c.intercept):+.3f}, revenue x {float(c.revenue_ratio):.3f}"
            if bool(c.fitted)
            else "none"
        )
        if self.last_metrics:
            shown = ("auc", "log_loss", "conversion_ratio", "total_ratio")
            about["last validation"] = ", ".join(f"{k} {self.last_metrics[k]:.4g}" for k in shown)
        return about

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(k)}</th><td style='text-align:left'>{escape(v)}</td></tr>"
            for k, v in self.describe().items()
        )
        return f"<table><caption style='text-align:left'><b>RevenueModel</b></caption>{rows}</table>"


def _check_settings(dropout: Any, lr: Any, embedding: Any, hidden: Any) -> None:
    if not 0.0 <= dropout < 1.0:
        raise InputError(f"dropout={dropout!r}: a share from 0 to below 1 is needed.")
    if not (lr > 0.0 and math.isfinite(lr)):
        raise InputError(f"lr={lr!r}: a positive learning rate is needed.")
    if int(embedding) != embedding or embedding < 1:
        raise InputError(f"embedding={embedding!r}: a positive integer is needed.")
    if not len(hidden) or any(int(width) != width or width < 1 for width in hidden):
        raise InputError(f"hidden={hidden!r}: one or more positive layer widths are needed.")
