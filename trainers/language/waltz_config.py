"""The settings of WaltzRL in dialogues."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from swarm_env.scenario.settings import Fault, faulty
from trainers.language.backbone import ModelSettings, requests
from trainers.language.data import DataSettings
from trainers.language.endpoint import EndpointSettings
from trainers.language.judges.registry import JudgeSettings
from trainers.language.synthetic import SyntheticSettings
from trainers.waltz_config import Settings, Stage1, Stage2


class Lengths(NamedTuple):
    """Tokens, at most."""

    prompt: int
    answer: int
    message: int


#: What is asked, by whose words it is counted: a word a token; the same requests in a model's own pieces of words; the
#: paper's (appendix B.1).
LENGTHS: dict[str, Lengths] = {
    "built-in model": Lengths(64, 12, 18),
    "built-in language": Lengths(384, 64, 112),
    "data": Lengths(4096, 512, 512),
}


class First(Stage1):
    """``stage1:``."""

    steps: int = Field(default=40, ge=0, le=1_000_000, description="updates; 0 leaves the stage out")


class Second(Stage2):
    """``stage2:``."""

    steps: int = Field(default=60, ge=0, le=1_000_000, description="updates; 0 leaves the stage out")


class Config(Settings):
    """configs/waltz_language.yaml; configs/waltz_8b.yaml has the paper's settings."""

    game: Literal["language"] = Field(description="what it is trained in")
    model: ModelSettings = Field(default_factory=ModelSettings, description="the base of both policies; or its path")
    synthetic: SyntheticSettings = Field(
        default_factory=SyntheticSettings, description="the built-in language, where data names no prompts"
    )
    data: DataSettings = Field(default_factory=DataSettings, description="prompts to train on and to be judged on")
    judge: JudgeSettings | None = Field(
        default=None, description="of rewards; null: the built-in language's own, which makes no mistakes"
    )
    evaluation_judge: JudgeSettings | None = Field(
        default=None, description="of evaluations, another one than the rewards'; null: the same"
    )
    script: Literal["auto", "english", "synthetic"] = Field(
        default="auto", description="system prompts; auto: the built-in language's words for it, english for others"
    )
    actor_sees: Literal["prompt", "note"] = Field(
        default="prompt", description="what the conversation policy is shown; note: also what is the overseer's alone"
    )
    self_feedback: bool = Field(default=False, description="one policy in both roles")
    prompt_tokens: int | None = Field(
        default=None, ge=8, le=1_000_000, description="most that a policy is shown; null: as LENGTHS says"
    )
    answer_tokens: int | None = Field(default=None, ge=1, le=100_000, description="most of an answer; null: likewise")
    message_tokens: int | None = Field(
        default=None, ge=1, le=100_000, description="most of an overseer's message; null: likewise"
    )
    temperature: float = Field(default=1.0, gt=0, le=10, description="of every draw")
    rollouts: EndpointSettings | None = Field(
        default=None, description="server that samples the policies while they learn; null: they are sampled here"
    )
    importance_cap: float = Field(
        default=2.0, gt=0, le=1000, description="of the weights of what a server sampled, whose arithmetic is its own"
    )
    stop_early: bool = Field(
        default=False, description="a message ends once both its flags are false: nobody reads the rest"
    )
    eval_prompts: int = Field(default=1000, ge=0, le=10_000_000, description="held-out prompts at the end; 0 for none")

    stage1: First = Field(default_factory=First, description="feedback policy alone; the conversation policy is frozen")
    stage2: Second = Field(default_factory=Second, description="both together")
    feedback_reference: Literal["initial", "stage1"] = Field(
        default="stage1", description="of the feedback policy's KL term in stage 2"
    )
    batch: int = Field(default=128, ge=1, le=10_000_000, description="prompts of an update, of all processes")
    minibatches: int = Field(default=2, ge=1, le=10_000, description="parts that a batch is cut into")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's, at the start")
    beta: float = Field(default=0.1, ge=0, le=10, description="weight of the KL term")

    @model_validator(mode="after")
    def consistent(self) -> Config:
        """Refuse what would be said and not done."""
        if self.self_feedback and not self.overseer:
            raise faulty(Fault(("self_feedback",), "there is no feedback to give (overseer: false)", "overseer: true"))
        if self.judge is None and (self.data.train or self.data.evaluation):
            raise faulty(Fault(("judge",), "null judges the built-in language alone", "a judge, as in judge.kind"))
        if self.data.evaluation and not self.data.train:
            raise faulty(Fault(("data", "train"), "there is nothing to train on", "sources of prompts"))
        return self

    @property
    def requests(self) -> str:
        """Which of LENGTHS."""
        return requests(self.model.path, data=bool(self.data.train))

    @property
    def lengths(self) -> Lengths:
        """What is not null, and LENGTHS for the rest."""
        given = Lengths(self.prompt_tokens, self.answer_tokens, self.message_tokens)  # type: ignore[arg-type]
        usual = LENGTHS[self.requests]
        return Lengths(*(b if a is None else a for a, b in zip(given, usual, strict=True)))

    @property
    def script_name(self) -> str:
        """Of trainers.language.chat.SCRIPTS."""
        return self.script if self.script != "auto" else "english" if self.data.train else "synthetic"
