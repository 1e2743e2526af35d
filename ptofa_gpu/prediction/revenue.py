"""The expected-revenue matrix E of all customers and funds, in blocks of customers straight into one array."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptofa_gpu._arguments import instance, progress_of, whole
from ptofa_gpu.device import as_array, torch_device
from ptofa_gpu.errors import DegenerateModelError, InputError, OutOfMemoryError, PtofaWarning
from ptofa_gpu.prediction.all_pairs import all_pairs, pair_bytes
from ptofa_gpu.prediction.data import check_encoded, check_finite
from ptofa_gpu.prediction.schema import Encoded

if TYPE_CHECKING:
    from ptofa_gpu.prediction.model import RevenueModel
    from ptofa_gpu.prediction.schema import Schema

Progress = bool | Callable[[int, int], None] | None
# What a block takes: on a CPU enough that a call costs little beside its work, on a GPU enough to fill it.
_BLOCK_BYTES = {"cpu": 8 << 20, "cuda": 1 << 30}


class Components(NamedTuple):
    """What expected revenue is made of, (U, F) float32 each, NumPy or CuPy.

    ``conversion`` : P(convert), calibrated.  ``mu``, ``sigma`` : parameters of the log of the amount in currency, with
    the model's revenue calibration in ``mu``; so revenue = conversion * exp(mu + sigma^2 / 2).
    """

    conversion: Any
    mu: Any
    sigma: Any


class _Pairs:
    """All pairs of some customers and funds on a device; answers for blocks of customers."""

    def __init__(self, model: RevenueModel, customers: Any, funds: Any, device: torch.device):
        statistics = model.require_fitted()
        model.check_finite()
        schema = model.schema
        encoded_customers = customers if isinstance(customers, Encoded) else schema.encode_customers(customers)
        encoded_funds = funds if isinstance(funds, Encoded) else schema.encode_funds(funds)
        check_encoded(schema, customers=encoded_customers, funds=encoded_funds)
        check_finite("customers", encoded_customers)
        check_finite("funds", encoded_funds)
        self.shape = (len(encoded_customers.categorical), len(encoded_funds.categorical))
        if 0 in self.shape:
            raise InputError(f"There are {self.shape[0]} customers and {self.shape[1]} funds: E would be empty.")
        _report_unseen(schema, encoded_customers, encoded_funds)
        self.model, self.network, self.device = model, model.net.network, device
        self.log_scale = math.log(statistics.scale)
        self.customer_categorical = torch.as_tensor(encoded_customers.categorical, device=device)
        self.customer_numeric = torch.as_tensor(encoded_customers.numeric, device=device)
        self.codes = torch.as_tensor(encoded_funds.categorical[:, 0], device=device).long()
        self.fund_part = self.network.fund_part(
            torch.as_tensor(encoded_funds.categorical, device=device),
            torch.as_tensor(encoded_funds.numeric, device=device),
        )
        self.customer_part = self.network.customer_parts(self.shape[0])
        self.answers = all_pairs(model.net, self.fund_part) if device.type == "cpu" else None

    def default_rows(self) -> int:
        """Customers a block such that it takes about `_BLOCK_BYTES`."""
        funds = self.shape[1]
        if self.device.type == "cuda":
            return max(1, _BLOCK_BYTES["cuda"] // (2 * pair_bytes(self.model.net, self.fund_part) * funds))
        # the customers' own layer and embeddings, and about ten numbers a pair from the heads to E
        return max(1, _BLOCK_BYTES["cpu"] // (8 * self.fund_part.shape[1] + 4 * 10 * funds))

    def score(self, lo: int, hi: int) -> Tensor:
        """Exposure scores of customers lo..hi, (hi - lo, F)."""
        adjustment = self.model.adjustment
        assert adjustment is not None
        return adjustment.score(self.customer_categorical[lo:hi], self.customer_numeric[lo:hi])[:, self.codes]

    def components(self, lo: int, hi: int) -> tuple[Tensor, Tensor, Tensor]:
        """Calibrated logit, mu in log currency and sigma of customers lo..hi, (hi - lo, F) each."""
        customer_part = self.customer_part(self.customer_categorical[lo:hi], self.customer_numeric[lo:hi])
        if self.answers is None:
            output = self.model.net.outputs(self.network(customer_part[:, None, :], self.fund_part[None, :, :]))
        else:
            output = self.answers(customer_part)
        output = self.model.finished(output, self.codes, lambda: self.score(lo, hi))
        return output.logit, output.mu + self.log_scale, output.sigma


def _report_unseen(schema: Schema, customers: Encoded, funds: Encoded) -> None:
    """Say how many rows have no known category, or no number: the model takes each for an average one.

    Encoded categories show it themselves. A missing number is the mean once it is encoded, so of it is said what the
    encoding counted.
    """
    lines = []
    for side, features, encoded in (
        ("customers", schema.customer_features, customers),
        ("funds", schema.fund_features, funds),
    ):
        categorical = [f.name for f in features if f.kind == "categorical"]
        unknown = dict(zip(categorical, (encoded.categorical == 0).sum(axis=0).tolist(), strict=True))
        for f in features:
            known, counts = ("known ", unknown) if f.kind == "categorical" else ("", encoded.unseen)
            if f.part in ("", "age") and (n := counts.get(f.column, 0)):  # a date that is missing is said once
                lines.append(f"{n:,} of {len(encoded):,} {side} have no {known}{f.column!r}")
    if lines:
        warnings.warn(
            "Values that are missing, and categories the model was not trained on, count as average ones: "
            f"{'; '.join(lines)}.",
            PtofaWarning,
            stacklevel=5,
        )


Write = Callable[[_Pairs, int, int, tuple[Tensor, ...]], None]


def expected_revenue(
    model: RevenueModel,
    customers: Any,
    funds: Any,
    block_rows: int | None = None,
    device: str | None = None,
    progress: Progress = None,
) -> Any:
    """Expected revenue of every pair: E = P(convert) exp(mu + sigma^2 / 2), calibrated if the model is.

    Parameters
    ----------
    model
        A trained model.
    customers, funds
        Frames (any narwhals knows) with the schema's columns, or `Encoded` ones.
        Their order is the order of E's rows and columns.
    block_rows
        Customers a block; chosen from the memory a block takes by default. It does not change E beyond float32
        rounding.
    device
        "cpu", "cuda" or "auto". By default the device the model was trained on in this process, else the one it is on.
        The model's weights are moved there.
    progress
        True for a bar on stderr, or a function of (customers done, customers).

    Returns
    -------
    array
        (U, F) float32, currency per exposure, finite and non-negative: NumPy on the CPU; on CUDA a CuPy array that
        shares the memory torch wrote.

    Raises
    ------
    InputError
        If the model is not trained, or there is no customer or fund.
    SchemaError
        If the features are not the model's, or a number is infinite.
    DegenerateModelError
        If the model's weights or its answers are not finite.
    DeviceError
        If "cuda" is asked for and not usable.
    OutOfMemoryError
        If E itself, or a block of one customer, does not fit.

    Warns
    -----
    PtofaWarning
        If GPU memory ran out and the block was halved; if customers or funds have categories that are not in the
        schema, or no value, with the number of rows for each feature.
    """

    def write(pairs: _Pairs, lo: int, hi: int, out: tuple[Tensor, ...]) -> None:
        logit, mu, sigma = pairs.components(lo, hi)
        torch.exp(logsigmoid(logit).add_(mu).add_(0.5 * sigma * sigma), out=out[0][lo:hi])

    return as_array(_fill(model, customers, funds, 1, write, block_rows, device, progress)[0])


def predict_components(
    model: RevenueModel,
    customers: Any,
    funds: Any,
    block_rows: int | None = None,
    device: str | None = None,
    progress: Progress = None,
) -> Components:
    """Conversion probability and log-normal parameters of every pair; parameters and errors as `expected_revenue`.

    Methods that predict an amount without a spread have sigma 0. A method without a conversion probability ("dnn_r")
    has no components: `InputError`.
    """
    if not instance("model", model, _model_class()).net.predicts_conversion:
        raise InputError(
            f"method={model.method!r} predicts revenue alone, so it has no conversion probability to give. Use "
            "expected_revenue, or another method."
        )

    def write(pairs: _Pairs, lo: int, hi: int, out: tuple[Tensor, ...]) -> None:
        logit, mu, sigma = pairs.components(lo, hi)
        torch.sigmoid(logit, out=out[0][lo:hi])
        out[1][lo:hi], out[2][lo:hi] = mu, sigma

    return Components(*map(as_array, _fill(model, customers, funds, 3, write, block_rows, device, progress)))


def _fill(
    model: RevenueModel,
    customers: Any,
    funds: Any,
    n_arrays: int,
    write: Write,
    block_rows: int | None,
    device: str | None,
    progress: Progress,
) -> tuple[Tensor, ...]:
    instance("model", model, _model_class())
    block_rows = None if block_rows is None else whole("block_rows", block_rows, 1)
    progress = progress_of(progress)
    target = torch_device(device) if device is not None else (model.trained_on or model.device)
    was_training = model.training
    model.to(target).eval()
    threads = torch.get_num_threads()
    try:
        with torch.no_grad():
            if target.type == "cpu":
                torch.set_num_threads(1)  # products differ in their last bits where several threads share one
            pairs = _Pairs(model, customers, funds, target)
            out = _allocate(n_arrays, pairs.shape, target)
            rows = block_rows or pairs.default_rows()
            if target.type == "cpu" and threads > 1:
                _run_on_threads(pairs, write, out, rows, progress, threads)
            else:
                _run_blocks(pairs, write, out, rows, progress)
            if not all(bool(torch.isfinite(values).all()) for values in out):
                raise DegenerateModelError("Predictions are not finite: the model's amounts overflow. Train it again.")
    finally:
        torch.set_num_threads(threads)
        model.train(was_training)
    return out


def _model_class() -> type[RevenueModel]:
    from ptofa_gpu.prediction.model import RevenueModel

    return RevenueModel


def _allocate(n_arrays: int, shape: tuple[int, int], device: torch.device) -> tuple[Tensor, ...]:
    try:
        return tuple(torch.empty(shape, dtype=torch.float32, device=device) for _ in range(n_arrays))
    except (torch.OutOfMemoryError, RuntimeError) as e:  # the CPU's allocator raises a plain RuntimeError
        needed = 4 * n_arrays * shape[0] * shape[1]
        raise OutOfMemoryError(
            f"The result for {shape[0]:,} customers x {shape[1]:,} funds needs {needed:,} bytes on {device}, which are "
            "not free. Predict a part of the customers at a time."
        ) from e


def _run_on_threads(
    pairs: _Pairs, write: Write, out: tuple[Tensor, ...], rows: int, progress: Progress, workers: int
) -> None:
    """Whole blocks on single threads, rather than all threads on each small product of a block.

    Nothing waits at barriers inside a block, which on busy cores is most of the time, and a block's bits do not depend
    on the number of threads.
    """
    n_customers = pairs.shape[0]
    report, close = _reporter(progress, n_customers)

    def one(lo: int) -> int:
        hi = min(lo + rows, n_customers)
        with torch.no_grad():  # grad mode belongs to a thread
            write(pairs, lo, hi, out)
        return hi

    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in pool.map(one, range(0, n_customers, rows)):
                report(done, n_customers)
    finally:
        close()


def _run_blocks(
    pairs: _Pairs,
    write: Write,
    out: tuple[Tensor, ...],
    rows: int,
    progress: Progress,
) -> None:
    n_customers, asked, lo = pairs.shape[0], rows, 0
    report, close = _reporter(progress, n_customers)
    try:
        while lo < n_customers:
            hi = min(lo + rows, n_customers)
            try:
                write(pairs, lo, hi, out)
            except torch.OutOfMemoryError as e:
                if rows == 1:
                    raise OutOfMemoryError(
                        f"A block of one customer x {pairs.shape[1]:,} funds does not fit into the free memory of "
                        f"{pairs.device}: free some, or use device='cpu'."
                    ) from e
                rows = max(1, min(rows, n_customers) // 2)
                if pairs.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            lo = hi
            report(lo, n_customers)
    finally:
        close()
    if rows != asked:
        warnings.warn(
            f"GPU memory ran out with blocks of {asked:,} customers; E was made in blocks of {rows:,}. Pass "
            f"block_rows={rows} to start there.",
            PtofaWarning,
            stacklevel=4,
        )


def _reporter(progress: Progress, total: int) -> tuple[Callable[[int, int], None], Callable[[], None]]:
    if not progress:
        return (lambda done, total: None), (lambda: None)
    if callable(progress):
        return progress, (lambda: None)
    from tqdm import tqdm

    bar = tqdm(total=total, unit="customer", unit_scale=True, desc="expected revenue", file=sys.stderr)
    return (lambda done, total: bar.update(done - bar.n) and None), bar.close
