"""`RevenueModel`: conversion and amount of every (customer, fund) pair, as a LightningModule around a method."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path
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
from ptofa_gpu.prediction.degeneracy import degeneracy
from ptofa_gpu.prediction.doubly_robust import Belief, as_output, learn_belief
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput
from ptofa_gpu.prediction.metrics import RevenueMetrics
from ptofa_gpu.prediction.networks import SeededDropout
from ptofa_gpu.prediction.propensity import Exposure, describe_funds, weigh_exposures
from ptofa_gpu.prediction.schema import Schema
from ptofa_gpu.prediction.steps import BlockSteps
from ptofa_gpu.prediction.storage import read_model, save_model

DEBIAS = ("ipw", "dr")
# What "auto" means; the other methods are baselines, trained as the literature trains them.
_DEFAULT_DEBIAS = {"ptofa": "ipw"}


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
        "ptofa" (joint loss with a counterfactual amount), "ziln" (zero-inflated log-normal), "mtl_mse" (conversion and
        squared error of the amount), "shared_bottom", "mmoe" (conversion and revenue, by towers or experts), "dnn_c",
        "esmm" (conversion alone; E is P_c times the mean amount) or "dnn_r" (revenue alone; no P_c).
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
    label
        For "shared_bottom" and "mmoe": "raw" (the default) or "log1p", the revenue that is regressed.
    debias
        "ipw" weighs rows by inverse exposure probabilities, so that training is about all pairs and not about those
        that a platform chose to show; "dr" adds what a first, unweighted model believes of pairs that were not shown
        (twice the training); None takes the log as it is, as the paper does. "auto": "ipw" for "ptofa", else None.
    clip
        Largest weight before normalising, at least 1. Larger is less biased and noisier.
    seed
        Decides the initial weights, the dropout masks and the exposure model. The caller's random state is not touched.

    Raises
    ------
    InputError
        For a setting out of its range, or one that the method does not have.

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
        label: str | None = None,
        debias: str | None = "auto",
        clip: float = 10.0,
        seed: int = 0,
    ):
        super().__init__()
        _check_settings(dropout, lr, embedding, hidden, debias, clip)
        debias = _DEFAULT_DEBIAS.get(method) if debias == "auto" else debias
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
                "label": label,
                "debias": debias,
                "clip": float(clip),
                "seed": int(seed),
            }
        )
        self.automatic_optimization = False  # `training_step` takes many steps: see BlockSteps
        self.method, self.lr, self.seed = method, float(lr), int(seed)
        self.debias, self.clip = debias, float(clip)
        options = {"counterfactual": counterfactual, "eps": eps, "label": label}
        options = {name: value for name, value in options.items() if value is not None}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mix_seed(self.seed, 0))
            self.net = methods.build(
                method,
                lambda network: network(self.schema, int(embedding), self.hparams["hidden"], float(dropout)),
                **options,
            )
        self.calibration = Calibration()
        self.validation_metrics = RevenueMetrics()
        self.last_metrics: dict[str, float] = {}
        self._validation_conversions = 0.0
        self.trained_on: torch.device | None = None  # Lightning takes a model back to the CPU after training
        self.exposure: dict[str, Any] | None = None
        self._verdict_at_end = True
        self._belief: Belief | None = None
        self._steps: BlockSteps | None = None
        self._others: torch.Generator | None = None
        self.register_buffer("_loss_sums", torch.zeros(2, 3, dtype=torch.float64), persistent=False)

    _loss_sums: Tensor  # (train, validation) x (sum of row losses, rows, conversions)

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
        refuse_other_schema(self.schema, other)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model with its schema, label scale and calibration to one file; :meth:`load` reads it."""
        return save_model(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], schema: Schema | None = None, device: str | torch.device = "cpu"
    ) -> RevenueModel:
        """Read a model that :meth:`save` or `fit` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path
            The file.
        schema
            That of the data it will be used with, where they should be checked against each other here.
        device
            Where its weights go.

        Raises
        ------
        InputError
            If there is no such file, or it is no model.
        SchemaError
            If `schema` is not the model's, naming every column that differs.
        """
        content = read_model(path, schema, device)
        model = cls(**content["settings"])
        model.load_state_dict(content["weights"])
        model.exposure = content["exposure"]
        return model.to(device).eval()

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
                self.net.network.forget_absent(*module.present_categories(self.schema))
            self._prepare_debias(module)

    def _prepare_debias(self, module: ExposureModule) -> None:
        """Weigh the module's rows, and for "dr" learn what to believe of the others; say where overlap is missing."""
        exposure = None
        if self.debias is not None:
            exposure = weigh_exposures(module, self.schema, self.clip, self.seed)
        module.weigh(None if exposure is None else exposure.weight)
        self._describe_exposure(exposure)
        problem = exposure.problem() if exposure is not None else None
        if problem is None and (absent := module.never_shown()):
            names = [module.fund_name(self.schema, f) for f in absent]
            problem = (
                f"Never shown in a training row: {describe_funds(names)}. Predictions for such a fund are those of an "
                "average one with its features; show it to some customers."
            )
        if problem:
            warnings.warn(problem, PtofaWarning, stacklevel=2)
        if self.debias == "dr":
            if self.trainer.world_size > 1:
                raise InputError("debias='dr' trains a first model of its own, on one device: use devices=1, or 'ipw'.")
            self._belief = learn_belief(self, module)

    def _describe_exposure(self, exposure: Exposure | None) -> None:
        self.exposure = None
        if exposure is not None:
            self.exposure = {
                "text": exposure.explain(),
                "effective_share": exposure.effective_share,
                "clipped_share": exposure.clipped_share,
                "overlap": dict(zip(exposure.names, exposure.overlap.tolist(), strict=True)),
                "missing": exposure.missing,
            }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the weights were, in words and numbers."""
        checkpoint["exposure"] = self.exposure

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it over."""
        self.exposure = checkpoint.get("exposure")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.lr, fused=True, capturable=self.device.type == "cuda")

    def on_train_start(self) -> None:
        """Make ready for blocks of steps."""
        self._steps = BlockSteps(self)

    def on_train_epoch_start(self) -> None:
        """Give each epoch its own dropout masks, whether or not training was interrupted before it."""
        self.trained_on = self.device
        self._loss_sums[0] = 0.0
        rank = self.trainer.global_rank
        for i, layer in enumerate(m for m in self.modules() if isinstance(m, SeededDropout)):
            layer.reseed(mix_seed(self.seed, 1, self.current_epoch, i, *([rank] if rank else [])))
        self._draw_others(self.current_epoch)

    def _draw_others(self, epoch: int) -> None:
        if self._belief is not None:
            self._others = torch.Generator(device=self.device).manual_seed(mix_seed(self.seed, 4, epoch))

    def on_fit_start(self) -> None:
        """Nothing is left of an earlier run."""
        self._steps = None

    def _joined(self, which: int) -> tuple[float, float, float]:
        """Sum of losses, rows and conversions over all processes."""
        loss, rows, conversions = self.trainer.strategy.reduce(self._loss_sums[which].clone(), reduce_op="sum").tolist()
        return loss, rows, conversions

    @property
    def train_loss(self) -> float:
        """Mean loss of the training rows seen in this epoch, of all processes."""
        loss, rows, _ = self._joined(0)
        return loss / rows if rows else math.nan

    def labelled(self, batch: Batch) -> Batch:
        """A batch with labels in the model's unit in place of amounts, and what a doubly robust target needs."""
        labels = self.net.labels(batch["converted"], batch["amount"])
        kept = ("customer_categorical", "customer_numeric", "fund_categorical", "fund_numeric", "weight")
        out = {name: batch[name] for name in kept if name in batch} | labels._asdict()
        if self._belief is not None and "weight" in batch:
            assert self._others is not None
            out["belief"] = self._belief.of(batch["customer"], batch["fund"])
            out |= self._belief.draw(batch["customer"], self._others)
        return out

    def row_loss(self, batch: Batch, output: PairOutput | None = None) -> Tensor:
        """Loss of each row of a labelled batch, weighted where the module weighs rows, (N,)."""
        network = self.net.network
        customer = network.customer_part(batch["customer_categorical"], batch["customer_numeric"])
        if output is None:
            fund = network.fund_part(batch["fund_categorical"], batch["fund_numeric"])
            output = self.net.outputs(network(customer, fund))
        loss = self.net.row_loss(output, Labels(batch["converted"], batch["has_amount"], batch["log_amount"]))
        if "belief" in batch:
            other = network(customer, network.fund_part(batch["other_categorical"], batch["other_numeric"]))
            imputed = self.net.expected_loss(self.net.outputs(other), as_output(batch["other_belief"]))
            return imputed + batch["weight"] * (loss - self.net.expected_loss(output, as_output(batch["belief"])))
        return loss * batch["weight"] if "weight" in batch else loss

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Train on a block of batches, minimising the mean loss of each."""
        assert self._steps is not None
        converted = batch["converted"].sum()
        loss, rows = self._steps.run(batch)
        self._loss_sums[0] += torch.stack([loss, loss.new_tensor(rows), converted.to(loss.dtype)])

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean training loss; the only time it leaves the device."""
        self.log("train_loss", self.train_loss)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's rows."""
        self.validation_metrics.reset()
        self._loss_sums[1] = 0.0
        self._draw_others(-1 % 2**32)  # the same pairs at every epoch, so that epochs can be compared

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the batch to loss and metrics."""
        if not len(batch["converted"]):  # a process may get none of the last few rows
            return
        output = self(batch)
        rows = self.row_loss(self.labelled(batch), output)
        counts = [rows.sum(dtype=torch.float64), rows.new_tensor(len(rows), dtype=torch.float64)]
        self._loss_sums[1] += torch.stack([*counts, batch["converted"].sum(dtype=torch.float64)])
        log_revenue = logsigmoid(output.logit) + output.mu + 0.5 * output.sigma**2 + self.net.scale.log()
        self.validation_metrics.update(output.logit, log_revenue.exp(), batch["converted"], batch["amount"])

    def _measured(self) -> tuple[float, dict[str, float]]:
        """Mean loss and metrics of the rows of the last pass, without those that the method has no answer for."""
        loss, rows, conversions = self._joined(1)
        metrics = self.validation_metrics.compute()
        if not self.net.predicts_conversion:
            metrics |= dict.fromkeys(("auc", "log_loss", "conversion_ratio", "logit_range"), math.nan)
        self._validation_conversions = conversions
        return loss / rows, metrics

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the metrics as ``val_NAME``."""
        loss, self.last_metrics = self._measured()
        self.log("val_loss", loss)
        self.log_dict({f"val_{name}": value for name, value in self.last_metrics.items()})

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start

    def on_test_epoch_end(self) -> None:
        """Log the metrics as ``test_NAME``."""
        loss, metrics = self._measured()
        self.log("test_loss", loss)
        self.log_dict({f"test_{name}": value for name, value in metrics.items()})

    def on_fit_end(self) -> None:
        """Warn if the trained model is degenerate on validation rows."""
        if self._verdict_at_end and self.last_metrics:
            self.warn_if_degenerate(self.last_metrics)

    def warn_if_degenerate(self, metrics: dict[str, float]) -> None:
        """Say in words, as a `PtofaWarning`, what validation metrics show to be wrong with the model."""
        problem = degeneracy(metrics, self._validation_conversions, self.net.predicts_conversion)
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
        for option in ("counterfactual", "label"):
            if hasattr(self.net, option):
                method += f", {option} {getattr(self.net, option)}"
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
        about["debiasing"] = "none" if self.exposure is None else f"{self.debias}: {self.exposure['text']}"
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


def refuse_other_schema(mine: Schema, other: Schema) -> None:
    """Raise SchemaError naming every column in which `other` differs from the model's schema."""
    problems = mine.differences(other)
    if problems:
        raise SchemaError("The data's schema is not the one this model was trained with.", problems)


def _check_settings(dropout: Any, lr: Any, embedding: Any, hidden: Any, debias: Any, clip: Any) -> None:
    if debias not in (None, "auto", *DEBIAS):
        raise InputError(f"debias={debias!r}: choose 'ipw', 'dr', 'auto' or None.")
    if not (clip >= 1.0 and math.isfinite(clip)):
        raise InputError(f"clip={clip!r}: the largest weight, at least 1.")
    if not 0.0 <= dropout < 1.0:
        raise InputError(f"dropout={dropout!r}: a share from 0 to below 1 is needed.")
    if not (lr > 0.0 and math.isfinite(lr)):
        raise InputError(f"lr={lr!r}: a positive learning rate is needed.")
    if int(embedding) != embedding or embedding < 1:
        raise InputError(f"embedding={embedding!r}: a positive integer is needed.")
    if not len(hidden) or any(int(width) != width or width < 1 for width in hidden):
        raise InputError(f"hidden={hidden!r}: one or more positive layer widths are needed.")
