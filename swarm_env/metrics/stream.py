"""Metrics over more interactions than fit into memory: they come in chunks, what the metrics follow from is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.metrics.bad_deals import BadDeals
from swarm_env.metrics.calibration import auc_error
from swarm_env.metrics.clock import REMEMBERED, Clock
from swarm_env.metrics.collusion import CollusionSettings
from swarm_env.metrics.interactions import COLUMNS, Ints, Part, Record, Statistics, Table
from swarm_env.metrics.outcomes import Outcomes
from swarm_env.metrics.registry import METRICS
from swarm_env.metrics.tabulate import (
    checked,
    checked_threshold,
    given_columns,
    nearest,
    payoff_terms,
    places,
    seats,
    trust_of,
    typed,
)
from swarm_env.metrics.threats import SecuritySettings

BLOCK = 2**16  # interactions looked at together: their columns stay in the processor's cache


@dataclass(frozen=True, eq=False, kw_only=True)
class Added(Record):
    """Interactions that have been added up, and gone."""

    parts: dict[type[Part], Part] = field(default_factory=dict)

    def part(self, kind: type[Statistics]) -> Statistics:
        """The statistics of this kind."""
        return cast(Statistics, self.parts[kind])


class Stream:
    """Takes interactions in chunks of any size and gives what `compute` would give over all of them together.

    Equal to rounding, counts exactly; `Metric.streamed` names the exception: `discrimination_auc` beyond 2**20
    outcomes, to `auc_error`. Memory depends on the agents N and the settings alone: 96 bytes for each ordered pair that
    dealt, 16 MiB for outcomes, the bad deals of a window of steps (`BadDeals`); plus a chunk and its copy. Small chunks
    cost a quarter of a millisecond each; 2**16 rows a chunk are plenty.

        stream = Stream(scenario.payoff, num_agents=7)
        for chunk in chunks:
            stream.add(chunk)
        values = stream.metrics()

    Arguments as for `compute`, num_agents required (ids 0..num_agents-1); `names` says which metrics will be asked for.
    """

    def __init__(
        self,
        payoff: object,
        num_agents: int,
        names: Iterable[str] | None = None,
        *,
        safety_threshold: float = 0.5,
        collusion: CollusionSettings | None = None,
        security: SecuritySettings | None = None,
    ) -> None:
        self.names = chosen(names)
        self.rows = 0  # interactions so far
        self._num_agents = num_agents
        self._clock = Clock(REMEMBERED)
        self._record = Added(
            agents=seats({}, num_agents),
            terms=payoff_terms(payoff),
            safety_threshold=checked_threshold(safety_threshold),
            collusion=collusion,
            security=security,
        )
        _start(self._record, self.names, math.inf)

    def add(self, interactions: Mapping[str, ArrayLike] | NDArray[Any]) -> None:
        """Take in a chunk, as `tabulate` takes it; steps that are not given count on from chunk to chunk.

        ValueError, and nothing taken in, for what `tabulate` would refuse over everything so far; but of two epochs
        that lie 2**15 epochs back it is no longer known which came first. ValueError also for the one late arrival
        that `BadDeals` describes.
        """
        given, clock = given_columns(interactions), Clock(REMEMBERED)
        clock.epochs = self._clock.epochs
        tables = list(_tables(given, self._record, self._num_agents, clock, self.rows))
        if BadDeals in self._record.parts:
            for table in tables:
                self._record.part(BadDeals).refuse_late(table)
        for table in tables:
            _add(self._record, table)
        self._clock = clock
        self.rows += given["p"].size

    def metrics(self, names: Iterable[str] | None = None, *, trust: ArrayLike | None = None) -> dict[str, float]:
        """The metrics `names` (all that the stream was made for unless given) over the interactions so far.

        trust: one number for each agent as of now, for the laundering check; None: equal trust, hence no laundering.
        ValueError for a metric that the stream was not made for.
        """
        wanted = self.names if names is None else chosen(names)
        if foreign := [name for name in wanted if not set(METRICS[name].needs) <= self._record.parts.keys()]:
            raise ValueError(f"the stream was not made for {', '.join(foreign)}; name them when making it")
        agents = self._record.agents
        trusted = None if trust is None else trust_of(trust, agents, self._num_agents)
        return evaluate(replace(self._record, trust=trusted, _kept={}), wanted)

    def auc_error(self) -> float:
        """Bound of the error of `discrimination_auc`, in [0, .5]; 0 up to 2**20 outcomes; NaN where undefined."""
        if Outcomes not in self._record.parts:
            raise ValueError("the stream was not made for discrimination_auc; name it when making it")
        return auc_error(self._record)


def compute(
    interactions: Mapping[str, ArrayLike] | NDArray[Any],
    payoff: object,
    names: Iterable[str] | None = None,
    *,
    trust: ArrayLike | None = None,
    num_agents: int | None = None,
    safety_threshold: float = 0.5,
    collusion: CollusionSettings | None = None,
    security: SecuritySettings | None = None,
) -> dict[str, float]:
    """Evaluate the metrics `names` (all of `METRICS` unless given), in that order; undefined ones are NaN.

    The other arguments are those of `tabulate`, which raises ValueError for what they may not hold; an
    unknown metric is a ValueError as well, with the nearest known names. The interactions are added up block by block,
    nothing is approximated, and no copy of them is made but 8 bytes for each outcome drawn and 24 for each bad deal.
    """
    wanted = chosen(names)
    given = given_columns(interactions)
    agents = _seen(given) if num_agents is None else seats({}, num_agents)
    record = Added(
        agents=agents,
        terms=payoff_terms(payoff) if payoff is not None else None,
        trust=None if trust is None else trust_of(trust, agents, num_agents),
        safety_threshold=checked_threshold(safety_threshold),
        collusion=collusion,
        security=security,
    )
    _start(record, wanted, given["p"].size)
    for table in _tables(given, record, num_agents, Clock(math.inf), 0):
        _add(record, table)
    return evaluate(record, wanted)


def chosen(names: Iterable[str] | None) -> list[str]:
    """The metrics that are asked for, all unless named; ValueError for an unknown one."""
    listed = list(METRICS) if names is None else [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}; {nearest(name, METRICS)}")
    return listed


def evaluate(record: Record, names: Iterable[str]) -> dict[str, float]:
    """The metrics of a record."""
    return {name: METRICS[name].function(record) for name in names}


def _start(record: Added, names: Iterable[str], rows: float) -> None:
    """Give the record what these metrics read, of nothing yet."""
    for kind in dict.fromkeys(kind for name in names for kind in METRICS[name].needs):
        record.parts[kind] = kind(record, rows)


def _add(record: Added, table: Table) -> None:
    for part in record.parts.values():
        part.add(table)


def _tables(
    given: Mapping[str, NDArray[Any]], record: Added, num_agents: int | None, clock: Clock, first: int
) -> Iterator[Table]:
    """The given columns as tables of a block each; row `first` is the first one."""
    for start in range(0, max(1, given["p"].size), BLOCK):
        columns = checked({name: values[start : start + BLOCK] for name, values in given.items()}, first + start)
        clock.advance(columns["epoch"], columns["step"])
        a, b = places(columns, record.agents, num_agents)
        yield Table(
            **columns,
            a=a,
            b=b,
            agents=record.agents,
            terms=record.terms,
            safety_threshold=record.safety_threshold,
            collusion=record.collusion,
            security=record.security,
        )


def _seen(given: Mapping[str, NDArray[Any]]) -> Ints:
    """Ids of the agents in the columns, checked, ascending."""
    seen: Ints = np.empty(0, dtype=np.int64)
    for start in range(0, given["p"].size, BLOCK):
        block = {name: given[name][start : start + BLOCK] for name in ("initiator", "counterparty")}
        parties = {name: typed(name, ids, COLUMNS[name], start) for name, ids in block.items()}
        seen = np.union1d(seen, seats(parties, None))
    return seen
