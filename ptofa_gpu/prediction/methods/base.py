"""What every method has: a network, heads, label statistics, a loss a row, and an expectation a pair."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from ptofa_gpu.errors import DegenerateModelError, InputError
from ptofa_gpu.prediction.networks import Head, PairNetwork

# amounts whose logarithm is larger than this are no numbers of float64
_LARGEST_LOG = 1500.0


class PairOutput(NamedTuple):
    """A model's answer for some pairs; amounts in units of the label scale.

    logit : conversion logit;  mu, sigma : parameters of log(amount / scale) given conversion. Expected revenue is
    sigmoid(logit) exp(mu + sigma^2 / 2) for every method; one that predicts an amount without a spread has sigma 0.
    """

    logit: Tensor
    mu: Tensor
    sigma: Tensor


class Labels(NamedTuple):
    """What happened on some rows: converted, whether the amount is known, and log(amount / scale) where it is.

    known_revenue : whether amount / scale is known to be what `revenue` says: also where nothing was bought.
    """

    converted: Tensor
    has_amount: Tensor
    log_amount: Tensor

    @property
    def revenue(self) -> Tensor:
        """Amount / scale, 0 where there is none."""
        return torch.where(self.has_amount, self.log_amount.exp(), torch.zeros_like(self.log_amount))

    @property
    def known_revenue(self) -> Tensor:
        """False for conversions recorded without an amount."""
        return self.has_amount | ~self.converted


@dataclass(frozen=True)
class LabelStatistics:
    """Of the training rows: what labels are divided by, where heads start, and how far mu may go.

    Attributes
    ----------
    rows, positives, without_amount
        Training rows, conversions among them, and conversions recorded without an amount.
    scale
        Median amount of the conversions, in currency; amounts are divided by it.
    log_mean, log_sd
        Mean and standard deviation of log(amount / scale).
    log_low, log_high
        Its 5 % and 95 % quantiles, between which mu is kept.
    log_min
        Its smallest value.
    mean_amount
        Mean of amount / scale over the conversions with an amount.
    """

    rows: int
    positives: int
    without_amount: int
    scale: float
    log_mean: float
    log_sd: float
    log_low: float
    log_high: float
    log_min: float
    mean_amount: float

    @property
    def base_rate(self) -> float:
        """Share of training rows that converted."""
        return self.positives / self.rows

    @property
    def start_rate(self) -> float:
        """The base rate, kept below 1 where every row converted, so that its logit is finite."""
        return min(self.base_rate, 1.0 - 0.5 / self.rows)

    def problems(self) -> list[str]:
        """What no log's statistics are; a file may hold it."""
        logs = (self.log_low, self.log_high, self.log_min)
        right = {
            "scale": self.scale > 0.0,
            "mean_amount": self.mean_amount > 0.0,
            "log_sd": self.log_sd >= 0.0,
            "log_low, log_high and log_min": max(map(abs, logs)) <= _LARGEST_LOG and self.log_low <= self.log_high,
            "rows, positives and without_amount": self.rows >= self.positives > self.without_amount >= 0,
        }
        return [f"{name} out of range" for name, is_right in right.items() if not is_right]

    @classmethod
    def of(cls, converted: np.ndarray, amount: np.ndarray) -> LabelStatistics:
        """Compute them from training rows: `converted` (N,) bool, `amount` (N,) in currency.

        Raises
        ------
        DegenerateModelError
            If there is no row, no conversion, or no conversion with an amount.
        """
        converted = np.asarray(converted, dtype=bool)
        rows, positives = converted.size, int(converted.sum())
        if rows == 0:
            raise DegenerateModelError("There is no training row: the log's `split` column has no row 'train'.")
        if positives == 0:
            raise DegenerateModelError(
                f"None of the {rows:,} training rows converted, so there is nothing to learn a conversion or an amount "
                "from. Use a log over a longer period, or check the column `converted`."
            )
        known = np.asarray(amount, dtype=np.float64)[converted]
        known = known[known > 0]
        if known.size == 0:
            raise DegenerateModelError(
                f"All {positives:,} training conversions have the amount 0, so there is no amount to learn from. "
                "Check the column `amount`."
            )
        scale = float(np.median(known))
        log_amount = np.log(known) - math.log(scale)
        low, high = np.quantile(log_amount, [0.05, 0.95])
        return cls(
            rows=rows,
            positives=positives,
            without_amount=positives - known.size,
            scale=scale,
            log_mean=float(log_amount.mean()),
            log_sd=float(log_amount.std()),
            log_low=float(low),
            log_high=float(high),
            log_min=float(log_amount.min()),
            mean_amount=float(known.mean() / scale),
        )


class RevenueMethod(nn.Module, ABC):
    """A network with heads and a loss. Subclasses make the heads and say what a row's loss is.

    Parameters
    ----------
    network
        The shared bottom, of the class `network_class`.

    Attributes
    ----------
    network_class
        The network the method stands on.
    predicts_conversion, predicts_amount
        Whether P_c, and an amount that differs between pairs, are part of the answer. Without the first there is no
        AUC; without the second expected revenue is P_c times the mean amount, so it orders pairs as P_c does.
    direct
        Whether expected revenue is an output of its own rather than P_c times an amount; calibrating P_c then leaves
        it alone.

    Notes
    -----
    Label statistics are buffers, so a checkpoint holds the unit in which its model thinks. `scale` is 0 until they are
    set: that is how a model knows whether it has seen data.
    """

    network_class: ClassVar[type[PairNetwork]] = PairNetwork
    predicts_conversion: ClassVar[bool] = True
    predicts_amount: ClassVar[bool] = True
    direct: ClassVar[bool] = False

    scale: Tensor
    log_low: Tensor
    log_high: Tensor
    mean_amount: Tensor

    def __init__(self, network: PairNetwork):
        super().__init__()
        self.network = network
        for field in fields(LabelStatistics):
            self.register_buffer(field.name, torch.zeros((), dtype=torch.float64))

    @property
    def statistics(self) -> LabelStatistics | None:
        """The label statistics, or None before any data were seen."""
        if float(self.scale) == 0.0:
            return None
        values = {f.name: float(self.get_buffer(f.name)) for f in fields(LabelStatistics)}
        for count in ("rows", "positives", "without_amount"):
            values[count] = int(values[count])
        return LabelStatistics(**values)  # type: ignore[arg-type]

    def start(self, statistics: LabelStatistics) -> None:
        """Store the statistics and set the heads to answer with them before training."""
        for field in fields(LabelStatistics):
            self.get_buffer(field.name).fill_(float(getattr(statistics, field.name)))
        self.start_heads(statistics)

    @abstractmethod
    def start_heads(self, statistics: LabelStatistics) -> None:
        """Initialise the last biases from the statistics, and refuse settings that cannot work."""

    @abstractmethod
    def outputs(self, hidden: Tensor) -> PairOutput:
        """Logit, mu and sigma from the network's representation of pairs."""

    def given_towers(self) -> Self:
        """This method with heads that are given what their towers put out, side by side in the order of `children`.

        Its `outputs` take that, (..., all heads' outputs), for the network's representation. Weights are shared.
        """
        twin, at = copy.copy(self), 0
        twin._modules = dict(self._modules)
        for name, child in self._modules.items():
            if isinstance(child, Head):
                twin._modules[name] = child.given(slice(at, at + child.outputs))
                at += child.outputs
        return twin

    @abstractmethod
    def row_loss(self, output: PairOutput, labels: Labels) -> Tensor:
        """Loss of each row, (N,); a negative log-likelihood where the method has one."""

    def expected_loss(self, output: PairOutput, belief: PairOutput) -> Tensor:
        """Mean of `row_loss` (N,) if what happens follows the model `belief`; a doubly robust target needs it.

        Raises
        ------
        InputError
            For a method that has no such expectation.
        """
        raise InputError(
            f"debias='dr' needs a method whose loss is a likelihood of what happened; {type(self).__name__} has none. "
            "Use debias='ipw', or one of the methods 'ptofa', 'ziln', 'dnn_c' and 'esmm'."
        )

    def labels(self, converted: Tensor, amount: Tensor) -> Labels:
        """Labels in the model's unit, from conversions (N,) bool and amounts (N,) in currency."""
        has_amount = converted & (amount > 0)
        log_amount = torch.where(has_amount, amount, self.scale.to(amount.dtype)).log() - self.scale.log()
        return Labels(converted, has_amount, log_amount.to(amount.dtype))
