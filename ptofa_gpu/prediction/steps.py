"""Training on a block of rows, batch by batch, with nothing between the batches that is not arithmetic.

A training step on 512 rows takes a few milliseconds on a CPU and a tenth of one on a GPU, where Lightning's loop around
`training_step` would be most of the time. So `training_step` gets a block of some dozen batches: labels are computed
once a block, losses are added up on the device, and on a GPU the step is replayed as a CUDA graph.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptofa_gpu.errors import InputError, PtofaWarning
from ptofa_gpu.prediction._graphs import ReplayedStep
from ptofa_gpu.prediction.networks import SeededDropout

if TYPE_CHECKING:
    from ptofa_gpu.prediction.data import Batch
    from ptofa_gpu.prediction.model import RevenueModel


class BlockSteps:
    """Takes a model in training through blocks of rows.

    Parameters
    ----------
    model
        Attached to a Trainer.
    """

    def __init__(self, model: RevenueModel):
        self.model = model
        self.trainer = model.trainer
        self.batch_size = self.trainer.datamodule.batch_size  # type: ignore[attr-defined]
        self.processes = self.trainer.world_size
        if self.batch_size % self.processes:
            raise InputError(
                f"batch_size={self.batch_size} cannot be shared by {self.processes} processes: use a multiple of them."
            )
        self.optimizer = model.optimizers()
        # with several processes, or scaled losses, Lightning has a hand in every step
        self.plain = self.processes == 1 and str(self.trainer.precision) == "32-true"
        self.names: tuple[str, ...] = ()
        self.replayed: ReplayedStep | None = None
        if self.plain and model.device.type == "cuda":
            self.replayed = ReplayedStep(self._plain_step, self._forget_gradients, self._generators)

    def run(self, block: Batch) -> tuple[Tensor, int]:
        """Train on a block; the sum of its rows' losses and their number."""
        here = len(block["converted"])
        total = int(block.pop("rows")) if "rows" in block else here  # of all processes
        tensors = self.model.labelled(block)
        self.names = tuple(tensors)
        size = self.batch_size // self.processes
        steps = -(-total // self.batch_size)
        losses = []
        for k in range(steps):
            batch = tuple(values[k * size : (k + 1) * size] for values in tensors.values())
            if k == steps - 1 or not self.plain:  # Lightning counts this step
                losses.append(self._counted_step(batch, min(self.batch_size, total - k * self.batch_size)))
            elif self.replayed is not None:
                losses.append(self._replay(batch).clone())
            else:
                losses.append(self._plain_step(batch))
        return torch.stack(losses).sum(dtype=torch.float64), here

    def _loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        return self.model.row_loss(dict(zip(self.names, batch, strict=True))).sum()

    def _plain_step(self, batch: tuple[Tensor, ...]) -> Tensor:
        loss = self._loss(batch)
        self._forget_gradients()
        (loss / len(batch[0])).backward()
        self.optimizer.optimizer.step()  # type: ignore[union-attr]
        return loss.detach()

    def _counted_step(self, batch: tuple[Tensor, ...], rows: int) -> Tensor:
        """A step that goes through Lightning; `rows` are those of all processes, whose gradients it averages."""
        loss = self._loss(batch)
        self._forget_gradients()
        self.model.manual_backward(loss * (self.processes / rows))
        self.optimizer.step()  # type: ignore[union-attr]
        return loss.detach()

    def _forget_gradients(self) -> None:
        self.optimizer.optimizer.zero_grad(set_to_none=True)  # type: ignore[union-attr]

    def _generators(self) -> list[torch.Generator]:
        layers = [m for m in self.model.modules() if isinstance(m, SeededDropout) and m.p > 0]
        return [layer.generator(self.model.device) for layer in layers]

    def _replay(self, batch: tuple[Tensor, ...]) -> Tensor:
        assert self.replayed is not None
        try:
            return self.replayed(batch)
        except RuntimeError as e:
            if self.replayed.replay is not None:  # it was recorded, so the error is the step's own
                raise
            warnings.warn(
                f"The training step could not be recorded as a CUDA graph ({e}); training goes on without it, slower.",
                PtofaWarning,
                stacklevel=2,
            )
            self.replayed = None
            return self._plain_step(batch)
