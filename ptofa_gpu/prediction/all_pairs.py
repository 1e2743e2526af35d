"""A trained network's answers for all pairs of customers and funds, on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ptofa_gpu.prediction._between import mix, sum_relu, tower_ends
from ptofa_gpu.prediction.experts import EXPERTS, TASKS, ExpertNetwork, ParallelLinear
from ptofa_gpu.prediction.methods.base import PairOutput, RevenueMethod
from ptofa_gpu.prediction.networks import Head, PairNetwork

# A thread goes through its customers in slices whose activations stay in its core's cache.
_SLICE_BYTES = 4 << 20


def all_pairs(net: RevenueMethod, fund_part: Tensor) -> Callable[[Tensor], PairOutput]:
    """The function from customers' parts (N, hidden) to the network's answers, (N, F) each, in the quickest form.

    It gives what the network's own forward pass gives in eval mode, within rounding. Several threads may call it at a
    time; each call runs on its own.
    """
    plain = _InSlices(net, fund_part)
    probe = torch.linspace(-2, 2, 3 * fund_part.shape[1], dtype=fund_part.dtype).reshape(3, -1).sin()
    try:
        quick = _fused(net, fund_part)
        return quick if quick is not None and _agree(quick(probe), plain(probe)) else plain
    except (ValueError, IndexError, RuntimeError):
        # a method of one's own may do more with a representation than give it to its heads
        return plain


def _fused(net: RevenueMethod, fund_part: Tensor) -> _Fused | None:
    # these classes themselves: one that is made from them may do anything in its forward pass
    if type(net.network) is PairNetwork:
        return _Fused(net, fund_part)
    if type(net.network) is ExpertNetwork:
        return _Fused(net, fund_part, EXPERTS, TASKS)
    return None


def _agree(a: PairOutput, b: PairOutput) -> bool:
    """Whether two outputs are the same but for rounding; another wiring of the heads is far off."""
    return all(torch.allclose(x, y, rtol=1e-3, atol=1e-3, equal_nan=True) for x, y in zip(a, b, strict=True))


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
    """Layers, or experts and gates, and towers: products of matrices, and few passes over a slice between two of them.

    A stack of layers is one expert without a gate. Activations lie in memory that a thread uses again and again: to get
    it anew costs a CPU as much as what is done in it.
    """

    def __init__(self, net: RevenueMethod, fund_part: Tensor, experts: int = 1, tasks: int = 0):
        self.experts, self.tasks, self.dtype = experts, tasks, fund_part.dtype
        self.outputs = net.given_towers().outputs
        layers = [_of_experts(layer) for layer in net.network.body if isinstance(layer, nn.Linear | ParallelLinear)]
        self.weights, self.biases = [weight for weight, _ in layers], [bias for _, bias in layers]
        heads = [head for head in net.children() if isinstance(head, Head)]
        self.towers = [_Towers([head]) for head in heads] if tasks else [_Towers(heads)]
        self.funds, self.fund_gates = self._sides(fund_part)
        first, last = self.funds.shape[-1], net.network.width
        layers_shapes = [(experts, first), *((experts, weight.shape[-1]) for weight in self.weights)]
        self.shapes = [*layers_shapes, *[(tasks, last)] * (tasks > 0), (1, self.towers[0].units)]
        self.rows = max(1, _SLICE_BYTES // (4 * sum(e * width for e, width in self.shapes) * len(fund_part)))
        self._own = threading.local()

    def _sides(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """One side's share of what goes into each expert's first ReLU, (E, N, width), and into the gates, (E, T, N)."""
        units = part.shape[1] - self.tasks * self.experts
        for_experts = part[:, :units].reshape(len(part), self.experts, -1).movedim(1, 0)
        for_gates = part[:, units:].reshape(len(part), self.tasks, self.experts).permute(2, 1, 0)
        return for_experts.contiguous(), for_gates.contiguous()

    def _activations(self) -> list[Tensor]:
        """Memory for a slice's activations at each step, this thread's."""
        if not hasattr(self._own, "activations"):
            pairs = self.rows * self.funds.shape[1]
            self._own.activations = [torch.empty(e * pairs * width, dtype=self.dtype) for e, width in self.shapes]
        return self._own.activations

    def __call__(self, customer_part: Tensor) -> PairOutput:
        n, n_funds = len(customer_part), self.funds.shape[1]
        out = torch.empty(sum(len(tower.last) for tower in self.towers), n * n_funds, dtype=self.dtype)
        customers, gates = self._sides(customer_part)
        memory = self._activations()
        for lo in range(0, n, self.rows):
            hi = min(n, lo + self.rows)
            pairs, done = (hi - lo) * n_funds, 0
            sized = zip(memory, self.shapes, strict=True)
            *activations, between = (x[: e * pairs * width].view(e, pairs, width) for x, (e, width) in sized)
            hidden = self._represent(customers[:, lo:hi], gates[..., lo:hi], activations)
            for tower, own in zip(self.towers, hidden, strict=True):
                tower(own, between[0], out[done : done + len(tower.last), lo * n_funds : hi * n_funds])
                done += len(tower.last)
        towers = out.view(-1, n, n_funds).movedim(0, -1)
        return self.outputs(towers.unsqueeze(-2).expand(-1, -1, self.tasks, -1) if self.tasks else towers)

    def _represent(self, customers: Tensor, gates: Tensor, activations: list[Tensor]) -> Tensor:
        """What each of the towers is given, (n, N F, width): the last of the activations."""
        hidden = activations[0]
        sum_relu(customers, self.funds, hidden)
        for weight, bias, products in zip(self.weights, self.biases, activations[1:], strict=False):
            hidden = torch.baddbmm(bias, hidden, weight, out=products).relu_()
        if self.tasks:
            mix(hidden, gates, self.fund_gates, activations[-1])
        return activations[-1]


class _Towers:
    """Heads that are given the same representation, their first layers side by side as one."""

    def __init__(self, heads: Sequence[Head]):
        firsts, lasts = zip(*((head[0], head[2]) for head in heads), strict=True)
        weight, bias = _one_below_the_other(firsts)
        self.first, self.bias, self.units = weight.t().contiguous(), bias, len(bias)
        self.starts = [i * last.in_features for i, last in enumerate(lasts) for _ in range(last.out_features)]
        self.weight, self.last = _one_below_the_other(lasts)

    def __call__(self, hidden: Tensor, between: Tensor, out: Tensor) -> None:
        """All outputs, to `out` (outputs, N), from representations (N, width), by way of `between` (N, units)."""
        torch.addmm(self.bias, hidden, self.first, out=between).relu_()
        tower_ends(between, self.starts, self.weight, self.last, out)


def _of_experts(layer: nn.Linear | ParallelLinear) -> tuple[Tensor, Tensor]:
    """A layer's weights, (experts, width_in, width_out), and biases, (experts, 1, width_out)."""
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if isinstance(layer, nn.Linear):
        weight, bias = weight.t()[None], bias[None]
    return weight.contiguous(), bias[:, None]


def _one_below_the_other(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Weights and biases of layers with as many inputs each."""
    return torch.cat([x.weight for x in layers]).detach(), torch.cat([x.bias for x in layers]).detach()
