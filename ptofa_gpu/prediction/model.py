"""`RevenueModel`: conversion and amount of every (customer, fund) pair, as a LightningModule around a method."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptofa_gpu._arguments import flag, instance, refused
from ptofa_gpu.device import DEVICES, torch_device
from ptofa_gpu.errors import DegenerateModelError, InputError
from ptofa_gpu.prediction import methods
from ptofa_gpu.prediction.adjustment import Adjustment
from ptofa_gpu.prediction.calibration import Calibration
from ptofa_gpu.prediction.data import Batch, ExposureModule, mix_seed
from ptofa_gpu.prediction.description import as_html, describe
from ptofa_gpu.prediction.methods.base import LabelStatistics, PairOutput
from ptofa_gpu.prediction.schema import Schema
from ptofa_gpu.prediction.settings import ModelSettings
from ptofa_gpu.prediction.storage import read_model, save_model
from ptofa_gpu.prediction.training_hooks import LearnsFromLog, refuse_other_schema


class RowPredictions(NamedTuple):
    """Predictions and outcomes of log rows, (N,) float64 or bool; amounts in currency."""

    logit: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    converted: np.ndarray
    amount: np.ndarray


class RevenueModel(LearnsFromLog):
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
        For "ptofa": the counterfactual amount, in units of the median amount. By default 1e-6, and smaller where the
        log's amounts are so wide that the density needs it.
    label
        For "shared_bottom" and "mmoe": "raw" (the default) or "log1p", the revenue that is regressed.
    debias
        What makes the answer one about all pairs, not those that a platform chose to show. "adjust" trains on the log
        as it is, then fits the level of each fund and the weight of the exposure score on top (see `adjustment`; part
        of calibration). "ipw" weighs training rows by inverse exposure probabilities; "dr" adds what a first,
        unweighted model believes of pairs that were not shown (twice the training). None takes the log as it is, as
        the paper does. "auto": "adjust" for "ptofa", else None.
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
        s = ModelSettings(
            method, counterfactual, dropout, lr, embedding, hidden, eps, label, debias, clip, seed
        )  # fmt: skip
        self.schema = Schema.from_json(schema) if isinstance(schema, str) else instance("schema", schema, Schema)
        hidden = s.hidden  # Lightning compares the caller's values with what it is given here
        self.save_hyperparameters({"schema": self.schema.to_json(), **s.plain()})
        self.method, self.lr, self.seed, self.debias, self.clip = s.method, s.lr, s.seed, s.debias, s.clip
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mix_seed(self.seed, 0))
            self.net = methods.build(
                s.method, lambda network: network(self.schema, s.embedding, s.hidden, s.dropout), **s.options
            )
            self.adjustment = Adjustment(self.schema) if s.debias == "adjust" else None
        self.calibration = Calibration()

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
            If there is no such file, or it is no model; if it is damaged, or of another version.
        DeviceError
            If `device` is a GPU that torch cannot use.
        SchemaError
            If `schema` is not the model's, naming every column that differs.
        """
        where = _device(device)
        content = read_model(path, schema)
        model = cls(**content.settings)
        model.load_state_dict(content.weights)
        model.exposure = content.exposure
        return model.to(where).eval()

    def finished(self, output: PairOutput, codes: Tensor, score: Callable[[], Tensor]) -> PairOutput:
        """The calibrated answer for all pairs from the network's; `score` gives their exposure scores if needed."""
        if self.adjustment is not None:
            output = self.adjustment.adjusted(output, codes, score(), self.net.direct)
        return self.calibration.calibrated(output, self.net.direct)

    def _finished_rows(self, output: PairOutput, batch: Batch) -> PairOutput:
        codes = batch["fund_categorical"][:, 0].long()

        def score() -> Tensor:
            assert self.adjustment is not None
            table = self.adjustment.score(batch["customer_categorical"], batch["customer_numeric"])
            return table.gather(1, codes[:, None]).squeeze(1)

        return self.finished(output, codes, score)

    @torch.no_grad()
    def predict_rows(self, module: ExposureModule, split: str, calibrated: bool = False) -> RowPredictions:
        """Predictions of a split's log rows, in the log's order: the network's own, or `calibrated` ones."""
        log_scale = math.log(self.require_fitted().scale)
        instance("module", module, ExposureModule, "from data.module()").check_fits(self.schema)
        calibrated = flag("calibrated", calibrated)
        was_training = self.training
        self.eval()
        parts = []
        for batch in module.batches(split):
            batch = {name: values.to(self.device) for name, values in batch.items()}
            output = self(batch)
            if calibrated:
                output = self._finished_rows(output, batch)
            parts.append(torch.stack([x.double() for x in (*output, batch["converted"], batch["amount"])]))
        self.train(was_training)
        if not parts:
            raise InputError(f"The log has no {split} row.")
        logit, mu, sigma, converted, amount = torch.cat(parts, dim=1).cpu().numpy()
        return RowPredictions(logit, mu + log_scale, sigma, converted.astype(bool), amount)

    def check_finite(self) -> None:
        """Raise DegenerateModelError if a weight is not finite: training diverged."""
        bad = [name for name, weights in self.named_parameters() if not bool(torch.isfinite(weights).all())]
        if bad:
            raise DegenerateModelError(
                f"The model's weights are not finite ({bad[0]} and {len(bad) - 1} more): training diverged. Lower the "
                "learning rate and train again."
            )

    def describe(self) -> dict[str, str]:
        """What the model is, in words: settings, size, what it was trained on, how it did."""
        return describe(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def _device(device: str | torch.device) -> torch.device:
    """Where a model's weights go: "cpu", "auto", a GPU by its name, or a torch device of these."""
    if isinstance(device, str) and device in DEVICES:
        return torch_device(device)
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise refused("device", device, "'cpu', 'cuda', 'auto' or a torch device of these")
    if found.type == "cuda" and not _has_gpu(found.index or 0):
        raise refused("device", device, f"one of the {torch.cuda.device_count()} GPUs there are")
    return found


def _has_gpu(index: int) -> bool:
    torch_device("cuda")  # raises where there is none at all
    return index < torch.cuda.device_count()
