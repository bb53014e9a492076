"""The bad deals that chains of contagion can still be made of: a window of steps for each victim."""

from __future__ import annotations

import numpy as np

from swarm_env.metrics.interactions import Floats, Ints, Part, Record, Table
from swarm_env.metrics.threats import BAD, settings_of

FOLLOWED = 5  # later bad deals of a victim that a chain follows
ROOM = 2**16  # bad deals that may gather before a stream forgets
CROWDED = 2**18  # bad deals kept from which on a stream forgets victims that have been passive for a window


class BadDeals(Part):
    """Deals accepted with p < .3. Of a finite number of rows all are kept, of a stream those that can matter.

    A chain lasts until its victim's last bad deal, and depth/(span/steps_per_epoch + .01) must reach the velocity with
    a depth of 1 + 5 at most, so only what happened within `window` steps before that last deal can be part of one.
    Kept are distinct deals suffered in that window and the first five made in each of its steps: at most
    window * (pairs + 5 * agents) and nothing that a chain needs. Where a victim has done nothing bad yet, what it
    suffered is forgotten a window behind the newest step if 2**18 deals are kept; a deal that comes after all, from
    back then, is refused.
    """

    def __init__(self, record: Record, rows: float) -> None:
        settings = settings_of(record)
        longest = settings.steps_per_epoch * ((1 + FOLLOWED) / settings.contagion_velocity - 0.01)
        self.window = max(0.0, longest) + 1.0  # steps, one more than any chain lasts
        self.bounded = not np.isfinite(rows)
        self.deals: list[Ints] = [np.empty((3, 0), dtype=np.int64)]  # a, b, step
        self.kept, self.gathered = 0, 0
        self.last: Floats = np.full(record.agents.size, -np.inf)  # step of the last bad deal that each one made
        self.passed: Floats = np.full(record.agents.size, -np.inf)  # newest step of what it suffered and is forgotten
        self.newest = -np.inf

    def add(self, table: Table) -> None:
        """Take in interactions; ValueError for one that comes too late."""
        deals = _bad(table)
        self.refuse_late(table)
        self.deals.append(deals)
        self.gathered += deals.shape[1]
        np.maximum.at(self.last, deals[0], deals[2].astype(np.float64))
        self.newest = max(self.newest, float(table.step.max(initial=-1)))
        if self.bounded and self.gathered > self.kept + ROOM:
            self._forget()

    def refuse_late(self, table: Table) -> None:
        """Raise ValueError where a bad deal of the table needs what has been forgotten."""
        a, _, step = _bad(table)
        late = step - self.window <= self.passed[a]
        if late.any():
            raise ValueError(
                f"step {step[np.argmax(late)]} comes after step {self.newest:g}, more than {self.window:g} steps late; "
                "interactions of many agents must be streamed in the order of their steps"
            )

    def _forget(self) -> None:
        a, b, step = self.all()
        changes = (a[1:] != a[:-1]) | (step[1:] != step[:-1])
        first = np.append(True, changes)
        again = np.append(False, ~changes & (b[1:] == b[:-1]))
        place = np.arange(a.size)
        rank = place - np.maximum.accumulate(np.where(first, place, 0))  # among what a did in that step
        follows = (rank < FOLLOWED) & (step >= self.last[a] - self.window)
        suffered = ~again & (step >= self.last[b] - self.window)
        if np.count_nonzero(follows | suffered) > CROWDED:
            idle = suffered & (step >= self.last[b]) & (step < self.newest - self.window)
            np.maximum.at(self.passed, b[idle], step[idle].astype(np.float64))
            suffered &= ~idle
        self.deals = [np.stack((a, b, step))[:, follows | suffered]]
        self.kept = self.gathered = self.deals[0].shape[1]

    def all(self) -> Ints:
        """Initiator, victim (positions in the record's agents) and step, (3, k); by initiator, step, victim."""
        deals = np.concatenate(self.deals, axis=1)
        self.deals = [deals[:, np.lexsort((deals[1], deals[2], deals[0]))]]
        return self.deals[0]


def _bad(table: Table) -> Ints:
    """Initiator, victim and step of the table's bad deals, shape (3, k)."""
    bad = table.accepted & (table.p < BAD)
    return np.stack((table.a[bad], table.b[bad], table.step[bad]))
