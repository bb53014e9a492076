"""The settings of the synthetic language and of the small model that speaks it."""

from __future__ import annotations

from pydantic import Field, model_validator

from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.language.synthetic import words


class Shares(Section):
    """``shares:`` of the requests that are not dual-use; weights, which need not add up to 1."""

    harmful: float = Field(default=1.0, ge=0, le=1e6, description="weight of plainly harmful requests")
    adversarial_harmful: float = Field(default=1.0, ge=0, le=1e6, description="weight of disguised harmful requests")
    benign_sensitive: float = Field(default=1.0, ge=0, le=1e6, description="weight of sound requests that sound risky")
    benign: float = Field(default=1.0, ge=0, le=1e6, description="weight of plain requests")

    @model_validator(mode="after")
    def some(self) -> Shares:
        """Refuse weights that are all 0."""
        if not any(self.model_dump().values()):
            raise faulty(Fault((), "all shares are 0", "at least one above 0"))
        return self


class Mistakes(Section):
    """``mistakes:`` how often demonstrations do the wrong thing, by kind of request."""

    harmful: float = Field(default=0.05, ge=0, le=1, description="answered though harmful")
    adversarial_harmful: float = Field(default=0.3, ge=0, le=1, description="answered though harmful and disguised")
    benign_sensitive: float = Field(default=0.42, ge=0, le=1, description="refused though sound")
    benign: float = Field(default=0.05, ge=0, le=1, description="refused though sound and plain")
    dual_use: float = Field(default=0.35, ge=0, le=1, description="dual-use requests answered, whatever their note")


class Reviewer(Section):
    """``reviewer:`` the overseer whom the base model learnt from, and how the conversation took its feedback."""

    obedience: float = Field(default=0.6, ge=0, le=1, description="revisions that follow the feedback")
    found: float = Field(default=0.65, ge=0, le=1, description="faults that it finds")
    false_alarms: float = Field(default=0.25, ge=0, le=1, description="right answers that it objects to")


class Network(Section):
    """``network:`` a small Llama."""

    hidden: int = Field(default=128, ge=8, le=4096, multiple_of=2, description="width")
    layers: int = Field(default=2, ge=1, le=64, description="blocks")
    heads: int = Field(default=4, ge=1, le=64, description="attention heads; hidden is an even multiple of them")
    intermediate: int = Field(default=344, ge=8, le=65_536, description="width of a block's feed-forward part")

    @model_validator(mode="after")
    def divisible(self) -> Network:
        """Rotary positions need heads of an even width."""
        if self.hidden % (2 * self.heads):
            allowed = f"hidden a multiple of {2 * self.heads} (twice the heads)"
            raise faulty(Fault(("hidden",), f"{self.hidden} cannot be cut into {self.heads} heads", allowed))
        return self


class WarmStart(Section):
    """``warm_start:`` supervised learning of the demonstrations."""

    answers: int = Field(
        default=500, ge=0, le=1_000_000, description="updates on first answers and what words mean, before both roles"
    )
    steps: int = Field(default=1400, ge=1, le=1_000_000, description="updates before the first test of well-formedness")
    most_steps: int = Field(
        default=2400, ge=1, le=1_000_000, description="updates after which an unfit model is given up"
    )
    batch: int = Field(default=32, ge=2, le=65_536, description="demonstrations of an update")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's at its highest")
    well_formed: float = Field(
        default=0.95,
        ge=0,
        lt=1,
        description="least share of held-out answers and of messages; 0: any will do",
    )
    tested_on: int = Field(default=512, ge=1, le=65_536, description="held-out requests of that test")

    @model_validator(mode="after")
    def ordered(self) -> WarmStart:
        """Refuse parts that are more than the whole."""
        if self.answers >= self.steps:
            raise faulty(Fault(("answers",), f"{self.answers} is not less than steps", f"less than {self.steps}"))
        if self.most_steps < self.steps:
            raise faulty(Fault(("most_steps",), f"{self.most_steps} is less than steps", f"at least {self.steps}"))
        return self


class SyntheticSettings(Section):
    """``synthetic:`` the built-in language."""

    dual_use: float = Field(
        default=0.2, ge=0, le=1, description="share of requests whose verdict hangs on a note; 0: symmetric information"
    )
    shares: Shares = Field(default_factory=Shares, description="of the other kinds")
    verbs: int = Field(
        default=len(words.RISKY), ge=1, le=len(words.RISKY), description="risky verbs in use, and as many ordinary ones"
    )
    things: int = Field(
        default=len(words.GUARDED), ge=1, le=len(words.GUARDED), description="people, harmless and guarded things each"
    )
    openings: float = Field(
        default=0.5, ge=0, le=1, description="benign-sensitive requests that are disguised although nothing is wrong"
    )
    train: int = Field(default=10_000, ge=1, le=10_000_000, description="requests to train on")
    held_out: int = Field(default=1500, ge=1, le=10_000_000, description="requests to evaluate on")
    held_out_pairs: float = Field(
        default=0.2, gt=0, lt=1, description="pairs of verb and object that only held-out requests have"
    )
    mistakes: Mistakes = Field(default_factory=Mistakes, description="of the base model's demonstrations")
    reviewer: Reviewer = Field(default_factory=Reviewer, description="the base model's demonstrations of feedback")
    network: Network = Field(default_factory=Network, description="the base model")
    warm_start: WarmStart = Field(default_factory=WarmStart, description="how it learns them")
