"""Who dealt with whom, and how: one record for each ordered pair of agents that ever did."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.metrics.interactions import Floats, Ints, Part, Record, Table

DENSE = 2**20  # ordered pairs up to which every one of them has its place in the arrays from the start
COUNTS = ("number", "accepted", "successes", "poor")
SUMS = ("p", "gives", "gets", "gives2", "gets2", "product")
FIRSTS = ("first_gives", "first_gets")


class Ties(NamedTuple):
    """Ordered pairs with a dealing or more, shape (k,) each, ordered by (a, b); a may equal b.

    gives = -tau-c_a is the initiator's benefit, gets = tau-c_b the counterparty's, accepted or not.
    """

    a: Ints  # position of the initiator in the record's agents
    b: Ints  # position of the counterparty
    number: Ints  # dealings
    accepted: Ints
    successes: Ints  # of manipulation, see `threats.manipulation`
    poor: Ints  # dealings with p < .5
    p: Floats  # sum of p
    mean_gives: Floats
    mean_gets: Floats
    var_gives: Floats  # sums of squared distances from the mean, 0 exactly where the benefit never changes
    var_gets: Floats
    covariance: Floats  # sum of products of the distances


class Dealings(Part):
    """Adds up by ordered pair: 96 bytes for each; for every possible pair where these are at most 2**20.

    Benefits are summed as differences from the pair's first one. That one being among them, the spread about the mean
    loses at most a factor of the number of dealings in relative precision, and equal benefits have a spread of 0
    exactly. Sums grow row by row, hence are the same to the bit however the rows were cut.
    """

    def __init__(self, record: Record, rows: float) -> None:
        self.agents = record.agents.size
        self.dense = self.agents**2 <= min(DENSE, 4 * rows)
        self.keys: Ints = np.arange(self.agents**2 if self.dense else 0)  # a * agents + b, ascending
        self.places: Ints = self.keys  # of each key in the columns
        kinds: dict[str, Any] = dict.fromkeys(COUNTS, np.int64) | dict.fromkeys((*SUMS, *FIRSTS), np.float64)
        self.columns: dict[str, NDArray[Any]] = {name: np.zeros(self.keys.size, kind) for name, kind in kinds.items()}

    def add(self, table: Table) -> None:
        """Take in interactions."""
        place, columns = self._place(table.a * self.agents + table.b), self.columns
        gives, gets = -table.tau - table.c_a, table.tau - table.c_b
        fresh = np.flatnonzero(columns["number"][place] == 0)[::-1]  # of rows with one place the last written stays
        columns["first_gives"][place[fresh]] = gives[fresh]
        columns["first_gets"][place[fresh]] = gets[fresh]
        gives -= columns["first_gives"][place]
        gets -= columns["first_gets"][place]
        terms = (table.p, gives, gets, gives * gives, gets * gets, gives * gets)
        for name, values in zip(SUMS, terms, strict=True):
            np.add.at(columns[name], place, values)
        reputation = table.accepted & (table.p < 0.4) & (table.r_a > 0.0)
        extraction = table.accepted & (table.p < 0.5) & (table.tau < -1.0)
        np.add.at(columns["number"], place, 1)
        np.add.at(columns["accepted"], place[table.accepted], 1)
        np.add.at(columns["successes"], place[reputation], 1)
        np.add.at(columns["successes"], place[extraction], 1)
        np.add.at(columns["poor"], place[table.p < 0.5], 1)

    def _place(self, key: Ints) -> Ints:
        """Place of each key in the columns, which grow where a key is new."""
        if self.dense:
            return key
        new = np.setdiff1d(key, self.keys)
        if new.size:
            used = self.keys.size
            at = np.searchsorted(self.keys, new)
            self.keys = np.insert(self.keys, at, new)
            self.places = np.insert(self.places, at, np.arange(used, used + new.size))
            if self.keys.size > self.columns["number"].size:
                room = 2 * self.keys.size
                for name, column in self.columns.items():
                    self.columns[name] = np.zeros(room, dtype=column.dtype)
                    self.columns[name][:used] = column[:used]
        return self.places[np.searchsorted(self.keys, key)]

    def ties(self) -> Ties:
        """What was added up."""
        seen = self.columns["number"][self.places] > 0
        a, b = np.divmod(self.keys[seen], max(1, self.agents))
        at = {name: column[self.places[seen]] for name, column in self.columns.items()}
        number, gives, gets = at["number"], at["gives"], at["gets"]
        return Ties(
            a=a,
            b=b,
            number=number,
            accepted=at["accepted"],
            successes=at["successes"],
            poor=at["poor"],
            p=at["p"],
            mean_gives=at["first_gives"] + gives / number,
            mean_gets=at["first_gets"] + gets / number,
            var_gives=np.maximum(0.0, at["gives2"] - gives * gives / number),
            var_gets=np.maximum(0.0, at["gets2"] - gets * gets / number),
            covariance=at["product"] - gives * gets / number,
        )


def ties(record: Record) -> Ties:
    """The record's dealings by ordered pair."""
    return record.part(Dealings).ties()
