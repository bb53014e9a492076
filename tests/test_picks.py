"""Agents as bits of a word: machine code goes through the same ones as plain Python, in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_env.core import picks
from swarm_env.core.compiled import JIT, kernel


@kernel
def _go_through(chosen: Any, out: Any) -> None:
    left, count = picks.NO_BIT, 0
    for k in range(len(chosen)):
        left |= picks.bit(chosen[k], k)
    while left != picks.NO_BIT:
        out[count] = picks.first_of(left)
        left = picks.without_first(left)
        count += 1


@pytest.mark.parametrize(
    "play", [_go_through, *([_go_through.py_func] if JIT else [])], ids=["kernel", "python"][: 1 + JIT]
)
@given(chosen=st.lists(st.booleans(), max_size=picks.BITS))
def test_all_that_were_picked_come_once_in_order(play: Any, chosen: list[bool]) -> None:
    out = np.full(picks.BITS + 1, -1)
    play(np.array(chosen, dtype=np.bool_), out)
    expected = [k for k, picked in enumerate(chosen) if picked]
    assert out.tolist() == expected + [-1] * (len(out) - len(expected))


@pytest.mark.parametrize("k", [0, 1, 31, 32, 63])
def test_the_bit_at_either_end(k: int) -> None:
    assert int(picks.bit.py_func(True, k) if JIT else picks.bit(True, k)) == 2**k
    assert picks.first_of(np.uint64(2**k)) == k
    assert picks.without_first(np.uint64(2**k)) == picks.NO_BIT
