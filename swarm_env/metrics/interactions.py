"""Recorded interactions as one checked table: every column's type, range and default have their home here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from swarm_env.metrics.collusion import CollusionSettings
    from swarm_env.metrics.threats import SecuritySettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Result = TypeVar("Result")
Statistics = TypeVar("Statistics", bound="Part")

NAN = float("nan")
MONEY = 1e12  # bound of every amount, so that no sum of squares overflows
WHOLE = 2**31 - 1  # bound of every whole number, so that products of two fit into int64


class Column(NamedTuple):
    """What one column may hold. default: None if required, a column's name to copy, "row" for row numbers."""

    kind: Literal["int", "float", "bool"]
    low: float
    high: float
    default: float | str | None
    meaning: str


COLUMNS: dict[str, Column] = {
    "initiator": Column("int", 0, WHOLE, None, "agent that proposed"),
    "counterparty": Column("int", 0, WHOLE, None, "agent that was asked"),
    "p": Column("float", 0, 1, None, "soft label P(v = +1)"),
    "accepted": Column("bool", 0, 1, None, "the counterparty agreed"),
    "tau": Column("float", -MONEY, MONEY, 0.0, "transfer from initiator to counterparty"),
    "c_a": Column("float", -MONEY, MONEY, 0.0, "governance cost of the initiator"),
    "c_b": Column("float", -MONEY, MONEY, 0.0, "governance cost of the counterparty"),
    "r_a": Column("float", -MONEY, MONEY, 0.0, "reputation earned by the initiator"),
    "r_b": Column("float", -MONEY, MONEY, 0.0, "reputation earned by the counterparty"),
    "effort": Column("float", -MONEY, MONEY, 0.0, "price of the initiator's conduct"),
    "p_offer": Column("float", 0, 1, "p", "latent p of the proposal, before the clip that a rejection applies"),
    "responded": Column("bool", 0, 1, 1.0, "answered; False: expired without an answer"),
    "v": Column("float", -1, 1, NAN, "outcome +1 or -1 drawn with P(v = +1) = p; NaN: not drawn"),
    "misuse": Column("int", 0, WHOLE, 0, "tool misuse flags"),
    "rejections": Column("int", 0, WHOLE, 0, "verifier rejections"),
    "step": Column("int", 0, WHOLE, "row", "step at which it was settled, counted on from epoch to epoch"),
    "epoch": Column("int", 0, WHOLE, 0, "epoch of that step"),
}


class PayoffTerms(NamedTuple):
    """The seven numbers that a payoff needs (their ranges: ``swarm_env.core.payoff.Payoff``)."""

    s_plus: float
    s_minus: float
    h: float
    theta: float
    rho_a: float
    rho_b: float
    w_rep: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Record(ABC):
    """What a metric reads: interactions among N agents as they stand in a `Table`, or as a `Stream` added them up."""

    agents: Ints  # (N,) ids: 0..num_agents-1 where num_agents was given, else those seen, ascending
    terms: PayoffTerms | None = None
    trust: Floats | None = None  # (N,) trust placed in each of `agents`
    safety_threshold: float = 0.5
    collusion: CollusionSettings | None = None
    security: SecuritySettings | None = None
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    @abstractmethod
    def part(self, kind: type[Statistics]) -> Statistics:
        """The statistics of this kind over all the interactions."""

    def once(self, build: Callable[[Self], Result]) -> Result:
        """``build(self)``, computed at first use and kept: several metrics read one report."""
        if build not in self._kept:
            self._kept[build] = build(self)
        return cast(Result, self._kept[build])

    @property
    def payoff(self) -> PayoffTerms:
        """The payoff's numbers; ValueError where the table was made without them."""
        if self.terms is None:
            raise ValueError("this metric needs a payoff: tabulate(interactions, payoff)")
        return self.terms


class Part(ABC):
    """Statistics that interactions can be added to, a table at a time; the order of tables makes no difference.

    What they hold is bounded by agents, pairs and settings, never by the number of interactions.
    """

    @abstractmethod
    def __init__(self, record: Record, rows: float) -> None:
        """Of nothing yet. record: settings and agents; rows: how many interactions are to come, infinite if unknown."""

    @abstractmethod
    def add(self, table: Table) -> None:
        """Take in interactions among the record's agents."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Record):
    """n interactions among N agents, checked by `tabulate`; every column has shape (n,), see `COLUMNS`."""

    initiator: Ints
    counterparty: Ints
    p: Floats
    accepted: Bools
    tau: Floats
    c_a: Floats
    c_b: Floats
    r_a: Floats
    r_b: Floats
    effort: Floats
    p_offer: Floats
    responded: Bools
    v: Floats
    misuse: Ints
    rejections: Ints
    step: Ints
    epoch: Ints
    a: Ints  # (n,) position of the initiator in `agents`
    b: Ints  # (n,) position of the counterparty in `agents`

    def part(self, kind: type[Statistics]) -> Statistics:
        """The statistics of this kind over the table, computed at first use and kept."""
        if kind not in self._kept:
            statistics = kind(self, self.p.size)
            statistics.add(self)
            self._kept[kind] = statistics
        return cast(Statistics, self._kept[kind])

    @cached_property
    def surplus(self) -> Floats:
        """S = p*s_plus - (1-p)*s_minus, shape (n,) (SWARM section 2)."""
        return self.p * self.payoff.s_plus - (1.0 - self.p) * self.payoff.s_minus

    @cached_property
    def harm(self) -> Floats:
        """E = (1-p)*h, shape (n,) (SWARM section 2)."""
        return (1.0 - self.p) * self.payoff.h

    @cached_property
    def pi_a(self) -> Floats:
        """theta*S - tau - c_a - rho_a*E + w_rep*r_a - effort, shape (n,).

        Of a rejected one: what it would have paid. SWARM section 2; effort is ours (0 in SWARM).
        """
        own = self.payoff.theta * self.surplus - self.tau - self.c_a - self.payoff.rho_a * self.harm
        return own + self.payoff.w_rep * self.r_a - self.effort

    @cached_property
    def pi_b(self) -> Floats:
        """(1-theta)*S + tau - c_b - rho_b*E + w_rep*r_b, shape (n,); likewise (SWARM section 2)."""
        own = (1.0 - self.payoff.theta) * self.surplus + self.tau - self.c_b - self.payoff.rho_b * self.harm
        return own + self.payoff.w_rep * self.r_b


def mean(values: Floats) -> float:
    """Arithmetic mean; NaN of nothing."""
    return float(values.mean()) if values.size else NAN
