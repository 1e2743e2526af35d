"""Metrics of order. Rows with the same score are treated as if in random order, so no result depends on row order.

Rows are kept as they are, on the device, and sorted once in ``compute``; ranks are float64, because with 99 % zeros
among a million outcomes the sum of tied ranks passes 2^31.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from ptofa_gpu._arguments import number
from ptofa_gpu.errors import InputError


class RowMetric(Metric):
    """A metric that keeps columns of rows; `names` says which."""

    higher_is_better: bool | None = True
    full_state_update = False
    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.names:
            self.add_state(name, [], dist_reduce_fx="cat")

    def _keep(self, **columns: Tensor) -> None:
        sizes = {name: tuple(values.shape) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            raise InputError(f"columns of different shapes: {', '.join(f'{n} {s}' for n, s in sizes.items())}.")
        for name, values in columns.items():
            getattr(self, name).append(values.detach().flatten())

    def _rows(self) -> tuple[Tensor, ...]:
        """The columns whole; a list where this process saw rows, a tensor where several were joined."""
        columns = []
        for name in self.names:
            state = getattr(self, name)
            columns.append(torch.cat(state) if isinstance(state, list) and state else torch.as_tensor(state))
        return tuple(columns)


def tie_groups(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort `values` (N,): the order, each sorted row's group of equal values, and the groups' sizes."""
    order = torch.argsort(values)
    _, group, size = torch.unique_consecutive(values[order], return_inverse=True, return_counts=True)
    return order, group, size


def mid_ranks(values: Tensor) -> Tensor:
    """Ranks 1..N as float64, equal values sharing the mean of theirs."""
    order, group, size = tie_groups(values)
    size = size.double()
    rank = torch.empty(values.shape, dtype=torch.float64, device=values.device)
    rank[order] = (size.cumsum(0) - (size - 1) / 2)[group]
    return rank


def tie_means(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """`values` (N,), replaced by the mean of their group."""
    total = torch.zeros(n_groups, dtype=torch.float64, device=values.device).index_add_(0, group, values.double())
    size = torch.zeros_like(total).index_add_(0, group, torch.ones_like(values, dtype=torch.float64))
    return (total / size)[group]


def _covariance(x: Tensor, y: Tensor) -> Tensor:
    return ((x - x.mean()) * (y - y.mean())).mean()


class WeightedAUROC(RowMetric):
    """AUC of rows with weights and with outcomes that may be probabilities.

    A row of probability t counts as t of a conversion and 1 - t of none. With weights 1/propensity it estimates the AUC
    over all pairs from logged ones; with true probabilities it is that AUC, without the noise of drawn outcomes.
    """

    names = ("score", "positive", "negative")

    def update(self, score: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Add rows: `score` of any monotone scale, `target` in [0, 1], `weight` not negative; one shape."""
        target = target.double()
        weight = torch.ones_like(target) if weight is None else weight.double()
        self._keep(score=score, positive=weight * target, negative=weight * (1 - target))

    def compute(self) -> Tensor:
        """The area, in [0, 1]; nan where one of the outcomes has no weight."""
        score, positive, negative = self._rows()
        if not score.numel():
            return torch.tensor(torch.nan, dtype=torch.float64, device=score.device)
        order, group, size = tie_groups(score)
        zeros = torch.zeros(len(size), dtype=torch.float64, device=score.device)
        positives = zeros.clone().index_add_(0, group, positive[order])
        negatives = zeros.clone().index_add_(0, group, negative[order])
        beaten = negatives.cumsum(0) - negatives / 2  # of those with the same score, half
        pairs = positives.sum() * negatives.sum()
        return torch.where(pairs > 0, (positives * beaten).sum() / pairs, torch.nan)


class GroupedAUROC(RowMetric):
    """AUC within each group, averaged with the groups' conversions as weights.

    With funds for groups it tells whether a model knows *who* converts, apart from *what* converts: over all rows, a
    model that only knows popular funds already has an AUC above one half.
    """

    names = ("score", "target", "group")

    def update(self, score: Tensor, target: Tensor, group: Tensor) -> None:
        """Add rows: `score` (N,), `target` (N,) bool, `group` (N,) integers."""
        self._keep(score=score, target=target.bool(), group=group.long())

    def compute(self) -> Tensor:
        """The mean over groups with both outcomes; nan where there is none."""
        score, target, group = self._rows()
        area = torch.tensor(torch.nan, dtype=torch.float64, device=score.device)
        if not score.numel():
            return area
        _, group = torch.unique(group, return_inverse=True)
        by_score = torch.argsort(score, stable=True)
        order = by_score[torch.argsort(group[by_score], stable=True)]
        score, target, group = score[order], target[order], group[order]
        size = torch.bincount(group).double()
        # ranks over (group, score) as a whole, less the rows of the groups before
        changed = torch.ones(len(score), dtype=torch.bool, device=score.device)
        changed[1:] = (score[1:] != score[:-1]) | (group[1:] != group[:-1])
        tie = changed.cumsum(0) - 1
        ties = torch.bincount(tie).double()
        rank = (ties.cumsum(0) - (ties - 1) / 2)[tie] - (size.cumsum(0) - size)[group]
        hits = torch.zeros_like(size).index_add_(0, group, target.double())
        ranks = torch.zeros_like(size).index_add_(0, group, rank * target)
        both = (hits > 0) & (hits < size)
        if not bool(both.any()):
            return area
        wins = (ranks - hits * (hits + 1) / 2)[both] / (size - hits)[both]  # area x hits
        return wins.sum() / hits[both].sum()


class NormalizedGini(RowMetric):
    """Gini coefficient of outcomes ordered by prediction, over that of outcomes ordered by themselves: 1 is perfect.

    Both are covariances of the outcome with a rank (Lerman and Yitzhaki, 1984), with mean ranks for ties.
    """

    names = ("predicted", "observed")

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions on any monotone scale, and outcomes that are not negative, of one shape."""
        self._keep(predicted=predicted, observed=observed)

    def compute(self) -> Tensor:
        """In [-1, 1]; nan where all outcomes are equal."""
        predicted, observed = self._rows()
        if not observed.numel():
            return torch.tensor(torch.nan, dtype=torch.float64, device=observed.device)
        best = _covariance(observed.double(), mid_ranks(observed))
        return torch.where(best > 0, _covariance(observed.double(), mid_ranks(predicted)) / best, torch.nan)


class RankCorrelation(RowMetric):
    """Spearman's rank correlation with mean ranks for ties.

    torchmetrics' own adds the ranks of tied rows as 32-bit integers, which overflow from about 65,000 zeros on.
    """

    names = ("predicted", "observed")

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions and outcomes, of one shape."""
        self._keep(predicted=predicted, observed=observed)

    def compute(self) -> Tensor:
        """In [-1, 1]; nan where either side is constant."""
        predicted, observed = self._rows()
        if not observed.numel():
            return torch.tensor(torch.nan, dtype=torch.float64, device=observed.device)
        x, y = mid_ranks(predicted), mid_ranks(observed)
        spread = (_covariance(x, x) * _covariance(y, y)).sqrt()
        return torch.where(spread > 0, _covariance(x, y) / spread, torch.nan)


class TopLift(RowMetric):
    """Outcome of the rows predicted highest, as a multiple of what as many random rows have.

    Parameters
    ----------
    share
        Which part of rows is the top, in (0, 1].
    """

    names = ("predicted", "observed")

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.share = number("share", share, "a part of the rows, in (0, 1]", above=0.0, most=1.0)

    def update(self, predicted: Tensor, observed: Tensor) -> None:
        """Add rows: predictions on any monotone scale, and outcomes that are not negative, of one shape."""
        self._keep(predicted=predicted, observed=observed)

    def compute(self) -> Tensor:
        """At most 1 / share; 1 where predictions tell nothing; nan where nothing happened."""
        predicted, observed = self._rows()
        if not observed.numel():
            return torch.tensor(torch.nan, dtype=torch.float64, device=observed.device)
        order, group, size = tie_groups(-predicted)
        outcome = tie_means(observed[order], group, len(size))
        rows = self.share * len(order)  # the last of them counts in part
        weight = (rows - torch.arange(len(order), device=order.device, dtype=torch.float64)).clamp(0.0, 1.0)
        total = observed.double().sum()
        return torch.where(total > 0, (outcome * weight).sum() / (self.share * total), torch.nan)
