"""Slots of a view written as vectors: machine code writes what the plain versions do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from swarm_env.core import slots, types
from swarm_env.core.compiled import JIT, kernel
from swarm_env.core.tables import table

pytestmark = pytest.mark.skipif(not JIT, reason="without machine code there is one version")


@kernel
def _peers(out: Any, mask: Any, able: bool, shown: Any, edges: Any, contacts: Any, first: int, count: Any) -> bool:
    return slots.put_peers(out, 1, mask, 2, able, shown, edges, contacts, first, count)


@kernel
def _many(
    out: Any, mask: Any, able: bool, shown: Any, edges: Any, contacts: Any, chosen: Any, first: int, count: int
) -> tuple[bool, bool]:
    return (
        slots.put_many_peers(out[0], 1, mask[0], 2, able, shown, edges, contacts, first, count),
        slots.put_many_chosen(out[1], 1, mask[1], 2, able, shown, edges, contacts, chosen, first, count),
    )


@kernel
def _inbox(out: Any, mask: Any, count: Any) -> None:
    slots.clear_inbox(out, 1, mask, count)


@kernel
def _shares(out: Any, agents: Any, params: Any) -> None:
    slots.put_shares(out, 1, agents[0], params[0])


def told(count: int) -> tuple[int, ...]:
    return (0,) * (count + 1)


@pytest.mark.parametrize("count", [1, 3, 4, 6, 17])
@pytest.mark.parametrize("able", [True, False])
def test_peers(count: int, able: bool) -> None:
    rng = np.random.default_rng(count)
    shown, edges, contacts = table(types.Shown, 40), table(types.Edge, 40), table(types.Contact, 40)
    for name in ("present", "reputation", "visibility", "frozen"):
        shown[name] = rng.normal(size=40)
    edges["peer"] = rng.integers(0, 40, 40)
    contacts["trust"], contacts["weight"] = rng.random(40), rng.integers(0, 2, 40) * rng.random(40)
    for weights in (contacts["weight"].copy(), np.zeros(40)):
        contacts["weight"] = weights
        first, written = 40 - count, []
        for write in (_peers, slots.put_peers.plain):
            out, mask = np.full(4 * count + 2, 9, np.float32), np.full(count + 4, 9, np.int8)
            tables = [each.view(np.recarray) if write is not _peers else each for each in (shown, edges, contacts)]
            given = (able, *tables, first, told(count))
            found = write(out, mask, *given) if write is _peers else write(out, 1, mask, 2, *given)
            written.append((out.tobytes(), mask.tobytes(), bool(found)))
        assert written[0] == written[1]
        assert written[0][2] == bool((weights[first:] > 0).any())
        assert (out[0], out[-1], mask[1], mask[-1]) == (9, 9, 9, 9)


@pytest.mark.parametrize("count", [4, 6, 7, 16])
@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("severed", [0.3, 1.0])
def test_as_many_peers_as_there_are(count: int, able: bool, severed: float) -> None:
    rng = np.random.default_rng(count)
    shown, edges, contacts = table(types.Shown, 40), table(types.Edge, 40), table(types.Contact, 40)
    chosen = table(types.Slot, 40)
    for name in ("present", "reputation", "visibility", "frozen"):
        shown[name] = rng.normal(size=40)
    edges["peer"], chosen["contact"] = rng.integers(0, 40, 40), rng.integers(-1, 40, 40)
    contacts["trust"], contacts["weight"] = rng.random(40), rng.random(40) * (rng.random(40) >= severed)
    first = 40 - count
    out, mask = np.full((2, 4 * count + 2), 9, np.float32), np.full((2, count + 4), 9, np.int8)
    found = _many(out, mask, able, shown, edges, contacts, chosen, first, count)
    for row, numbers in enumerate((np.arange(first, 40), chosen["contact"][first:])):
        stands = (numbers >= 0) & (contacts["weight"][numbers] > 0)
        looks = shown[edges["peer"][numbers]]
        quads = [looks["present"], looks["reputation"], contacts["trust"][numbers].astype("f4"), looks["frozen"]]
        want = np.where(stands[:, None], np.stack(quads, axis=1), 0)
        assert np.array_equal(out[row], [9, *want.ravel(), 9])
        assert mask[row].tolist() == [9, 9, *(stands & able), 9, 9]
        assert found[row] == bool(stands.any())
    tables = [each.view(np.recarray) for each in (shown, edges, contacts, chosen)]
    plain = np.full_like(out, 9), np.full_like(mask, 9)
    assert found == _many.py_func(*plain, able, *tables, first, count)
    assert (plain[0].tobytes(), plain[1].tobytes()) == (out.tobytes(), mask.tobytes())


@pytest.mark.parametrize("count", [1, 4, 5])
def test_an_inbox_is_cleared(count: int) -> None:
    written = []
    for write in (_inbox, slots.clear_inbox.plain):
        out, mask = np.full(4 * count + 2, 9, np.float32), np.full(2 * count + 1, 9, np.int8)
        write(out, mask, told(count)) if write is _inbox else write(out, 1, mask, told(count))
        written.append((out.tolist(), mask.tolist()))
    assert written[0] == written[1] == ([9.0, *[0.0] * 4 * count, 9.0], [*[1, 0] * count, 9])


def test_shares_of_budgets() -> None:
    agents, params = table(types.Agent, 1), table(np.dtype([("more", "f8"), ("budgets", "f4", 4)]), 1)
    for used, budgets, shares in (
        ((1, 2, 0, 5), (4, 2, 3, 4), (0.75, 0, 1, 0)),
        ((0, 0, 1, 7), (0, 1, 1, 10), (0, 1, 0, 0.3)),
    ):
        for name, number in zip(("posts", "votes", "tasks", "actions"), used, strict=True):
            agents[name] = number
        params["budgets"] = budgets
        out = np.full(6, 9, np.float32)
        _shares(out, agents, params)
        assert np.array_equal(out, np.array([9, *shares, 9], np.float32))
        plain = np.full(6, 9, np.float32)
        records = agents.view(np.recarray)[0], params.view(np.recarray)[0]
        slots.put_shares.plain(plain, 1, *records)
        assert np.array_equal(out, plain)
