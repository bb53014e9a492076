"""What fills a seat, as an evaluation asks it: policies that act, policies that govern, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class PolicyError(ValueError):
    """A policy that cannot be used, or has done what no policy may; one line."""


@dataclass(frozen=True)
class Setting:
    """What a factory is told of the episodes to come; a policy is made anew for each batch of whole episodes."""

    scenario: str  # id
    content_hash: str  # of the scenario
    seats: tuple[str, ...]  # L agents that the policy acts for: rows of a batch are (episode, seat), seats last
    nvec: tuple[int, ...]  # choices of each action head
    feature_names: tuple[str, ...]  # F, of an observation
    seed: int  # 0..2**31-1, the same for every policy: draw from it and nothing else


class Act(Protocol):
    """Observations float32 (n, F) and masks int8 (n, M) in, whole numbers (n, heads) out; only what the mask allows."""

    def __call__(self, observation: NDArray[np.float32], mask: NDArray[np.int8], /) -> Any:
        """One action for each row."""
        ...


class Govern(Protocol):
    """Answers the proposals made to its seats; all else that these do is left to their scripts.

    n >= 1 proposals at a time, those that the step will answer, ordered by episode, then by who proposes. Views float32
    (n, len(VIEW)) and ledger entries float32 (n, len(RECORD)) in (names: `swarm_env.oversight`; nothing latent is in
    them); out either accept, whole numbers or booleans (n,): 1 accepts, 0 refuses, -1 (`swarm_env.AS_SCRIPTED`) leaves
    this answer to the seat's script; or, where an overseer takes part, the tuple (accept, revisions), revisions (n,)
    whole numbers >= 0: rounds of feedback that asked for a revision before the answer stood.
    """

    def __call__(self, view: NDArray[np.float32], ledger: NDArray[np.float32], /) -> Any:
        """An answer to each proposal."""
        ...


@dataclass(frozen=True)
class Governing:
    """Marks what a `Make` has made as one that governs; others act."""

    decide: Govern


Make = Callable[[Setting], Act | Governing]


def governs(what: T) -> T:
    """Mark a callable as a policy that governs (see `Govern`): what answers, or a factory of it.

    A class may say ``governs = True`` in its body instead.
    """
    what.governs = True  # type: ignore[attr-defined]
    return what


def marked(what: Any) -> bool:
    """Whether `governs` has marked it."""
    return getattr(what, "governs", False) is True


def one_line(error: BaseException) -> str:
    """What an exception says, whatever it is."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@dataclass(frozen=True)
class Policy:
    """A named policy.

    Exactly one of these: `make` builds what acts or governs; `archetype` names the script that fills the seats;
    neither: the scenario's own scripts.
    """

    name: str
    spec: str
    make: Make | None = None
    archetype: str | None = None
    identity: str = ""  # hash of what it is, so that a resumed run goes on with the same
    check: Callable[[Setting, bool], None] | None = None  # raises PolicyError where it does not fit its trained layout
