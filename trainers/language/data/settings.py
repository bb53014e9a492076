"""The `data:` part of configs: which tables to train on, which to evaluate on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from swarm_env.scenario.errors import listing, nearest
from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.language.data.schemas import SCHEMAS, Schema
from trainers.language.prompts import KINDS


def check_use(name: str, use: str) -> None:
    """Refuse a use that a dataset is not for.

    Raises:
        ValueError: it is not; the message quotes the reason.
    """
    schema = SCHEMAS[name]
    if use not in schema.uses:
        raise ValueError(f"{schema.title} ({name}) is not for {use}ing: {schema.why}".replace("evaling", "evaluating"))


class SourceSettings(Section):
    """A table: a file, or a dataset of the Hugging Face hub."""

    dataset: str = Field(
        description="what its columns are, see trainers.language.data.SCHEMAS",
        json_schema_extra={"allowed": "one of " + ", ".join(SCHEMAS)},
    )
    path: str | None = Field(default=None, min_length=1, description="a .csv, .tsv, .jsonl, .json or .parquet file")
    hub: str | None = Field(default=None, min_length=1, description="in place of path: the dataset's name on the hub")
    config: str | None = Field(default=None, min_length=1, description="on the hub; null: the dataset's usual one")
    split: str | None = Field(default=None, min_length=1, description="on the hub; null: the dataset's usual one")
    data_dir: str | None = Field(default=None, min_length=1, description="on the hub: a folder, as harmless-base")
    kinds: tuple[str, ...] = Field(
        default=(),
        description="kinds of prompts to keep; [] for all",
        json_schema_extra={"allowed": "a list out of " + ", ".join(KINDS)},
    )
    limit: int | None = Field(default=None, ge=1, le=10**9, description="records to draw at most; null for all")
    share: float | None = Field(default=None, gt=0, le=1, description="of `total`, where sources are mixed by shares")

    @property
    def schema_(self) -> Schema:
        """Of the dataset."""
        return SCHEMAS[self.dataset]

    @field_validator("kinds", mode="before")
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """YAML has lists."""
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def one_place(self) -> SourceSettings:
        """Refuse unknown names, and sources in no place or in two."""
        if self.dataset not in SCHEMAS:
            fault = Fault(("dataset",), "no such dataset", "one of " + listing(SCHEMAS), nearest(self.dataset, SCHEMAS))
            raise faulty(fault)
        if (self.path is None) == (self.hub is None):
            what = "neither path nor hub is given" if self.path is None else "path and hub are both given"
            raise faulty(Fault((), what, f'path: a file; or hub: as in "{self.schema_.hub}"'))
        if self.path is not None and (self.config or self.split or self.data_dir):
            raise faulty(Fault((), "config, split and data_dir are of the hub, not of a file", "path alone"))
        for kind in self.kinds:
            if kind not in KINDS:
                raise faulty(Fault(("kinds",), f"no such kind: {kind}", ", ".join(KINDS), nearest(kind, KINDS)))
        if self.limit is not None and self.share is not None:
            raise faulty(Fault(("share",), "limit and share are both given", "one of them"))
        return self


class DataSettings(Section):
    """``data:``."""

    train: tuple[SourceSettings, ...] = Field(default=(), description="sources to train on")
    evaluation: tuple[SourceSettings, ...] = Field(default=(), description="sources to evaluate on")
    exclude: tuple[SourceSettings, ...] = Field(default=(), description="sources to keep out of training as well")
    total: int | None = Field(default=None, ge=1, le=10**9, description="records to train on, mixed by the shares")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of draws and shuffles")
    deduplicate: bool = Field(default=True, description="do not train on prompts of `evaluation` and `exclude`")
    max_bad_share: float = Field(default=0.1, ge=0, le=1, description="of a source's rows; more is an error")

    @field_validator("train", "evaluation", "exclude", mode="before")
    @classmethod
    def as_tuple(cls, value: Any) -> Any:
        """YAML has lists; one source need not be a list."""
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, dict) else value

    @field_validator("train", "evaluation")
    @classmethod
    def allowed(cls, value: tuple[SourceSettings, ...], info: Any) -> tuple[SourceSettings, ...]:
        """Refuse datasets that may not be used so."""
        use = "train" if info.field_name == "train" else "eval"
        for index, source in enumerate(value):
            try:
                check_use(source.dataset, use)
            except ValueError as error:
                others = [name for name, schema in SCHEMAS.items() if use in schema.uses]
                raise faulty(Fault((index, "dataset"), str(error), "one of " + ", ".join(others))) from error
        return value

    @model_validator(mode="after")
    def mixable(self) -> DataSettings:
        """Refuse mixes that are none."""
        kinds = {source.schema_.preferences for source in self.train}
        if len(kinds) > 1:
            raise faulty(Fault(("train",), "prompts and preferences do not mix", "sources of one sort"))
        shares = [source.share for source in self.train]
        given = [share for share in shares if share is not None]
        if given and (len(given) < len(shares) or abs(sum(given) - 1) > 1e-6 or self.total is None):
            raise faulty(Fault(("train",), "shares are incomplete", "a share for every source, 1 in all, and a total"))
        if self.total is not None and not given:
            raise faulty(Fault(("total",), "the sources have no shares", "null, or a share for every source"))
        if any(source.share is not None for source in (*self.evaluation, *self.exclude)):
            raise faulty(Fault(("evaluation",), "shares are for training", "limit"))
        return self
