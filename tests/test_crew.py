"""Threads that share a batch's rows."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from swarm_env.core import claims
from swarm_env.core.compiled import JIT, kernel
from swarm_env.crew import Crew

Rows = list[tuple[int, int]]
take = claims.take


@kernel
def count(lo: int, hi: int, left: NDArray[np.int64], me: int, times: NDArray[np.int64], by: NDArray[np.int64]) -> None:
    """How many times each row is met, and by whom; slowly, so that several threads are at it."""
    while True:
        for row in range(lo, hi):
            times[row] += 1
            by[row] = me
            for k in range(2000):
                by[len(times) + me] += k % 7
        lo, hi = take(left, me)
        if lo == hi:
            break


@given(rows=st.integers(1, 5000), block=st.sampled_from([1, 32]), threads=st.integers(1, 5))
def test_every_row_is_in_one_share_and_blocks_stay_whole(rows: int, block: int, threads: int) -> None:
    crew = Crew(rows, block, threads)
    assert [row for lo, hi in crew.shares for row in range(lo, hi)] == list(range(rows))
    assert all(lo % block == 0 and lo < hi for lo, hi in crew.shares)
    assert len(crew.shares) <= threads
    crew.close()


@given(rows=st.integers(1, 700), block=st.sampled_from([1, 32]), threads=st.integers(1, 5), data=st.data())
def test_every_row_is_taken_once_whoever_comes_when(rows: int, block: int, threads: int, data: Any) -> None:
    crew = Crew(rows, block, threads)
    left, taken = claims.claims_for(crew.shares, block), []
    awake = list(range(len(crew.shares)))
    while awake:
        me = data.draw(st.sampled_from(awake)) if len(taken) < 20 else awake[0]
        lo, hi = take(left, me)
        if lo == hi:
            awake.remove(me)
        else:
            assert lo % block == 0
            assert hi == lo + block or hi in [stop for _, stop in crew.shares]
            taken.append((lo, hi))
    assert sorted(row for lo, hi in taken for row in range(lo, hi)) == list(range(rows))
    crew.close()


def test_a_thread_takes_its_own_rows_first() -> None:
    left = claims.claims_for([(0, 64), (64, 100)], 32)
    assert [take(left, 1) for _ in range(6)] == [(64, 96), (96, 100), (0, 32), (32, 64), (0, 0), (0, 0)]
    assert take(left, 0) == (0, 0)


def test_machine_code_on_four_threads_meets_every_row_once() -> None:
    rows, threads = (20_000, 4) if JIT else (100, 4)
    left = claims.claims_for([(k * rows // threads, (k + 1) * rows // threads) for k in range(threads)], 3)
    times, by = np.zeros(rows, np.int64), np.zeros(rows + threads, np.int64)
    count(0, 0, *claims.ALONE, times, by)  # compiles
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda me: count(0, 0, left, me, times, by), [0, 1, 2, 3]))
    assert (times == 1).all()
    assert len(set(by[:rows].tolist())) > 1


def test_alone_a_kernel_plays_the_rows_that_it_is_given() -> None:
    crew, calls = Crew(100, 32, 1), []
    crew.play(lambda lo, hi, left, me: calls.append((lo, hi, take(left, me))))
    crew.each(lambda lo, hi: calls.append((lo, hi, (0, 0))))
    assert calls == [(0, 100, (0, 0))] * 2
    crew.close()


def met(left: NDArray[np.int64], me: int, done: dict[int, Rows], wait: float) -> None:
    while (rows := take(left, me)) != (0, 0):
        done.setdefault(me, []).append(rows)
        time.sleep(wait)


def test_a_thread_that_is_held_up_holds_nobody_up_but_for_a_block() -> None:
    crew = Crew(160, 10, 2)
    done: dict[int, Rows] = {}
    crew.play(lambda lo, hi, left, me: met(left, me, done, 0.3 if me else 0.005))
    assert sorted(row for part in done.values() for lo, hi in part for row in range(lo, hi)) == list(range(160))
    assert len(done[1]) < 4 < len(done[0])
    crew.close()


def test_a_thread_that_does_not_come_is_not_waited_for_and_stays_away() -> None:
    crew = Crew(20, 10, 2)
    busy, done = threading.Event(), {}
    assert crew._pool is not None
    crew._pool.submit(busy.wait)  # its only other thread
    for _ in range(2):
        done.clear()
        crew.play(lambda lo, hi, left, me: met(left, me, done, 0))
        assert done == {0: [(0, 10), (10, 20)]}
    done.clear()
    busy.set()
    crew.close()  # after all that has been submitted
    assert done == {}


@pytest.mark.parametrize("whose", [0, 1, 2])
def test_what_a_call_raises_comes_out_and_the_threads_go_on(whose: int) -> None:
    crew = Crew(64, 1, 3)

    def wrong(lo: int, hi: int) -> None:
        if (lo, hi) == crew.shares[whose]:
            raise ArithmeticError(f"{lo}..{hi}")

    with pytest.raises(ArithmeticError):
        crew.each(wrong)
    seen: Rows = []
    crew.each(lambda lo, hi: seen.append((lo, hi)))
    assert sorted(seen) == crew.shares

    all_have_come = threading.Barrier(3, timeout=60)

    def wrong_at_play(lo: int, hi: int, left: NDArray[np.int64], me: int) -> None:
        all_have_come.wait()
        if me == whose:
            raise ArithmeticError(f"{me}")

    with pytest.raises(ArithmeticError):
        crew.play(wrong_at_play)
    crew.close()
