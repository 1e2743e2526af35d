"""What a `RevenueModel` does while a Trainer trains it: weights for debiasing, blocks of steps, epochs, validation."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptofa_gpu.errors import InputError, PtofaWarning, SchemaError
from ptofa_gpu.prediction.calibration import calibrate
from ptofa_gpu.prediction.data import Batch, ExposureModule, mix_seed
from ptofa_gpu.prediction.degeneracy import degeneracy
from ptofa_gpu.prediction.doubly_robust import Belief, as_output, learn_belief
from ptofa_gpu.prediction.exposure_model import TOLERANCE
from ptofa_gpu.prediction.methods.base import Labels, LabelStatistics, PairOutput, RevenueMethod
from ptofa_gpu.prediction.metrics import RevenueMetrics
from ptofa_gpu.prediction.networks import SeededDropout
from ptofa_gpu.prediction.propensity import Exposure, describe_funds, weigh_exposures
from ptofa_gpu.prediction.schema import Schema
from ptofa_gpu.prediction.steps import BlockSteps

if TYPE_CHECKING:
    from ptofa_gpu.datasets.log import LogArrays


class LearnsFromLog(pl.LightningModule):
    """The Lightning hooks of `RevenueModel`, which holds what they work on."""

    schema: Schema
    net: RevenueMethod
    seed: int
    lr: float
    debias: str | None
    clip: float
    trained_on: torch.device | None  # Lightning takes a model back to the CPU after training
    exposure: dict[str, Any] | None
    last_metrics: dict[str, float]
    _loss_sums: Tensor  # (train, validation) x (sum of row losses, rows, conversions)

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False  # `training_step` takes many steps: see BlockSteps
        self.validation_metrics = RevenueMetrics()
        self.last_metrics = {}
        self._validation_conversions = 0.0
        self.trained_on = None
        self.exposure = None
        self._exposure_of: tuple[LogArrays, Exposure] | None = None
        self._by_hand = True  # trained by a Trainer of the caller's; `fit` judges and calibrates the best epoch itself
        self._belief: Belief | None = None
        self._steps: BlockSteps | None = None
        self._others: torch.Generator | None = None
        self.register_buffer("_loss_sums", torch.zeros(2, 3, dtype=torch.float64), persistent=False)

    @property
    def statistics(self) -> LabelStatistics | None:
        """Label statistics of the training rows, or None before training."""
        return self.net.statistics

    def setup(self, stage: str) -> None:
        """Take label statistics from the data module, unless the model has them from earlier training."""
        module = getattr(self.trainer, "datamodule", None)
        if not isinstance(module, ExposureModule):
            raise InputError("A RevenueModel needs an ExposureModule: Trainer.fit(model, datamodule=data.module()).")
        if module.schema is not None:
            refuse_other_schema(self.schema, module.schema)
        module.check_fits(self.schema)
        if stage == "fit":
            statistics = module.label_statistics  # raises where nothing can be learned, also before resuming
            if self.statistics is None:
                self.net.start(statistics)
                self.net.network.forget_absent(*module.present_categories(self.schema))
            self._prepare_debias(module)

    def _prepare_debias(self, module: ExposureModule) -> None:
        """Weigh the module's rows, and for "dr" learn what to believe of the others; say where overlap is missing."""
        exposure = self.exposure_of(module)
        module.weigh(exposure.weight if exposure is not None and self.debias != "adjust" else None)
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
            self._belief = learn_belief(self, module)  # type: ignore[arg-type]

    def exposure_of(self, module: ExposureModule) -> Exposure | None:
        """The weights that undo who was shown what in the module's log; None without debiasing."""
        if self.debias is None:
            return None
        if self._exposure_of is None or self._exposure_of[0] is not module.log:
            without = (TOLERANCE,) if self.debias == "adjust" else ()
            self._exposure_of = module.log, weigh_exposures(module, self.schema, self.clip, self.seed, without)
        return self._exposure_of[1]

    def _describe_exposure(self, exposure: Exposure | None) -> None:
        self.exposure = None
        if exposure is not None:
            self.exposure = {
                "text": exposure.explain(),
                "effective_share": exposure.effective_share,
                "clipped_share": exposure.clipped_share,
                "overlap": dict(zip(exposure.names, exposure.overlap.tolist(), strict=True)),
                "missing": exposure.missing,
                "forbidden_share": exposure.forbidden_share,
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
        self._steps = BlockSteps(self)  # type: ignore[arg-type]

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
        """Warn if the trained model is degenerate on validation rows; adjust it to all pairs."""
        if not self._by_hand:
            return
        if self.last_metrics:
            self.warn_if_degenerate(self.last_metrics)
        if self.debias == "adjust":
            calibrate(self, self.trainer.datamodule)  # type: ignore[arg-type, attr-defined]

    def warn_if_degenerate(self, metrics: dict[str, float]) -> None:
        """Say in words, as a `PtofaWarning`, what validation metrics show to be wrong with the model."""
        problem = degeneracy(metrics, self._validation_conversions, self.net.predicts_conversion)
        if problem:
            warnings.warn(problem, PtofaWarning, stacklevel=2)


def refuse_other_schema(mine: Schema, other: Schema) -> None:
    """Raise SchemaError naming every column in which `other` differs from the model's schema."""
    problems = mine.differences(other)
    if problems:
        raise SchemaError("The data's schema is not the one this model was trained with.", problems)
