"""A training step recorded once and replayed: 512 rows keep a GPU busy for less time than launching the step takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Steps that are run as they are before one is recorded, so that lazily made workspaces exist.
_WARM_UP = 3
Step = Callable[[tuple[Tensor, ...]], Tensor]
#: Records a function of no argument and gives one that repeats it on the same memory.
Record = Callable[[Callable[[], None], Sequence[torch.Generator]], Callable[[], None]]


def record_cuda_graph(work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
    """Record `work` as a CUDA graph; random numbers of `generators` go on from replay to replay."""
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class ReplayedStep:
    """Runs a step on batches of one shape by replaying a recording, and on others as it is.

    Parameters
    ----------
    step
        One training step: tensors of a batch in, the step's summed loss out. It must neither synchronise nor depend on
        the values of host variables.
    before
        Called before recording, with nothing: forgets gradients, so that the recording writes rather than adds them.
    generators
        Gives the generators the step draws from.
    record
        How to record; `record_cuda_graph` on a GPU.
    """

    def __init__(
        self,
        step: Step,
        before: Callable[[], None],
        generators: Callable[[], Sequence[torch.Generator]],
        record: Record = record_cuda_graph,
    ):
        self.step, self.before, self.generators, self.record = step, before, generators, record
        self.static: tuple[Tensor, ...] | None = None
        self.replay: Callable[[], None] | None = None
        self.loss: Tensor | None = None
        self.seen = 0

    def __call__(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Train on a batch; the summed loss is overwritten by the next call."""
        if self.static is None:
            self.seen += 1
            if self.seen <= _WARM_UP:
                return self.step(batch)
            self._record(batch)
        assert self.static is not None
        if any(mine.shape != theirs.shape for mine, theirs in zip(self.static, batch, strict=True)):
            return self.step(batch)  # the last, smaller batch of an epoch
        for mine, theirs in zip(self.static, batch, strict=True):
            mine.copy_(theirs, non_blocking=True)
        assert self.replay is not None
        self.replay()
        assert self.loss is not None
        return self.loss

    def _record(self, batch: tuple[Tensor, ...]) -> None:
        self.static = tuple(x.clone() for x in batch)
        self.before()

        def work() -> None:
            assert self.static is not None
            self.loss = self.step(self.static)

        self.replay = self.record(work, self.generators())
