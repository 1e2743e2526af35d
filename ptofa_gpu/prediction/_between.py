"""What stands between a network's products of matrices on a CPU, in one pass over activations that a core has at hand.

torch goes through the activations once for each operation: the sum of two sides, its ReLU, a copy of the bias, the ReLU
of a product. Beside products this narrow, that is a third of the time.
"""

from __future__ import annotations

import numba as nb
import numpy as np

# NaN passes through all of them, as it does in torch: a comparison with it is false.


@nb.njit(nogil=True, cache=True)
def sum_relu(customers: np.ndarray, funds: np.ndarray, out: np.ndarray) -> None:
    """relu(customers (N, W) + funds (F, W)) of every pair, to `out` (N F, W)."""
    zero = out.dtype.type(0)
    for c in range(len(customers)):
        for f in range(len(funds)):
            row = out[c * len(funds) + f]
            for j in range(row.size):
                x = customers[c, j] + funds[f, j]
                row[j] = zero if x < zero else x


@nb.njit(nogil=True, cache=True)
def bias_relu(x: np.ndarray, bias: np.ndarray) -> None:
    """relu(x + bias) in place, for `x` (N, W)."""
    zero = x.dtype.type(0)
    for i in range(len(x)):
        for j in range(bias.size):
            y = x[i, j] + bias[j]
            x[i, j] = zero if y < zero else y


# The sums may be made in another order, so that they fill vectors; what is not finite keeps its meaning.
@nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def tower_ends(
    x: np.ndarray, bias: np.ndarray, starts: np.ndarray, weight: np.ndarray, last: np.ndarray, out: np.ndarray
) -> None:
    """The last layers of towers side by side, from the products `x` (N, W) of their first layers, to `out` (K, N).

    Output k is last[k] + weight[k] . relu(x + bias) at the columns from starts[k] on; `weight` is (K, width).
    """
    zero = x.dtype.type(0)
    width = weight.shape[1]
    for k in range(len(starts)):
        own = slice(starts[k], starts[k] + width)
        w, b = weight[k], bias[own]
        for i in range(len(x)):
            row, total = x[i, own], zero
            for j in range(width):
                y = row[j] + b[j]
                total += (zero if y < zero else y) * w[j]
            out[k, i] = total + last[k]


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def mix(x: np.ndarray, bias: np.ndarray, customers: np.ndarray, funds: np.ndarray, out: np.ndarray) -> None:
    """Mixtures of experts, to `out` (T, N F, W): sum over e of softmax(customers + funds)[t, e] relu(x[e] + bias[e]).

    `x` is (E, N F, W), `bias` (E, W); the gates' parts are (N, T, E) and (F, T, E).
    """
    zero, (experts, _, width), n_funds = x.dtype.type(0), x.shape, len(funds)
    gate = np.empty(experts, x.dtype)
    for c in range(len(customers)):
        for f in range(n_funds):
            i = c * n_funds + f
            for t in range(len(out)):
                greatest, total = customers[c, t, 0] + funds[f, t, 0], zero
                for e in range(experts):
                    gate[e] = customers[c, t, e] + funds[f, t, e]
                    greatest = max(greatest, gate[e])
                for e in range(experts):
                    gate[e] = np.exp(gate[e] - greatest)
                    total += gate[e]
                into = out[t, i]
                into[:] = zero
                for e in range(experts):
                    row, b, share = x[e, i], bias[e], gate[e] / total
                    for j in range(width):
                        y = row[j] + b[j]
                        into[j] += share * (zero if y < zero else y)
