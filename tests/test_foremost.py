"""The most visible contacts: machine code finds those that the plain version finds, and they are those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_env.core import types
from swarm_env.core.compiled import kernel
from swarm_env.core.foremost import MOST, put_foremost, put_foremost_in_python
from swarm_env.core.tables import table


@kernel
def _put(slots: Any, shown: Any, edges: Any, contacts: Any, start: int, stop: int, places: int) -> None:
    put_foremost(slots, shown, edges, contacts, start, stop, places)


def market(seed: int, count: int, before: int, levels: int, severed: float) -> list[Any]:
    """Tables of an agent with so many contacts behind `before` others; few levels make many equals."""
    rng, total = np.random.default_rng(seed), before + count + 3
    slots, shown, edges, contacts = (
        table(kind, total) for kind in (types.Slot, types.Shown, types.Edge, types.Contact)
    )
    slots["contact"] = -7
    shown["visibility"] = rng.integers(0, levels, total) * rng.choice([1.0, 0.3, 1e-30, 1e20])
    edges["peer"] = rng.permutation(total)
    contacts["weight"] = rng.random(total) * (rng.random(total) >= severed)
    return [slots, shown, edges, contacts]


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 70),
    data=st.data(),
    before=st.sampled_from([0, 5]),
    levels=st.sampled_from([1, 3, 1000]),
    severed=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_they_are_the_most_visible_the_first_of_equals_first(
    seed: int, count: int, data: Any, before: int, levels: int, severed: float
) -> None:
    places = data.draw(st.integers(1, count - 1))
    tables = market(seed, count, before, levels, severed)
    slots, shown, edges, contacts = tables
    _put(*tables, before, before + count, places)
    standing = [k for k in range(before, before + count) if contacts["weight"][k] > 0]
    standing.sort(key=lambda k: -shown["visibility"][edges["peer"][k]])  # stable
    want = [*standing, *[-1] * places][:places]
    assert slots["contact"].tolist() == [-7] * before + want + [-7] * (count - places + 3)


@pytest.mark.parametrize("places", [1, 3, MOST, MOST + 1])
def test_the_plain_version_finds_them_too(places: int) -> None:
    tables = market(places, 30, 4, 5, 0.2)
    plain = [each.copy().view(np.recarray) for each in tables]
    _put(*tables, 4, 34, places)
    put_foremost_in_python(*plain, 4, 34, places)
    assert tables[0].tobytes() == plain[0].tobytes()
