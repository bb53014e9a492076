"""Interactions of one market or of a batch: those that the last step settled, as `swarm_env.metrics` takes them, and
those that wait for an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.types import Scene, State

#: Fields of `pending`.
PENDING: tuple[tuple[str, type], ...] = (
    ("row", np.int64), ("responder", np.int64), ("slot", np.int64), ("initiator", np.int64),
    ("conduct", np.int64), ("p", np.float64), ("signal", np.float64),
)  # fmt: skip


def settled(state: State, rows: bool = False) -> NDArray[Any]:
    """The deals of the last step: a structured array (n,), a fresh copy ordered by row and initiator.

    Args:
        state: tables that were allocated as watched (`Compiled.allocate`); else there are no deals to copy.
        rows: put the field `row` (the environment, 0..B-1) in front.

    Returns:
        Fields `row` if asked for, `initiator` (agent number), then those of `swarm_env.core.types.Deal` except `costs`;
        `answered` is called `responded`, as the metrics have it.
    """
    deals = np.asarray(state.deals)
    where, who = np.nonzero(np.asarray(state.agents["settled"]))
    names = {name: name for name in deals.dtype.names or () if name != "costs"}
    names["answered"] = "responded"
    front = [("row", np.int64)] * rows + [("initiator", np.int64)]
    out = np.zeros(len(who), [*front, *((to, deals.dtype[name]) for name, to in names.items())])
    if rows:
        out["row"] = where
    out["initiator"] = who
    for name, to in names.items():
        out[to] = deals[name][where, who]
    return out


def pending(scene: Scene, state: State) -> NDArray[Any]:
    """The proposals that the next step will answer: a structured array (n,), a fresh copy ordered by row and initiator.

    What will expire is left out: proposals beyond the inbox, and those to agents that are frozen or quarantined.

    Returns:
        Fields PENDING: row (0..B-1), responder and initiator (agent numbers), inbox slot (0..I-1), conduct (index into
        CONDUCTS), latent p in (0, 1), surface signal (unbounded).
    """
    agents, proposals = np.asarray(state.agents), np.asarray(state.proposals)
    row, who = np.nonzero((agents["proposed"] >= 0) & (proposals["slot"] >= 0))
    which = state.rows["params"][row]
    responder = scene.edges["peer"][which, agents["proposed"][row, who]]
    asked, epoch = agents[row, responder], state.rows["epoch"][row]
    kept = (asked["frozen_until"] <= epoch) & (asked["quarantined_until"] <= epoch)
    row, who, responder = row[kept], who[kept], responder[kept]
    offers = proposals[row, who]
    out = np.zeros(len(row), list(PENDING))
    out["row"], out["responder"], out["initiator"] = row, responder, who
    for name in ("slot", "conduct", "p", "signal"):
        out[name] = offers[name]
    return out
