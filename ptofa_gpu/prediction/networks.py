"""Networks over (customer, fund) pairs whose first layer splits into a customer part and a fund part.

The first layer is linear in the two sides, ``W_c x_customer + W_f x_fund + b``, so for all U x F pairs it costs U + F
evaluations instead of U F: `expected_revenue` computes each part once and adds them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from ptofa_gpu.errors import InputError

if TYPE_CHECKING:
    from ptofa_gpu.prediction.schema import Feature, Schema


class SeededDropout(nn.Module):
    """Dropout whose masks come from a generator of its own.

    The masks then depend on ``(seed, epoch)`` alone: training leaves the caller's random state untouched, and a run
    that is resumed at the end of an epoch draws the masks it would have drawn.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self._seed = 0
        self._generator: torch.Generator | None = None

    def reseed(self, seed: int) -> None:
        """Start the stream of masks over from `seed`."""
        self._seed = seed
        if self._generator is not None:
            self._generator.manual_seed(seed)  # the same generator: a recorded step goes on drawing from it

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator of masks on `device`."""
        if self._generator is None or self._generator.device.type != device.type:
            self._generator = torch.Generator(device=device).manual_seed(self._seed)
        return self._generator

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share `p` of `x` and scale the rest by 1 / (1 - p); the identity in eval mode."""
        if not self.training or self.p == 0.0:
            return x
        keep = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self.generator(x.device))
        return x * keep.div_(1.0 - self.p)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_generator": None}  # generators cannot be copied between processes


class FeatureEncoder(nn.Module):
    """One side's features as one vector: an embedding for each categorical feature, then the numeric features.

    All embeddings lie in a single table, so a batch costs one gather whatever the number of features.

    Parameters
    ----------
    features
        The side's features, in the order in which the schema encodes them.
    embedding
        Size of each categorical feature's embedding.
    """

    offsets: Tensor

    def __init__(self, features: Sequence[Feature], embedding: int):
        super().__init__()
        sizes = [len(f.categories) + 1 for f in features if f.kind == "categorical"]  # + 1: index 0 is "unseen"
        self.n_categorical, self.n_numeric = len(sizes), len(features) - len(sizes)
        self.sizes = sizes
        self.width = self.n_categorical * embedding + self.n_numeric
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int32), persistent=False)
        self.table = nn.Embedding(max(sum(sizes), 1), embedding)
        with torch.no_grad():
            self.table.weight.normal_(0.0, embedding**-0.5)
            self.table.weight[starts] = 0.0  # a category never seen in training counts as an average one

    def forget_absent(self, present: Sequence[Tensor]) -> None:
        """Zero the embeddings of categories that training will not see, so that each counts as an average one.

        Parameters
        ----------
        present
            For each categorical feature, which of its indices occur, (cardinality,) bool.
        """
        absent = ~torch.cat(list(present)) if len(present) else torch.zeros(1, dtype=torch.bool)
        with torch.no_grad():
            self.table.weight[absent.to(self.table.weight.device)] = 0.0

    def forward(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """Encode (N, n_categorical) int32 and (N, n_numeric) float32 as (N, width) float32."""
        embedded = self.table(categorical + self.offsets).flatten(1)
        return torch.cat([embedded, numeric], dim=1)

    def followed_by(self, layer: nn.Linear) -> Callable[[Tensor, Tensor], Tensor]:
        """`layer` after this encoder, with what it answers to each category computed once: for many rows, in eval mode.

        A category's embedding is the same in all rows, so its product with the layer's weights is too. What is left for
        a row is to add up one vector for each categorical feature, and the product for its numbers.
        """
        if not self.n_categorical:
            return lambda categorical, numeric: layer(self(categorical, numeric))
        size = self.table.embedding_dim
        parts = layer.weight[:, : self.n_categorical * size].split(size, dim=1)
        answers = [rows @ part.t() for rows, part in zip(self.table.weight.split(self.sizes), parts, strict=True)]
        if layer.bias is not None:
            answers[0] = answers[0] + layer.bias
        table, for_numbers = torch.cat(answers), layer.weight[:, self.n_categorical * size :].t()

        def answer(categorical: Tensor, numeric: Tensor) -> Tensor:
            out = embedding_bag(categorical + self.offsets, table, mode="sum")
            return out.addmm_(numeric, for_numbers) if self.n_numeric else out

        return answer


class PairNetwork(nn.Module):
    """A shared bottom over pairs: encoded sides, a split first layer, then a multi-layer perceptron.

    Parameters
    ----------
    schema
        The customer and fund features.
    embedding
        Size of the categorical embeddings.
    hidden
        Widths of the layers; the first is the split one.
    dropout
        Share of units dropped after each layer in training.
    """

    def __init__(self, schema: Schema, embedding: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        if not schema.customer_features:
            raise InputError("The schema has no customer features: every customer would get the same prediction.")
        self.customer_encoder = FeatureEncoder(schema.customer_features, embedding)
        self.fund_encoder = FeatureEncoder(schema.fund_features, embedding)
        self.customer_layer = nn.Linear(self.customer_encoder.width, hidden[0])
        self.fund_layer = nn.Linear(self.fund_encoder.width, hidden[0], bias=False)
        layers: list[nn.Module] = [nn.ReLU(inplace=True), SeededDropout(dropout)]
        for width_in, width_out in pairwise(hidden):
            layers += [nn.Linear(width_in, width_out), nn.ReLU(inplace=True), SeededDropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.width = hidden[-1]

    def forget_absent(self, customers: Sequence[Tensor], funds: Sequence[Tensor]) -> None:
        """Zero the embeddings of categories that training will not see, on both sides."""
        self.customer_encoder.forget_absent(customers)
        self.fund_encoder.forget_absent(funds)

    def customer_part(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """The customers' share of the first layer, (N, hidden[0])."""
        return self.customer_layer(self.customer_encoder(categorical, numeric))

    def customer_parts(self, customers: int) -> Callable[[Tensor, Tensor], Tensor]:
        """`customer_part` in the form that is quickest for so many customers, in eval mode."""
        if self.customer_encoder.table.num_embeddings <= customers:
            return self.customer_encoder.followed_by(self.customer_layer)
        return self.customer_part

    def fund_part(self, categorical: Tensor, numeric: Tensor) -> Tensor:
        """The funds' share of the first layer, (N, hidden[0])."""
        return self.fund_layer(self.fund_encoder(categorical, numeric))

    def forward(self, customer_part: Tensor, fund_part: Tensor) -> Tensor:
        """Representation of pairs, (..., width), from parts that broadcast against each other."""
        return self.body(customer_part + fund_part)


class Head(nn.Sequential):
    """A small tower on the shared representation; `start` sets what it answers before any training."""

    columns: slice | None = None

    def __init__(self, width: int, outputs: int, hidden: int = 32):
        super().__init__(nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs))
        self.outputs = outputs

    def forward(self, hidden: Tensor) -> Tensor:
        """Outputs (..., outputs) from representations (..., width)."""
        return super().forward(hidden) if self.columns is None else hidden[..., self.columns]

    def given(self, columns: slice) -> Self:
        """This head for what comes after its tower: it is given outputs of towers, (..., all), and takes its own."""
        twin = copy.copy(self)
        twin.columns = columns
        return twin

    def start(self, biases: Sequence[float]) -> None:
        """Set the last layer's biases, one an output."""
        last = self[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(torch.tensor(biases))
