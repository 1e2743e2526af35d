"""What stands in files beside numbers, as pydantic models: schemas, models' settings, checkpoints' histories.

A file is read strictly: no text for a number, no name more or less. Imported where a file is read, and only there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_FORMAT = "ptofa-schema-1"
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StoredFeature(_Strict):
    """One feature of a schema."""

    name: str
    kind: str
    categories: list[str] = []
    mean: Finite = 0.0
    std: Finite = 1.0
    log1p: bool = False
    source: str = ""
    part: str = ""
    reference: str = ""


class StoredSchema(_Strict):
    """`Schema.to_json`."""

    format: Literal["ptofa-schema-1"]
    customer_features: list[StoredFeature]
    fund_features: list[StoredFeature]
    currency: str
    name: str


class StoredSettings(_Strict):
    """The settings of a `RevenueModel`; their ranges are `ModelSettings`' business."""

    features: str = Field(alias="schema")
    method: str
    counterfactual: str | None
    dropout: Finite
    lr: Finite
    embedding: int
    hidden: list[int]
    eps: Finite | None
    label: str | None
    debias: str | None
    clip: Finite
    seed: Count


class StoredExposure(_Strict):
    """What a model says of the exposures it was trained on."""

    text: str
    effective_share: Finite
    clipped_share: Finite
    overlap: dict[str, float]
    missing: list[str]
    forbidden_share: Finite


class _Loose(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", arbitrary_types_allowed=True)


class StoredModel(_Loose):
    """A file of `RevenueModel.save`, or a checkpoint of Lightning, which holds more."""

    format: Literal["ptofa-model-1"] | None = None
    version: str | None = Field(default=None, alias="pytorch-lightning_version")
    settings: StoredSettings = Field(alias="hyper_parameters")
    state_dict: dict[str, Any]
    exposure: StoredExposure | None = None


class _History(_Loose):
    rows: list[dict[str, float]]


class _Callbacks(_Loose):
    history: _History = Field(alias="History")


class StoredRun(_Loose):
    """What a checkpoint of `fit` has beside a model, to go on from."""

    epoch: Count
    global_step: Count
    callbacks: _Callbacks
    optimizer_states: list[dict[str, Any]]
    loops: dict[str, Any]


def problems_of(error: ValidationError) -> list[str]:
    """What is wrong, one line a place."""
    found = []
    for e in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in e["loc"])
        found.append(f"{where}: {e['msg'][:1].lower()}{e['msg'][1:]}" if where else e["msg"])
    return found
