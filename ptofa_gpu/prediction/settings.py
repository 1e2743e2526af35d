"""The settings of a `RevenueModel`, checked where they are made; a file's settings go through the same check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ptofa_gpu._arguments import listed, number, one_of, seed_of, text_of, whole
from ptofa_gpu.errors import InputError

DEBIAS = ("adjust", "ipw", "dr")
# What "auto" means; the other methods are baselines, trained as the literature trains them.
_DEFAULT_DEBIAS = {"ptofa": "adjust"}
#: Beyond these a network is a mistake: its weights alone would take gigabytes.
MOST_WIDTH, MOST_EMBEDDING, MOST_LAYERS = 16_384, 4_096, 64


@dataclass(frozen=True)
class ModelSettings:
    """What `RevenueModel` is given beside the schema, as plain numbers and text; see there what each means.

    Raises
    ------
    InputError
        For a setting out of its range; options that only some methods have are checked by the method.
    """

    method: str
    counterfactual: str | None
    dropout: float
    lr: float
    embedding: int
    hidden: Sequence[int]
    eps: float | None
    label: str | None
    debias: str | None
    clip: float
    seed: int

    def __post_init__(self) -> None:
        from ptofa_gpu.prediction import methods

        hidden = listed("hidden", self.hidden, "one or more widths of layers")
        if not 1 <= len(hidden) <= MOST_LAYERS:
            raise InputError(f"hidden has {len(hidden)} layers; one or more widths are needed, at most {MOST_LAYERS}.")
        checked: dict[str, Any] = {
            "method": methods.known(self.method),
            "dropout": number("dropout", self.dropout, "a share from 0 to below 1", least=0.0, below=1.0),
            "lr": number("lr", self.lr, "a positive learning rate", above=0.0),
            "embedding": whole("embedding", self.embedding, 1, MOST_EMBEDDING),
            "hidden": [whole(f"hidden[{i}]", width, 1, MOST_WIDTH) for i, width in enumerate(hidden)],
            "debias": resolve_debias(self.method, one_of("debias", self.debias, (*DEBIAS, "auto", None))),
            "clip": number("clip", self.clip, "the largest weight, a number of at least 1", least=1.0),
            "seed": seed_of(self.seed),
        }
        for name in ("counterfactual", "label"):
            if getattr(self, name) is not None:
                checked[name] = text_of(name, getattr(self, name))
        if self.eps is not None:
            needed = "an amount near zero in units of the median amount, so 0 < eps < 1"
            checked["eps"] = number("eps", self.eps, needed, above=0.0, below=1.0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """Those that the method itself takes, as far as they were given."""
        own = {"counterfactual": self.counterfactual, "eps": self.eps, "label": self.label}
        return {name: value for name, value in own.items() if value is not None}

    def plain(self) -> dict[str, Any]:
        """All of them, as a file holds them."""
        return asdict(self)


def resolve_debias(method: str, debias: str | None) -> str | None:
    """What "auto" means for a method; any other value as it is."""
    return _DEFAULT_DEBIAS.get(method) if debias == "auto" else debias
