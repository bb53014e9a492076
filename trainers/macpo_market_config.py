"""The settings of MACPO in the market: configs/macpo.yaml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from swarm_env.scenario.settings import Fault, faulty, load_settings
from trainers.games.live import GROUPS
from trainers.games.market import Sees
from trainers.macpo_config import Contrast, Fit, MacpoSettings, TeacherFit
from trainers.settings import MarketGameSettings
from trainers.weak_teachers import Supervision

#: What `hidden` may be.
LAYERS: dict[str, Any] = {"allowed": "a list of at most 8 whole numbers in [1, 4096]"}
MIX = ("honest", "opportunistic", "deceptive")  #: what an entry of `mixes` counts


class Student(Fit):
    """``student:``."""

    hidden: tuple[int, ...] = Field(default=(128, 128), description="units of its layers", json_schema_extra=LAYERS)


class Teachers(TeacherFit):
    """``teachers:``."""

    hidden: tuple[int, ...] = Field(default=(16,), description="units of the layers of each", json_schema_extra=LAYERS)
    epochs: int = Field(default=60, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=20, ge=1, le=10_000, description="likewise of its negative twin, from there")
    learning_rate: float = Field(default=1e-2, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class MarketContrast(Contrast):
    """``contrast:``."""

    reference: Literal["initial", "previous"] = Field(
        default="initial", description="policy that DPO compares with: of round 0, or of the round before"
    )


class Config(MarketGameSettings, MacpoSettings):
    """The defaults are the published method; what is beyond it says so."""

    game: Literal["market"] = Field(default="market", description="what is played")
    populations: int = Field(default=32, ge=1, le=65_536, description="populations drawn around the scenario's")
    mixes: tuple[tuple[int, ...], ...] = Field(
        default=(),
        description="agents in rounds 0..T instead of the scenario's; beyond the paper, with fresh contexts",
        json_schema_extra={"allowed": "a list of T + 1 lists of three counts: honest, opportunistic, deceptive"},
    )
    num_envs: int = Field(default=256, ge=16, le=1_000_000, description=f"markets, a multiple of {GROUPS}")
    sees: Sees = Field(
        default="ledger",
        description="what agents see of a proposal: its surface, a responder's observation, the ledger too",
    )
    supervision: Supervision = Field(default_factory=Supervision, description="what the teachers are told")
    teachers: Teachers = Field(default_factory=Teachers, description="the weak ones")
    student: Student = Field(default_factory=Student, description="the strong one")
    contrast: MarketContrast = Field(default_factory=MarketContrast, description="what happens in each round")

    round_episodes: int = Field(default=32, ge=0, le=65_536, description="governed markets after each round")
    eval_episodes: int = Field(default=128, ge=0, le=65_536, description="governed markets at the end; 0 for none")

    @field_validator("mixes", mode="before")
    @classmethod
    def as_tuples(cls, value: Any) -> Any:
        """YAML has lists of lists."""
        if isinstance(value, list) and all(isinstance(mix, list) for mix in value):
            return tuple(map(tuple, value))
        return value

    @model_validator(mode="after")
    def shifting(self) -> Config:
        """Refuse populations that do not go with the rounds."""
        if not self.mixes:
            return self
        allowed = f"{self.rounds + 1} lists (rounds 0..{self.rounds}) of three counts >= 0, of one sum >= 2"
        fine = len(self.mixes) == self.rounds + 1
        fine = fine and all(len(mix) == len(MIX) and min(mix) >= 0 for mix in self.mixes)
        if not fine or len({sum(mix) for mix in self.mixes}) != 1 or sum(self.mixes[0]) < 2:
            raise faulty(Fault(("mixes",), f"{[list(mix) for mix in self.mixes]}", allowed))
        if not self.fresh_contexts:
            raise faulty(Fault(("mixes",), "populations shift and contexts do not", "fresh_contexts: true with it"))
        return self


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file, "key=value" overrides applied; ScenarioError names what is wrong with it."""
    return load_settings(Config, path, overrides, example="scenario: alignment_waltz_targeted_feedback")
