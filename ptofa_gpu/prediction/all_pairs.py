"""A trained network's answers for all pairs of customers and funds, on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ptofa_gpu.prediction._between import bias_relu, sum_relu, tower_ends
from ptofa_gpu.prediction.methods.base import PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import Head

# A thread goes through its customers in slices whose activations stay in its core's cache.
_SLICE_BYTES = 2 << 20


def all_pairs(net: RevenueMethod, fund_part: Tensor) -> Callable[[Tensor], PairOutput]:
    """The function from customers' parts (N, hidden) to the network's answers, (N, F) each, in the quickest form.

    It gives what the network's own forward pass gives in eval mode, within rounding. Several threads may call it at a
    time; each call runs on its own.
    """
    layers = net.network.layers()
    return _InSlices(net, fund_part) if layers is None else _Fused(net, layers, fund_part)


def pair_bytes(net: RevenueMethod, fund_part: Tensor) -> int:
    """Bytes of a pair's activations in the network's own forward pass, about."""
    units = sum(getattr(layer, "out_features", 0) for layer in net.network.body) + fund_part.shape[1]
    return 4 * (units + 128)  # 128: the heads'


class _InSlices:
    """Any network, a slice of the customers at a time."""

    def __init__(self, net: RevenueMethod, fund_part: Tensor):
        self.net, self.fund_part = net, fund_part
        self.rows = max(1, _SLICE_BYTES // (pair_bytes(net, fund_part) * len(fund_part)))

    def __call__(self, customer_part: Tensor) -> PairOutput:
        parts = [self.net.outputs(self.net.network(p[:, None], self.fund_part)) for p in customer_part.split(self.rows)]
        return parts[0] if len(parts) == 1 else PairOutput(*map(torch.cat, zip(*parts, strict=True)))


class _Fused:
    """A network that is a stack of layers: products of matrices, and one pass each for everything between two of them.

    The towers' first layers are one layer side by side. Activations lie in memory that a thread uses again and again:
    to get it anew costs a CPU as much as what is done in it.
    """

    def __init__(self, net: RevenueMethod, layers: list[nn.Linear], fund_part: Tensor):
        self.funds = fund_part.numpy()
        self.outputs = net.given_towers().outputs
        towers = [head for head in net.children() if isinstance(head, Head)]
        firsts, lasts = zip(*((head[0], head[2]) for head in towers), strict=True)
        wide = [*((layer.weight, layer.bias) for layer in layers), _side_by_side(firsts)]
        self.weights = [weight.detach().t().contiguous() for weight, _ in wide]
        self.biases = [bias.detach().numpy() for _, bias in wide]
        weight, last = _side_by_side(lasts)
        self.starts = np.repeat(np.arange(len(lasts)) * lasts[0].in_features, [x.out_features for x in lasts])
        self.weight, self.last = weight.detach().numpy(), last.detach().numpy()
        self.widths = [self.funds.shape[1], *(w.shape[1] for w in self.weights)]
        self.rows = max(1, _SLICE_BYTES // (4 * sum(self.widths) * len(self.funds)))
        self._own = threading.local()

    def _activations(self) -> list[Tensor]:
        """A slice's activations after each layer, this thread's."""
        if not hasattr(self._own, "activations"):
            pairs = self.rows * len(self.funds)
            self._own.activations = [torch.empty(pairs, width, dtype=self.weights[0].dtype) for width in self.widths]
        return self._own.activations

    def __call__(self, customer_part: Tensor) -> PairOutput:
        n, n_funds = len(customer_part), len(self.funds)
        out = torch.empty(len(self.starts), n * n_funds, dtype=customer_part.dtype)
        customers, raw, activations = customer_part.numpy(), out.numpy(), self._activations()
        for lo in range(0, n, self.rows):
            hi = min(n, lo + self.rows)
            pairs = slice(lo * n_funds, hi * n_funds)
            hidden, *further = (x[: (hi - lo) * n_funds] for x in activations)
            sum_relu(customers[lo:hi], self.funds, hidden.numpy())
            for weight, bias, into in zip(self.weights, self.biases, further, strict=True):
                torch.mm(hidden, weight, out=into)
                hidden = into
                if bias is not self.biases[-1]:
                    bias_relu(hidden.numpy(), bias)
            tower_ends(hidden.numpy(), self.biases[-1], self.starts, self.weight, self.last, raw[:, pairs])
        return self.outputs(out.view(-1, n, n_funds).movedim(0, -1))


def _side_by_side(layers: tuple[nn.Linear, ...]) -> tuple[Tensor, Tensor]:
    """Weights and biases of layers with as many inputs each, one below the other."""
    return torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
