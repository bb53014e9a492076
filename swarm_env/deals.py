"""The interactions that the last step settled, of one market or of a batch, as `swarm_env.metrics` takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.types import State


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
