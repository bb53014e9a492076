"""The settings of `swarm train macpo`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from swarm_env.scenario.settings import Fault, Section, faulty, load_settings
from trainers.games.live import GROUPS
from trainers.games.market import Sees
from trainers.settings import MarketGameSettings, RunSettings
from trainers.weak_teachers import Supervision

#: What `hidden` may be.
LAYERS: dict[str, Any] = {"allowed": "a list of at most 8 whole numbers in [1, 4096]"}
MIX = ("honest", "opportunistic", "deceptive")  #: what an entry of `mixes` counts


class Fit(RunSettings):
    """Supervised learning of one policy; see `Teachers` and `Student`."""

    hidden: tuple[int, ...] = Field(default=(), description="units of its layers", json_schema_extra=LAYERS)

    epochs: int = Field(default=3, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=1, ge=1, le=10_000, description="likewise of its negative twin, from there")
    batch: int = Field(default=32, ge=1, le=1_000_000, description="contexts of an update")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class Student(Fit):
    """``student:``."""

    hidden: tuple[int, ...] = Field(default=(128, 128), description="units of its layers", json_schema_extra=LAYERS)


class Teachers(Fit):
    """``teachers:``."""

    count: int = Field(default=3, ge=1, le=16, description="K")
    hidden: tuple[int, ...] = Field(default=(16,), description="units of the layers of each", json_schema_extra=LAYERS)
    epochs: int = Field(default=60, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=20, ge=1, le=10_000, description="likewise of its negative twin, from there")
    learning_rate: float = Field(default=1e-2, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class Contrast(Section):
    """``contrast:``: contrastive preference optimisation, the same for every agent."""

    beta: float = Field(default=0.1, gt=0, le=100, description="of DPO")
    gamma: float = Field(default=0.2, ge=0, le=100, description="weight of the SFT term on chosen answers")
    epochs: int = Field(default=1, ge=1, le=1000, description="passes over the round's pairs")
    batch: int = Field(default=32, ge=1, le=1_000_000, description="pairs of an update")
    learning_rate: float = Field(default=6e-4, gt=0, le=1, description="Adam's at the start; it falls as a cosine")
    decay: float = Field(default=1.0, gt=0, le=1, description="of the learning rate from round to round")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6, description="gradients are clipped to this norm")
    reference: Literal["initial", "previous"] = Field(
        default="initial", description="policy that DPO compares with: of round 0, or of the round before"
    )
    balance: bool = Field(default=False, description="weigh pairs so that both decisions weigh the same")
    drop_equal: bool = Field(default=False, description="leave out pairs whose chosen answer is also the rejected one")
    replay: float = Field(default=0.0, ge=0, le=1, description="pairs of each earlier round, as a share of this one's")


class Config(MarketGameSettings):
    """configs/macpo.yaml. The defaults are the published method; what is beyond it says so."""

    scenario: str = Field(
        default="alignment_waltz_targeted_feedback", min_length=1, description="a YAML file, or a shipped scenario's id"
    )
    overrides: tuple[str, ...] = Field(
        default=(),
        description="of the scenario's settings",
        json_schema_extra={"allowed": "a list of key.path=value, as in [governance.audit_enabled=false]"},
    )
    populations: int = Field(default=32, ge=1, le=65_536, description="populations drawn around the scenario's")
    population_spread: float = Field(default=0.5, ge=0, le=100, description="how far around; 0: only the scenario's")
    mixes: tuple[tuple[int, ...], ...] = Field(
        default=(),
        description="agents in rounds 0..T instead of the scenario's; beyond the paper, with fresh contexts",
        json_schema_extra={"allowed": "a list of T + 1 lists of three counts: honest, opportunistic, deceptive"},
    )
    num_envs: int = Field(default=256, ge=16, le=1_000_000, description=f"markets, a multiple of {GROUPS}")
    shares: dict[str, float] = Field(
        default={"disguised": 0.3, "overt": 0.2, "sensitive": 0.2, "plain": 0.3},
        description="of the kinds of proposals among contexts; {} as the markets have them",
        json_schema_extra={"allowed": "disguised, overt, sensitive, plain: numbers in [0, 1] that add up to 1"},
    )
    sees: Sees = Field(
        default="ledger",
        description="what agents see of a proposal: its surface, a responder's observation, the ledger too",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of weights, draws and markets")

    contexts: int = Field(default=2048, ge=1, le=10_000_000, description="proposals of either half")
    held_out: int = Field(default=4096, ge=1, le=10_000_000, description="proposals that agents are judged on")
    supervision: Supervision = Field(default_factory=Supervision, description="what the teachers are told")
    teachers: Teachers = Field(default_factory=Teachers, description="the weak ones")
    student: Student = Field(default_factory=Student, description="the strong one")
    weak_labels: Literal["first", "mixed", "majority"] = Field(
        default="first", description="who labels for the student's start: teacher 1, any by chance, most of them"
    )
    contrast: Contrast = Field(default_factory=Contrast, description="what happens in each round")

    rounds: int = Field(default=3, ge=0, le=1000, description="T")
    order: Literal["student_first", "teachers_first", "simultaneous"] = Field(
        default="student_first", description="who is updated first; simultaneous: from the same answers"
    )
    selection: Literal["min_perplexity", "random", "majority", "all_teachers", "other_teachers"] = Field(
        default="min_perplexity",
        description="of the student's positive: least perplexity under the student (published); any; the likeliest to "
        "the student of those that most teachers agree with; the likeliest under all, or all other, teachers",
    )
    negatives: Literal["fixed", "refreshed"] = Field(
        default="fixed", description="negative answers made once, or by twins made anew from each round's positives"
    )
    decoding: Literal["greedy", "sample"] = Field(default="greedy", description="how agents answer")
    fresh_contexts: bool = Field(default=False, description="new ones each round, met while the student governs")
    mutual: bool = Field(default=True, description="false: -MP, everyone's positive is its own answer (self-alignment)")
    hard_negatives: bool = Field(default=True, description="false: -HN, SFT on positives alone")
    iterate_teachers: bool = Field(default=True, description="false: -IW, teachers stay as they start")
    keep: Literal["last", "agreement"] = Field(
        default="last", description="student that is kept: the last, or of the round that agrees most with round 0's "
        "teachers' majority on proposals without labels",
    )  # fmt: skip

    threads: int = Field(default=1, ge=1, le=256, description="of torch; with a busy neighbour two are slower than one")
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
    def consistent(self) -> Config:
        """Refuse what would be said and not done."""
        if self.selection == "other_teachers" and self.teachers.count < 2:
            raise faulty(Fault(("selection",), "other_teachers, and there is one teacher", "teachers.count >= 2"))
        if self.contrast.replay and self.fresh_contexts is False and self.rounds < 2:
            raise faulty(Fault(("contrast", "replay"), "no round has an earlier one", "rounds >= 2"))
        if self.mixes:
            self._check_mixes()
        return self

    def _check_mixes(self) -> None:
        allowed = f"{self.rounds + 1} lists (rounds 0..{self.rounds}) of three counts >= 0, of one sum >= 2"
        fine = len(self.mixes) == self.rounds + 1
        fine = fine and all(len(mix) == len(MIX) and min(mix) >= 0 for mix in self.mixes)
        if not fine or len({sum(mix) for mix in self.mixes}) != 1 or sum(self.mixes[0]) < 2:
            raise faulty(Fault(("mixes",), f"{[list(mix) for mix in self.mixes]}", allowed))
        if not self.fresh_contexts:
            raise faulty(Fault(("mixes",), "populations shift and contexts do not", "fresh_contexts: true with it"))


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file, "key=value" overrides applied; ScenarioError names what is wrong with it."""
    return load_settings(Config, path, overrides, example="scenario: alignment_waltz_targeted_feedback")
