"""The exposure log on the device: rows are moved once, batches are index slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ptofa_gpu._arguments import instance, one_of, seed_of, whole
from ptofa_gpu.device import DEVICES
from ptofa_gpu.errors import DeviceError, InputError, SchemaError
from ptofa_gpu.prediction.methods.base import LabelStatistics

if TYPE_CHECKING:
    from ptofa_gpu.datasets.log import LogArrays
    from ptofa_gpu.prediction.schema import Encoded, Schema

Batch = dict[str, Tensor]
SPLITS = {"train": 0, "validation": 1, "test": 2}
# Without gradients nothing is gained by small batches; this keeps a batch's activations within a few megabytes.
_EVALUATION_BATCH = 8192
# A block of training rows is gathered at once and cut into batches: what a step costs besides its arithmetic (the
# gather's launches, Lightning's loop around training_step) is paid once a block. 32 batches of 512 rows are 2 MB.
_BLOCK_ROWS = 1 << 14


def split_number(split: str) -> int:
    """The number of the split of that name; `InputError` for any other."""
    return SPLITS[one_of("split", split, tuple(SPLITS))]


def mix_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers, such that (0, 1) and (1, 0) give unrelated streams."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def check_finite(side: str, encoded: Encoded) -> None:
    """Refuse encoded features with nan or infinite values: one of them would make every loss nan."""
    bad = (~np.isfinite(encoded.numeric)).sum(axis=0)
    if bad.any():
        raise SchemaError(
            f"Encoded {side} are not finite. Encode them with Schema.encode_{side}, which fills what is missing.",
            [f"numeric feature {i}: {n:,} of {len(encoded.numeric):,} rows" for i, n in enumerate(bad) if n],
        )


def check_encoded(schema: Schema, **sides: Encoded) -> None:
    """Refuse features that were encoded with another schema, as far as their shapes and indices show it.

    Parameters
    ----------
    schema
        The model's.
    sides
        ``customers`` and ``funds``.

    Raises
    ------
    SchemaError
        If the number of columns differs, or a category index lies outside the schema's.
    """
    problems = []
    for side, encoded in sides.items():
        features = schema.customer_features if side == "customers" else schema.fund_features
        sizes = [len(f.categories) + 1 for f in features if f.kind == "categorical"]
        n_numeric = len(features) - len(sizes)
        if encoded.categorical.shape[1] != len(sizes) or encoded.numeric.shape[1] != n_numeric:
            problems.append(
                f"{side}: the model's schema has {len(sizes)} categorical and {n_numeric} numeric features, the data "
                f"{encoded.categorical.shape[1]} and {encoded.numeric.shape[1]}"
            )
        elif encoded.categorical.size and (
            (encoded.categorical.max(axis=0) >= sizes).any() or encoded.categorical.min() < 0
        ):
            problems.append(f"{side}: category indices outside the model's schema")
    if problems:
        raise SchemaError("The data were encoded with another schema than the model's.", problems)


class DeviceRows:
    """Log rows, customer features and fund features as tensors on one device.

    Customer and fund features are stored once each; a batch gathers them by index. `weight` is None, or what each log
    row counts in the loss.
    """

    def __init__(
        self,
        log: LogArrays,
        customers: Encoded,
        funds: Encoded,
        device: torch.device,
        weight: np.ndarray | None = None,
    ):
        def put(values: np.ndarray, dtype: torch.dtype) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values)).to(device=device, dtype=dtype)

        self.device = device
        self.customer = put(log.customer, torch.int64)
        self.fund = put(log.fund, torch.int64)
        self.converted = put(log.converted, torch.bool)
        self.amount = put(log.amount, torch.float32)
        self.weight = None if weight is None else put(weight, torch.float32)
        self.customer_categorical = put(customers.categorical, torch.int32)
        self.customer_numeric = put(customers.numeric, torch.float32)
        self.fund_categorical = put(funds.categorical, torch.int32)
        self.fund_numeric = put(funds.numeric, torch.float32)

    def batch(self, rows: Tensor) -> Batch:
        """The batch of the log rows with these indices."""
        customer, fund = self.customer[rows], self.fund[rows]
        batch = {
            "customer": customer,
            "fund": fund,
            "customer_categorical": self.customer_categorical[customer],
            "customer_numeric": self.customer_numeric[customer],
            "fund_categorical": self.fund_categorical[fund],
            "fund_numeric": self.fund_numeric[fund],
            "converted": self.converted[rows],
            "amount": self.amount[rows],
        }
        if self.weight is not None:
            batch["weight"] = self.weight[rows]
        return batch


class RowBatches:
    """Batches of some rows, for a Trainer: an iterable with a length, made by slicing an index.

    Parameters
    ----------
    rows
        The tensors to gather from.
    index
        Which log rows, (N,) int64 on the rows' device.
    batch_size
        Rows a batch; the last one may be smaller.
    shuffle_seed
        Called at the start of each pass; its answer decides the order. None keeps the log's order.
    shard
        (rank, processes): of every batch this process gets every `processes`-th row.
    """

    def __init__(
        self,
        rows: DeviceRows,
        index: Tensor,
        batch_size: int,
        shuffle_seed: Callable[[], int] | None = None,
        shard: tuple[int, int] = (0, 1),
    ):
        self.rows, self.index, self.batch_size, self.shuffle_seed, self.shard = (
            rows,
            index,
            batch_size,
            shuffle_seed,
            shard,
        )

    def __len__(self) -> int:
        return (len(self.index) + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        index = self.index
        if self.shuffle_seed is not None:
            # drawn on the CPU, so that every device sees the same order
            generator = torch.Generator().manual_seed(self.shuffle_seed())
            index = index[torch.randperm(len(index), generator=generator).to(index.device)]
        rank, processes = self.shard
        for start in range(0, len(index), self.batch_size):
            chosen = index[start : start + self.batch_size]
            batch = self.rows.batch(chosen[rank::processes])
            if processes > 1:
                batch["rows"] = torch.tensor(len(chosen))  # of all processes together
            yield batch


class ExposureModule(pl.LightningDataModule):
    """An exposure log for a Trainer, its rows resident on the training device.

    Parameters
    ----------
    log
        Checked log rows: customer and fund as row indices, outcome, split.
    customers, funds
        Encoded features, one row a customer and one row a fund.
    batch_size
        Rows a training step.
    device
        "auto": the Trainer's device, or without a Trainer the best usable one. "cpu" or "cuda": that one.
    seed
        Decides the order of rows, together with the epoch's number.
    schema
        Where given, a model with another schema is refused, naming the columns.
    tolerance, risk
        Risk tolerance (U,) and risk level (F,) where they are known: pairs that may not be shown then do not count as
        missing overlap.

    Raises
    ------
    InputError
        If `batch_size` is not a positive integer.
    SchemaError
        If an encoded feature is not finite.
    """

    def __init__(
        self,
        log: LogArrays,
        customers: Encoded,
        funds: Encoded,
        batch_size: int = 512,
        device: str = "auto",
        seed: int = 0,
        schema: Schema | None = None,
        tolerance: np.ndarray | None = None,
        risk: np.ndarray | None = None,
    ):
        super().__init__()
        from ptofa_gpu.datasets.log import LogArrays
        from ptofa_gpu.prediction.schema import Encoded

        instance("log", log, LogArrays, "from check_log"), instance("customers", customers, Encoded)
        instance("funds", funds, Encoded)
        batch_size = whole("batch_size", batch_size, 1)
        one_of("device", device, DEVICES)
        for side, encoded in (("customers", customers), ("funds", funds)):
            check_finite(side, encoded)
        self.log, self.customers, self.funds, self.schema = log, customers, funds, schema
        self.batch_size, self.device, self.seed = batch_size, device, seed_of(seed)
        self.tolerance, self.risk = tolerance, risk
        self.weight: np.ndarray | None = None
        self._rows: DeviceRows | None = None

    @cached_property
    def label_statistics(self) -> LabelStatistics:
        """Statistics of the training rows' labels; raises DegenerateModelError where nothing can be learned."""
        train = self.log.split == SPLITS["train"]
        return LabelStatistics.of(self.log.converted[train], self.log.amount[train])

    def n_rows(self, split: str) -> int:
        """Number of log rows in "train", "validation" or "test"."""
        return int(np.count_nonzero(self.log.split == split_number(split)))

    def check_fits(self, model_schema: Schema) -> None:
        """Refuse a model whose schema does not describe these rows.

        Raises
        ------
        SchemaError
            If the number of columns differs, or a category index lies outside the schema's.
        """
        check_encoded(model_schema, customers=self.customers, funds=self.funds)

    def eligible(self, customers: slice) -> np.ndarray:
        """Which pairs of these customers may be shown, (rows, F) bool; all where risk is not known."""
        if self.tolerance is None or self.risk is None:
            rows = len(range(*customers.indices(len(self.customers))))
            return np.ones((rows, len(self.funds)), dtype=bool)
        return self.tolerance[customers, None] >= self.risk

    def never_shown(self) -> list[int]:
        """Funds without a training row."""
        shown = np.bincount(self.log.fund[self.log.split == SPLITS["train"]], minlength=len(self.funds))
        return np.flatnonzero(shown == 0).tolist()

    def fund_name(self, schema: Schema, fund: int) -> str:
        """What fund number `fund` is called; its row number if the schema does not know it."""
        code = int(self.funds.categorical[fund, 0])
        return schema.fund_features[0].categories[code - 1] if code else f"fund {fund}"

    def present_categories(self, schema: Schema) -> tuple[list[Tensor], list[Tensor]]:
        """For each categorical feature of customers, and of funds, which of its indices occur in training rows."""
        sides = schema.customer_features, schema.fund_features
        sizes = [[f.cardinality for f in side if f.kind == "categorical"] for side in sides]
        train = self.log.split == SPLITS["train"]
        out = []
        for encoded, rows, size in zip((self.customers, self.funds), (self.log.customer, self.log.fund), sizes):
            codes = encoded.categorical[np.unique(rows[train])]
            out.append([torch.as_tensor(np.bincount(codes[:, i], minlength=n) > 0) for i, n in enumerate(size)])
        return out[0], out[1]

    def weigh(self, weight: np.ndarray | None) -> None:
        """Let each log row count `weight` (N,) in the loss from now on; None counts all alike."""
        if weight is not None and weight.shape != (len(self.log),):
            raise InputError(f"weight has shape {weight.shape}; one number for each of {len(self.log):,} rows is due.")
        self.weight = weight
        if self._rows is not None:
            device = self._rows.device
            self._rows.weight = None if weight is None else torch.as_tensor(weight, dtype=torch.float32, device=device)

    def rows(self) -> DeviceRows:
        """The rows on the device; moved at the first call, and again only if the device changes."""
        device = self._target_device()
        if self._rows is None or self._rows.device != device:
            self._rows = DeviceRows(self.log, self.customers, self.funds, device, self.weight)
        return self._rows

    def _target_device(self) -> torch.device:
        from ptofa_gpu.device import torch_device

        if self.trainer is None:
            return torch_device(self.device)
        root = self.trainer.strategy.root_device
        if self.device != "auto" and torch_device(self.device).type != root.type:
            raise DeviceError(
                f"The rows were asked onto {self.device!r}, but the Trainer runs on {root.type!r}: every step would "
                f"copy its batch. Pass accelerator={'gpu' if self.device == 'cuda' else 'cpu'!r} or device='auto'."
            )
        return root

    def batches(
        self, split: str, batch_size: int | None = None, shuffle: bool = False, sharded: bool = False
    ) -> RowBatches:
        """Batches of one split, in the log's order or shuffled by (seed, the Trainer's epoch).

        `sharded` gives a process of several its share of every batch; without it each process sees all rows.
        """
        rows = self.rows()
        index = torch.as_tensor(np.flatnonzero(self.log.split == split_number(split))).to(rows.device)
        order = (lambda: mix_seed(self.seed, self.trainer.current_epoch if self.trainer else 0)) if shuffle else None
        shard = (self.trainer.global_rank, self.trainer.world_size) if sharded and self.trainer else (0, 1)
        return RowBatches(rows, index, batch_size or max(self.batch_size, _EVALUATION_BATCH), order, shard)

    def steps_a_block(self) -> int:
        """Batches that `train_dataloader` hands out at a time."""
        return max(1, _BLOCK_ROWS // self.batch_size)

    def train_dataloader(self) -> RowBatches:
        """Training rows in an order of their own each epoch, in blocks of `steps_a_block` batches."""
        return self.batches("train", self.batch_size * self.steps_a_block(), shuffle=True, sharded=True)

    def val_dataloader(self) -> RowBatches | list:
        """Validation rows; nothing where the log has none."""
        return self.batches("validation", sharded=True) if self.n_rows("validation") else []

    def test_dataloader(self) -> RowBatches | list:
        """Test rows; nothing where the log has none."""
        return self.batches("test", sharded=True) if self.n_rows("test") else []

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing to do: the rows are there."""
        return batch
