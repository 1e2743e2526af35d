"""The errors and warnings this package raises. Each message says what is wrong, where, and what to do."""

from __future__ import annotations


class PtofaError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(PtofaError, ValueError):
    """An argument, array or data frame is not what the call needs."""


class SchemaError(InputError):
    """A data frame disagrees with its schema; ``problems`` lists everything that is wrong, with row counts."""

    def __init__(self, what: str, problems: list[str]):
        self.problems = list(problems)
        alone = len(self.problems) == 1
        super().__init__(f"{what} {self.problems[0]}" if alone else what + "".join(f"\n  - {p}" for p in self.problems))


class InfeasibleError(PtofaError):
    """No plan can meet the constraints; the message names the funds, the tolerances and how many are short."""


class AllocationError(PtofaError):
    """A plan breaks a constraint it claims to keep; the message names the first violation."""


class DeviceError(PtofaError, RuntimeError):
    """A device was asked for by name and is not usable; the message says what to install."""


class EngineError(PtofaError, RuntimeError):
    """The compiled engine is missing, belongs to other sources, or failed; the message says how to make it again."""


class OutOfMemoryError(PtofaError, MemoryError):
    """The call needs more memory than it may use; the message gives the bytes and a block size that would fit."""


class MissingPackageError(PtofaError, ImportError):
    """An optional package is needed by this call and is not installed."""


class NotAvailableError(PtofaError, NotImplementedError):
    """A method that is named in the interface and is not part of this version."""


class DegenerateModelError(PtofaError):
    """The training data or settings lead to a model without meaning; the message says how to mend them."""


class OutputError(PtofaError, OSError):
    """A file could not be written, because the disk is full or broken; an earlier file of the name is as it was."""


class ReportError(PtofaError):
    """A notebook failed; ``path`` is the partly executed notebook, kept so that it can be looked at.

    ``traceback`` holds the last lines of its traceback; ``index`` is the report's front where one was written.
    """

    def __init__(self, message: str, path: str | None = None, index: str | None = None):
        super().__init__(message)
        self.path, self.index = path, index
        self.traceback: list[str] = []


class DataNotFoundError(PtofaError, FileNotFoundError):
    """A public data set is neither on this machine nor reachable; the message lists where was looked."""


class PtofaWarning(UserWarning):
    """Something the caller should know: a fallback of ``device="auto"``, a degenerate model, a clipped weight."""
