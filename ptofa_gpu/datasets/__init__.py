"""Data: synthetic worlds with known truth, and readers of public data sets.

``lct``            a synthetic campaign in the shape of the paper's LCT-A or LCT-B, the truth known
``lct_stream``     the same block by block, up to the paper's full size and beyond
``cdnow``          customer value over a horizon from past purchases, split in time
``hillstrom``      64,000 customers of an e-mail campaign whose arms were assigned at random
``ExposureData``   a log, its customers and its funds; ``ExposureData.from_frames`` takes your own
``check_log``      the check they all go through
"""

# Imported here and now, not on first use: `lct`, `cdnow` and `hillstrom` are functions in modules of the same name, and
# an import of such a module later would put the module in the function's place. No heavy package is imported by this.
from ptofa_gpu.datasets.base import ExposureData
from ptofa_gpu.datasets.cdnow import cdnow
from ptofa_gpu.datasets.hillstrom import hillstrom
from ptofa_gpu.datasets.lct import PAPER_SCALE, lct
from ptofa_gpu.datasets.log import LogArrays, check_log
from ptofa_gpu.datasets.stream import WorldBlock, WorldStream, lct_stream
from ptofa_gpu.datasets.truth import Truth, TruthRows

__all__ = [
    "PAPER_SCALE",
    "ExposureData",
    "LogArrays",
    "Truth",
    "TruthRows",
    "WorldBlock",
    "WorldStream",
    "cdnow",
    "check_log",
    "hillstrom",
    "lct",
    "lct_stream",
]
