"""An annotated paper: what it claims, what a market can say of that, and who plays which of its roles."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, Self, get_origin

from pydantic import Field, model_validator

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.governance import LEVERS
from swarm_env.criteria import CRITERIA
from swarm_env.evaluation.paired import BY_ROLE, FIRST_SEED, INTERVENTIONS, WINDOWED
from swarm_env.scenario.errors import Key, listing, nearest, show
from swarm_env.scenario.settings import Fault, Section, faulty, load_settings
from swarm_env.tally import COLUMNS

#: Arms that every study has.
BASELINE, ALWAYS_ON, TARGETED = "baseline", "always_on", "targeted"
#: What `metrics` of an annotation and of its claims may name; archetypes must also be in the scenario.
KNOWN: tuple[str, ...] = (
    *COLUMNS, *INTERVENTIONS, *(f"{name}.{role}" for name in BY_ROLE for role in ARCHETYPES),
    *(f"passed.{name}" for name in CRITERIA),
)  # fmt: skip

_SHORT = r"^[A-Za-z0-9_.-]{1,60}$"
_NAME: dict[str, Any] = {"allowed": "1 to 60 letters, digits, _, . or -"}


class Listed(Section):
    """A section whose lists pass for tuples."""

    @model_validator(mode="before")
    @classmethod
    def as_tuples(cls, data: Any) -> Any:
        """Strict pydantic takes no list for a tuple."""
        if not isinstance(data, dict):
            return data
        tuples = {name for name, field in cls.model_fields.items() if "tuple" in _origins(field.annotation)}
        return {k: tuple(v) if k in tuples and isinstance(v, list) else v for k, v in data.items()}


def _origins(annotation: Any) -> Iterator[str]:
    for each in (annotation, *getattr(annotation, "__args__", ())):
        if get_origin(each) is tuple:
            yield "tuple"


class Ids(Listed):
    """Where the paper is found."""

    arxiv: str = Field(
        pattern=r"^\d{4}\.\d{4,5}(v\d+)?$", description="arXiv id",
        json_schema_extra={"allowed": 'an arXiv id in quotes, as "2510.08240"'},
    )  # fmt: skip
    openreview: str | None = Field(default=None, pattern=_SHORT, description="OpenReview id", json_schema_extra=_NAME)
    doi: str | None = Field(default=None, pattern=r"^10\.\S{3,100}$", description="DOI")


class Paper(Listed):
    """What is annotated."""

    ids: Ids = Field(description="where the paper is found")
    title: str = Field(min_length=1, description="of the paper")
    authors: str = Field(default="", description="as they are cited")
    venue: str = Field(default="", description="where it appeared")


class RiskProfile(Listed):
    """What may go wrong in the system that the paper describes."""

    interaction_density: Literal["low", "medium", "high"] = Field(description="how much its agents deal with others")
    failure_modes: tuple[str, ...] = Field(description="ways to fail", json_schema_extra={"allowed": "a list of texts"})
    assumptions: tuple[str, ...] = Field(description="taken as given", json_schema_extra={"allowed": "a list of texts"})


class Role(Listed):
    """A part in the paper, and what stands for it in the market."""

    name: str = Field(pattern=_SHORT, description="of the role", json_schema_extra=_NAME)
    text: str = Field(default="", description="why this stands for it")
    archetypes: tuple[str, ...] = Field(
        default=(), description="scripts", json_schema_extra={"allowed": f"a list out of {', '.join(ARCHETYPES)}"}
    )
    levers: tuple[str, ...] = Field(
        default=(), description="its interventions", json_schema_extra={"allowed": f"a list out of {', '.join(LEVERS)}"}
    )
    shares: tuple[float, ...] = Field(
        default=(), description="shares of the population to try: an arm each, and one without governance",
        json_schema_extra={"allowed": "a list of numbers in (0, 1)"},
    )  # fmt: skip

    @model_validator(mode="after")
    def stands_for_something(self) -> Self:
        """Names that exist, shares that somebody can have."""
        faults = [
            Fault((key, i), f"{show(word)} is not known", listing(known, word), nearest(word, known))
            for key, words, known in (("archetypes", self.archetypes, ARCHETYPES), ("levers", self.levers, LEVERS))
            for i, word in enumerate(words)
            if word not in known
        ]
        for i, share in enumerate(self.shares):
            if not 0.0 < share < 1.0:
                faults.append(Fault(("shares", i), f"{show(share)} is out of range", "a number in (0, 1)"))
        if self.shares and not self.archetypes:
            faults.append(Fault(("shares",), "no archetypes to give a share to", "archetypes beside it"))
        if not (self.archetypes or self.levers):
            faults.append(Fault((), f"role {show(self.name)} stands for nothing", "archetypes, levers or both"))
        if faults:
            raise faulty(*faults)
        return self


class Arm(Listed):
    """A variant besides those that every study has."""

    name: str = Field(pattern=_SHORT, description="of the arm", json_schema_extra=_NAME)
    text: str = Field(default="", description="what it is for")
    set: dict[str, Any] = Field(
        description="overrides of the targeted arm", json_schema_extra={"allowed": "a section of key.path: value"}
    )


class Expected(Listed):
    """What a claim says of its number: of the difference, if it is compared, else of the value itself."""

    direction: Literal["lower", "higher"] | None = Field(
        default=None,
        description="than what it is compared with, or than 0",
        json_schema_extra={"allowed": "lower, higher"},
    )
    range: tuple[float | None, float | None] | None = Field(
        default=None, description="closed; null is no bound",
        json_schema_extra={"allowed": "a list of two numbers, lowest first; null is no bound"},
    )  # fmt: skip

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        """A direction or a range, and not an empty one."""
        if (self.direction is None) == (self.range is None):
            raise faulty(Fault((), "needs one of direction and range", "one of them"))
        if self.range is not None:
            low, high = self.bounds
            if low >= high or self.range == (None, None):
                what = f"{show(list(self.range))} is not allowed"
                raise faulty(Fault(("range",), what, "two numbers, lowest first; null is no bound; not both null"))
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The closed range, infinite where it has no end; a direction is one side of 0."""
        if self.direction is not None:
            return (-float("inf"), 0.0) if self.direction == "lower" else (0.0, float("inf"))
        low, high = self.range or (None, None)
        return -float("inf") if low is None else low, float("inf") if high is None else high


class Condition(Listed):
    """Where a claim is looked at."""

    arm: str = Field(description="name of an arm")
    against: str | None = Field(default=None, description="arm it is compared with, seed by seed; absent: none")
    epochs: Literal["all", "early", "late", "growth"] = Field(
        default="all", description="the first third of the epochs, the last, or the last less the first"
    )


class Claim(Listed):
    """A sentence of the paper, and the number by which the market can bear it out or not."""

    id: str = Field(pattern=_SHORT, description="of the claim", json_schema_extra=_NAME)
    text: str = Field(min_length=1, description="what is claimed, of the market if it is testable")
    source: str = Field(default="", description="where the paper says what")
    testable: bool = Field(description="in the market, by scripts")
    metric: str | None = Field(default=None, description="what it is tested by; of an untestable claim any text")
    expected: Expected | None = Field(default=None, description="what is claimed of it")
    condition: Condition | None = Field(default=None, description="where")
    reason: str | None = Field(default=None, min_length=1, description="why it cannot be tested")
    tested_by: str | None = Field(default=None, description="what tests it elsewhere, as a command")

    @model_validator(mode="after")
    def complete(self) -> Self:
        """A testable claim has all that the test needs; another says why it is none."""
        faults = [
            Fault((key,), "is missing: a testable claim needs it")
            for key in ("metric", "expected", "condition")
            if self.testable and getattr(self, key) is None
        ]
        faults += [
            Fault((key,), "has no meaning where testable is false", "no such key")
            for key in ("expected", "condition")
            if not self.testable and getattr(self, key) is not None
        ]
        if not self.testable and self.reason is None:
            faults.append(Fault(("reason",), "is missing: say why the claim cannot be tested here"))
        if self.testable and self.reason is not None:
            faults.append(Fault(("reason",), "has no meaning where testable is true", "no such key"))
        if self.testable and self.metric is not None and not faults:
            faults += _metric_faults(("metric",), self.metric)
            windowed = self.condition is not None and self.condition.epochs != "all"
            if windowed and not faults and self.metric not in WINDOWED:
                what = f"{show(self.metric)} has no value for a part of the epochs"
                faults.append(Fault(("metric",), what, f"condition.epochs all, or one of {listing(WINDOWED)}"))
        if faults:
            raise faulty(*faults)
        return self


def _metric_faults(key: Key, name: str) -> list[Fault]:
    if name in KNOWN:
        return []
    return [Fault(key, f"unknown metric {show(name)}", listing(KNOWN, name, 8), nearest(name, KNOWN))]


class Annotation(Listed):
    """A file of research/annotations/."""

    study: str = Field(pattern=_SHORT, description="name of the study and of its note", json_schema_extra=_NAME)
    goal: str = Field(min_length=1, description="what the study is to find out")
    paper: Paper = Field(description="what is annotated")
    risk_profile: RiskProfile = Field(description="what may go wrong in what the paper describes")
    first_seed: int | None = Field(
        default=None,
        ge=0,
        le=FIRST_SEED,
        description="of the markets; for claims that were written after a look at others",
    )
    scenario: str = Field(description="id of a shipped scenario, or a file, relative to this one")
    roles: tuple[Role, ...] = Field(description="who plays what", json_schema_extra={"allowed": "a list of roles"})
    targeted: dict[str, Any] = Field(
        default_factory=dict, description="overrides of the scenario for the targeted arm",
        json_schema_extra={"allowed": "a section of key.path: value"},
    )  # fmt: skip
    always_on: dict[str, Any] = Field(
        description="overrides of the targeted arm that open its gates",
        json_schema_extra={"allowed": "a section of key.path: value"},
    )
    arms: tuple[Arm, ...] = Field(default=(), description="more", json_schema_extra={"allowed": "a list of arms"})
    metrics: tuple[str, ...] = Field(
        default=(), description="shown besides the standard ones", json_schema_extra={"allowed": "a list of metrics"}
    )
    reading: str = Field(default="", description="what a person makes of the numbers; shown as such, never computed")
    claims: tuple[Claim, ...] = Field(description="what to test", json_schema_extra={"allowed": "a list of claims"})

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Names are told apart, metrics exist, something is claimed, somebody plays."""
        faults: list[Fault] = []
        for key, taken in (
            ("claims", [claim.id for claim in self.claims]), ("roles", [role.name for role in self.roles]),
            ("arms", [arm.name for arm in self.arms]),
        ):  # fmt: skip
            twice = [name for name, count in Counter(taken).items() if count > 1]
            faults += [Fault((key,), f"{show(name)} is there twice", "names that differ") for name in twice]
        for i, name in enumerate(self.metrics):
            faults += _metric_faults(("metrics", i), name)
        for key in ("claims", "roles"):
            if not getattr(self, key):
                faults.append(Fault((key,), "there are none", "at least one"))
        if faults:
            raise faulty(*faults)
        return self

    @property
    def levers(self) -> tuple[str, ...]:
        """The levers of all roles, in the order in which they act."""
        chosen = {lever for role in self.roles for lever in role.levers}
        return tuple(lever for lever in LEVERS if lever in chosen)

    @property
    def windowed(self) -> list[str]:
        """Metrics that a claim asks for in a part of the epochs."""
        return [str(c.metric) for c in self.testable if c.condition is not None and c.condition.epochs != "all"]

    @property
    def testable(self) -> list[Claim]:
        """The claims to test."""
        return [claim for claim in self.claims if claim.testable]


def load_annotation(path: str | os.PathLike[str]) -> Annotation:
    """The annotation in a YAML file.

    Raises:
        ScenarioError: a line for each problem: file, line, key, value, what is allowed, the nearest known name.
    """
    return load_settings(Annotation, path, example="study: my_paper")
