"""Totals over interactions that most metrics follow from: numbers and sums, accepted and rejected ones apart."""

from __future__ import annotations

from collections import Counter

import numpy as np

from swarm_env.metrics.interactions import Floats, Part, Record, Table
from swarm_env.metrics.sums import Moments, Sums

UNCERTAIN_BAND = 0.2  # |p - .5| below which a label says little (SWARM section 3)
HARD_THRESHOLD = 0.5  # p below which SWARM's reporter calls an interaction toxic outright


class Totals(Part):
    """Of labels and answers. A accepted, R rejected or expired, L both; t the record's safety_threshold.

    count: accepted, rejected, expired, toxic (A with p < .5), uncertain (L with .3 < p < .7), sound and sound_accepted
    (p >= t), attacks and attacks_accepted (answered, p_offer < t), offers and offers_refused (answered, p_offer >= t).
    sums: p_accepted, p_rejected, folded (1 - |2p-1| over L), costs (c_a + c_b over L).
    """

    def __init__(self, record: Record, rows: float) -> None:
        self.threshold = record.safety_threshold
        self.count: Counter[str] = Counter()
        self.sums = Sums("p_accepted", "p_rejected", "folded", "costs")
        self.p = Moments()  # over L

    def add(self, table: Table) -> None:
        """Take in interactions."""
        p, yes = table.p, table.accepted
        taken, left = p[yes], p[~yes]
        risky, sound = table.p_offer < self.threshold, p >= self.threshold
        attack, offer = risky & table.responded, table.responded > risky
        self.count.update(
            accepted=taken.size,
            rejected=left.size,
            expired=p.size - int(np.count_nonzero(table.responded)),
            toxic=int(np.count_nonzero(taken < HARD_THRESHOLD)),
            uncertain=int(np.count_nonzero((p > 0.5 - UNCERTAIN_BAND) & (p < 0.5 + UNCERTAIN_BAND))),
            sound=int(np.count_nonzero(sound)),
            sound_accepted=int(np.count_nonzero(sound & yes)),
            attacks=int(np.count_nonzero(attack)),
            attacks_accepted=int(np.count_nonzero(attack & yes)),
            offers=int(np.count_nonzero(offer)),
            offers_refused=int(np.count_nonzero(offer > yes)),
        )
        self.sums.add(
            p_accepted=float(taken.sum()),
            p_rejected=float(left.sum()),
            folded=float((1.0 - np.abs(2.0 * p - 1.0)).sum()),
            costs=float((table.c_a + table.c_b).sum()),
        )
        self.p.add(p)

    @property
    def number(self) -> int:
        """|L|."""
        return self.count["accepted"] + self.count["rejected"]


class Payoffs(Part):
    """Of payoffs, which need the record's payoff terms; A accepted, R rejected, L both.

    sums: a_accepted, a_rejected (pi_a), b_accepted, b_rejected (pi_b), welfare (pi_a + pi_b over A), social (S - E over
    A). earned_a, earned_b: each agent's payoffs over A as initiator, as counterparty, (N,).
    """

    def __init__(self, record: Record, rows: float) -> None:
        self.terms = record.payoff  # ValueError where there are none
        self.sums = Sums("a_accepted", "a_rejected", "b_accepted", "b_rejected", "welfare", "social")
        self.a, self.b = Moments(), Moments()  # of pi_a and pi_b over L
        self.earned_a: Floats = np.zeros(record.agents.size)
        self.earned_b: Floats = np.zeros(record.agents.size)

    def add(self, table: Table) -> None:
        """Take in interactions."""
        yes, pi_a, pi_b = table.accepted, table.pi_a, table.pi_b
        taken_a, taken_b = pi_a[yes], pi_b[yes]
        self.sums.add(
            a_accepted=float(taken_a.sum()),
            a_rejected=float(pi_a[~yes].sum()),
            b_accepted=float(taken_b.sum()),
            b_rejected=float(pi_b[~yes].sum()),
            welfare=float((taken_a + taken_b).sum()),
            social=float((table.surplus - table.harm)[yes].sum()),
        )
        self.a.add(pi_a)
        self.b.add(pi_b)
        # one after the other: an agent's sum is the same to the bit however the interactions were cut
        np.add.at(self.earned_a, table.a[yes], taken_a)
        np.add.at(self.earned_b, table.b[yes], taken_b)
