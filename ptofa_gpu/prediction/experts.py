"""A mixture of experts over (customer, fund) pairs whose first layers, and gates, split into two sides.

All experts' first layers and all gates are linear in the pair's features, so together they are one wide linear layer;
its customer part and fund part are computed once a customer and once a fund, as in `PairNetwork`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ptofa_gpu.prediction.networks import PairNetwork, SeededDropout

if TYPE_CHECKING:
    from ptofa_gpu.prediction.schema import Schema

EXPERTS, TASKS = 4, 2


class ParallelLinear(nn.Module):
    """`EXPERTS` linear layers side by side: (..., EXPERTS, width_in) to (..., EXPERTS, width_out)."""

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        bound = width_in**-0.5  # as nn.Linear starts
        self.weight = nn.Parameter(torch.empty(EXPERTS, width_in, width_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(EXPERTS, width_out).uniform_(-bound, bound))
        self.out_features = EXPERTS * width_out

    def forward(self, x: Tensor) -> Tensor:
        """Each expert's layer on that expert's slice."""
        flat = x.reshape(-1, *x.shape[-2:]).transpose(0, 1)
        out = torch.baddbmm(self.bias[:, None], flat, self.weight)
        return out.transpose(0, 1).reshape(*x.shape[:-1], -1)


class ExpertNetwork(PairNetwork):
    """`EXPERTS` multi-layer perceptrons and, for each of `TASKS` tasks, a softmax gate that mixes them.

    A method has a head for each task, in their order.

    Parameters
    ----------
    schema
        The customer and fund features.
    embedding
        Size of the categorical embeddings.
    hidden
        Widths of the layers of the shared bottom that it replaces. Each expert's inner layers have half these widths
        (its last one the whole), so that a mixture costs about twice a shared bottom, not four times.
    dropout
        Share of units dropped after each layer in training.
    """

    def __init__(self, schema: Schema, embedding: int, hidden: Sequence[int], dropout: float):
        inner = [max(1, (width + 1) // 2) for width in hidden[:-1]] + [hidden[-1]]
        self.first = inner[0]
        super().__init__(schema, embedding, [EXPERTS * inner[0] + EXPERTS * TASKS], dropout)
        layers: list[nn.Module] = [nn.ReLU(), SeededDropout(dropout)]
        for width_in, width_out in pairwise(inner):
            layers += [ParallelLinear(width_in, width_out), nn.ReLU(inplace=True), SeededDropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.width = inner[-1]

    def forward(self, customer_part: Tensor, fund_part: Tensor) -> Tensor:
        """Representations of pairs for each task, (..., TASKS, width), from parts that broadcast against each other."""
        both = customer_part + fund_part
        units = EXPERTS * self.first
        experts = self.body(both[..., :units].unflatten(-1, (EXPERTS, self.first)))
        gates = torch.softmax(both[..., units:].unflatten(-1, (TASKS, EXPERTS)), dim=-1)
        return gates @ experts
