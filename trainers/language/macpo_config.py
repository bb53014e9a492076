"""The settings of MACPO among language models: configs/macpo_language.yaml."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from swarm_env.scenario.settings import Fault, Section, faulty
from trainers.language.backbone import BUILTIN, ModelSettings, requests
from trainers.language.data import DataSettings
from trainers.language.judges.registry import JudgeSettings
from trainers.language.synthetic import words
from trainers.language.synthetic.settings import Shares
from trainers.language.synthetic.teachers import Supervision
from trainers.macpo_config import Contrast, Fit, MacpoSettings, TeacherFit

PREFERENCES = "sources of preferences, as {dataset: hh_rlhf, path: FILE}"


class Lengths(NamedTuple):
    """Tokens, at most."""

    prompt: int
    answer: int


#: What is asked, by whose words it is counted: a word a token; the same requests in a model's own pieces of words;
#: data, of the 1,024 tokens of the released code.
LENGTHS: dict[str, Lengths] = {
    "built-in model": Lengths(64, 12), "built-in language": Lengths(256, 64), "data": Lengths(512, 512)
}  # fmt: skip


class Student(Fit):
    """``student:``."""

    epochs: int = Field(default=5, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=4, ge=1, le=10_000, description="likewise of its negative twin, from there")
    learning_rate: float = Field(default=5e-3, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class Teachers(TeacherFit):
    """``teachers:``."""

    models: tuple[str, ...] = Field(
        default=(), description="a model for each, as model.path; [] for the student's",
        json_schema_extra={"allowed": "a list of `count` folders or hub names"},
    )  # fmt: skip
    epochs: int = Field(default=6, ge=1, le=10_000, description="passes over the answers of the positive policy")
    negative_epochs: int = Field(default=6, ge=1, le=10_000, description="likewise of its negative twin, from there")
    learning_rate: float = Field(default=5e-3, gt=0, le=1, description="Adam's at the start; it falls as a cosine")

    @field_validator("models", mode="before")
    @classmethod
    def listed(cls, value: Any) -> Any:
        """YAML has lists; one name need not be one."""
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value


class LanguageContrast(Contrast):
    """``contrast:``."""

    beta: float = Field(default=0.2, gt=0, le=100, description="of DPO; published: 0.1")
    gamma: float = Field(
        default=4.0, ge=0, le=100, description="weight of the SFT term on chosen answers; published: 0.2"
    )
    reference: Literal["base", "initial", "previous"] = Field(
        default="base",
        description="policy that DPO compares with: the base, adapters off (released code); of round 0; of the round "
        "before (paper)",
    )
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's at the start; it falls as a cosine")


class BuiltIn(Section):
    """``builtin:`` the language, and the models made for it; of no other data and models."""

    shares: Shares = Field(default_factory=Shares, description="of the kinds of requests")
    dual_use: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="requests whose verdict hangs on what the teachers alone see",
    )
    verbs: int = Field(
        default=12, ge=1, le=len(words.RISKY), description="risky verbs in use, and as many ordinary ones"
    )
    things: int = Field(default=8, ge=1, le=len(words.GUARDED), description="people, harmless and guarded things each")
    openings: float = Field(default=0.5, ge=0, le=1, description="benign-sensitive requests that are disguised")
    held_out_pairs: float = Field(
        default=0.2, gt=0, lt=1, description="pairs of verb and object that only held-out requests have"
    )
    steps: int = Field(default=250, ge=1, le=1_000_000, description="updates that a base learns to speak by")
    batch: int = Field(default=64, ge=2, le=65_536, description="demonstrations of an update")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's at its highest")


class Config(MacpoSettings):
    """The published method, with what small models of the built-in language need in its place: see the descriptions."""

    game: Literal["language"] = Field(default="language", description="what is played")
    model: ModelSettings = Field(default_factory=ModelSettings, description="the student's base, and all adapters")
    contexts: int = Field(default=1000, ge=1, le=10_000_000, description="prompts of either half")
    held_out: int = Field(default=400, ge=4, le=10_000_000, description="prompts that agents are judged on")
    max_prompt_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="longer prompts of data are left out; null: as LENGTHS says"
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="of an answer; what is longer is cut; null: likewise"
    )
    supervision: Supervision = Field(default_factory=Supervision, description="what the teachers are told")
    teachers: Teachers = Field(default_factory=Teachers, description="the weak ones")
    student: Student = Field(default_factory=Student, description="the strong one")
    weak_labels: Literal["first", "mixed", "majority"] = Field(
        default="mixed", description="who labels for the student's start: teacher 1 (published), any by chance, most"
    )
    contrast: LanguageContrast = Field(default_factory=LanguageContrast, description="what happens in each round")
    gate: float = Field(
        default=0.95, ge=0, le=1, description="least share of well-formed answers with which rounds start"
    )
    builtin: BuiltIn = Field(default_factory=BuiltIn, description="the language that needs no download")
    data: DataSettings = Field(
        default_factory=DataSettings,
        description="of other models: preferences to train on, prompts or preferences to evaluate on; none: the "
        "built-in language's",
    )
    judge: JudgeSettings | None = Field(
        default=None, description="of answers to data's prompts, for the tables alone; null: they stay empty"
    )

    @model_validator(mode="after")
    def whole(self) -> Config:
        """Refuse what does not go together."""
        models, count, own = self.teachers.models, self.teachers.count, self.model.path == BUILTIN
        if models and len(models) != count:
            raise faulty(Fault(("teachers", "models"), f"{len(models)} for {count} teachers", f"{count}, or []"))
        if own and any(path != BUILTIN for path in models):
            raise faulty(Fault(("teachers", "models"), "the student is made here", "model.path too, or builtin"))
        if not own and BUILTIN in models:
            raise faulty(Fault(("teachers", "models"), "builtin speaks no other model's language", "models"))
        if own and (self.data.train or self.data.evaluation):
            raise faulty(Fault(("data",), "the built-in model reads no data", "model.path: a model that does"))
        if self.data.evaluation and not self.data.train:
            raise faulty(Fault(("data", "train"), "no preferences to start teachers from", PREFERENCES))
        if self.data.train and not self.data.train[0].schema_.preferences:
            raise faulty(Fault(("data", "train"), "prompts alone are nothing to start teachers from", PREFERENCES))
        if not self.data.train and self.judge is not None:
            raise faulty(Fault(("judge",), "the built-in language has its own, which is exact", "null"))
        if self.data.train and self.supervision.blind_spots:
            raise faulty(Fault(("supervision", "blind_spots"), "preferences have no kinds", "false with data"))
        return self

    @property
    def requests(self) -> str:
        """Which of LENGTHS."""
        return requests(self.model.path, data=bool(self.data.train))

    @property
    def lengths(self) -> Lengths:
        """What is not null, and LENGTHS for the rest."""
        usual = LENGTHS[self.requests]
        return Lengths(self.max_prompt_tokens or usual.prompt, self.max_new_tokens or usual.answer)
