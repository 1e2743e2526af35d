"""What stands between a network's products of matrices on a CPU.

Activations come in slices that stay in a core's cache, so that several passes over them cost little, and everything is
written where it is told to. NaN passes through.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sum_relu(customers: Tensor, funds: Tensor, out: Tensor) -> None:
    """relu(customers (E, N, W) + funds (E, F, W)) of every pair, to `out` (E, N F, W)."""
    experts, n, width = customers.shape
    torch.add(customers[:, :, None], funds[:, None], out=out.view(experts, n, -1, width))
    out.relu_()


def tower_ends(x: Tensor, starts: list[int], weight: Tensor, last: Tensor, out: Tensor) -> None:
    """The last layers of towers side by side, from `x` (N, W), which their first layers give, to `out` (K, N).

    Output k is last[k] + weight[k] . x at the columns from starts[k] on; `weight` is (K, width).
    """
    width = weight.shape[1]
    for k, start in enumerate(starts):
        torch.addmv(last[k], x[:, start : start + width], weight[k], out=out[k])


def mix(x: Tensor, customers: Tensor, funds: Tensor, out: Tensor) -> None:
    """Mixtures of experts, to `out` (T, N F, W): sum over e of softmax(customers + funds)[e, t] x[e].

    `x` is (E, N F, W); the gates' parts are (E, T, N) and (E, T, F).
    """
    shares = torch.softmax(customers[..., None] + funds[:, :, None], 0).flatten(2)[..., None]
    torch.mul(x[0], shares[0], out=out)
    for e in range(1, len(x)):
        out.addcmul_(x[e], shares[e])
