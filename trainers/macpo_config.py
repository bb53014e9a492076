"""What the settings of `swarm train macpo` have in common, whichever game is played."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.settings import RunSettings


class Fit(RunSettings):
    """Supervised learning of one policy."""

    epochs: int = Field(default=3, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=1, ge=1, le=10_000, description="likewise of its negative twin, from there")
    batch: int = Field(default=32, ge=1, le=1_000_000, description="contexts of an update")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class TeacherFit(Fit):
    """Of each weak teacher; games add how they are weak."""

    count: int = Field(default=3, ge=1, le=16, description="K")


class Contrast(Section):
    """``contrast:``: contrastive preference optimisation, the same for every agent."""

    beta: float = Field(default=0.1, gt=0, le=100, description="of DPO")
    gamma: float = Field(default=0.2, ge=0, le=100, description="weight of the SFT term on chosen answers")
    epochs: int = Field(default=1, ge=1, le=1000, description="passes over the round's pairs")
    batch: int = Field(default=32, ge=1, le=1_000_000, description="pairs of an update")
    learning_rate: float = Field(default=6e-4, gt=0, le=1, description="Adam's at the start; it falls as a cosine")
    decay: float = Field(default=1.0, gt=0, le=1, description="of the learning rate from round to round")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6, description="gradients are clipped to this norm")
    reference: Literal["base", "initial", "previous"] = Field(
        default="initial",
        description="policy that DPO compares with: the pretrained base, where there is one; of round 0; or of the "
        "round before",
    )
    balance: bool = Field(default=False, description="weigh pairs so that both decisions weigh the same")
    drop_equal: bool = Field(default=False, description="leave out pairs whose chosen answer is also the rejected one")
    replay: float = Field(default=0.0, ge=0, le=1, description="pairs of each earlier round, as a share of this one's")


class MacpoSettings(RunSettings):
    """The published method's settings, and what is beyond it; the defaults are the former."""

    game: str = Field(default="market", description="what is played")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of weights, draws and contexts")
    contexts: int = Field(default=2048, ge=1, le=10_000_000, description="contexts of either half")
    held_out: int = Field(default=4096, ge=1, le=10_000_000, description="contexts that agents are judged on")
    teachers: TeacherFit = Field(default_factory=TeacherFit, description="the weak ones")
    student: Fit = Field(default_factory=Fit, description="the strong one")
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
        "teachers' majority on contexts without labels",
    )  # fmt: skip
    stop_on_regression: bool = Field(
        default=False, description="end the rounds after one whose student agrees less with that majority than before"
    )

    threads: int = Field(default=1, ge=1, le=256, description="of torch; with a busy neighbour two are slower than one")

    @model_validator(mode="after")
    def possible(self) -> MacpoSettings:
        """Refuse what would be said and not done."""
        if self.selection == "other_teachers" and self.teachers.count < 2:
            raise faulty(Fault(("selection",), "other_teachers, and there is one teacher", "teachers.count >= 2"))
        if self.contrast.replay and self.fresh_contexts is False and self.rounds < 2:
            raise faulty(Fault(("contrast", "replay"), "no round has an earlier one", "rounds >= 2"))
        return self
