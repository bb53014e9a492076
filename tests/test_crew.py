"""Threads that share ranges of rows."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_env.crew import RANGES, Crew


@given(rows=st.integers(1, 5000), block=st.sampled_from([1, 32]), threads=st.integers(1, 5))
def test_every_row_is_in_one_range_and_blocks_stay_whole(rows: int, block: int, threads: int) -> None:
    crew = Crew(rows, block, threads)
    met = [row for lo, hi in crew.ranges for row in range(lo, hi)]
    assert met == list(range(rows))
    assert all(lo % block == 0 and lo < hi for lo, hi in crew.ranges)
    assert len(crew.ranges) <= (threads * RANGES if threads > 1 else 1)
    crew.close()


def test_all_ranges_are_worked_on_once_and_a_slow_one_holds_nobody_up() -> None:
    crew = Crew(160, 10, 2)
    done: dict[int, list[tuple[int, int]]] = {}

    def call(lo: int, hi: int) -> None:
        done.setdefault(threading.get_ident(), []).append((lo, hi))
        time.sleep(0.5 if lo == 0 else 0.005)

    crew.each(call)
    crew.close()
    assert sorted(piece for pieces in done.values() for piece in pieces) == crew.ranges
    slow = next(pieces for pieces in done.values() if (0, 10) in pieces)
    assert len(slow) < len(crew.ranges) / 2  # the other thread took what it could not


def test_what_a_call_raises_comes_out_and_the_threads_go_on() -> None:
    crew = Crew(64, 1, 3)

    def wrong(lo: int, hi: int) -> None:
        raise ArithmeticError(f"{lo}..{hi}")

    with pytest.raises(ArithmeticError):
        crew.each(wrong)
    seen: list[tuple[int, int]] = []
    crew.each(lambda lo, hi: seen.append((lo, hi)))
    assert sorted(seen) == crew.ranges
    crew.close()
