"""Streamed metrics: the same however the interactions are cut, and in bounded memory."""

import math
import tracemalloc
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.metrics import METRICS, SecuritySettings, Stream, bad_deals, calibration, compute, outcomes, stream
from swarm_env.metrics.clock import Clock
from swarm_env.metrics.dealings import Dealings
from tests.test_metrics_properties import payoffs, tables

EVERY = settings(max_examples=60, deadline=None)
PAYOFF = {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0.25, "rho_b": 0.5, "w_rep": 1}
COUNTS = {
    *("total_interactions", "accepted_interactions", "rejected_interactions", "expired_interactions"),
    *("n_flagged_pairs", "n_flagged_groups", "active_threats", "contagion_depth", "exfiltration_attempts"),
}


def chunks(table, cuts):
    """The table cut before these rows; cuts may repeat, so that a chunk may be empty."""
    n = len(table["p"])
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    return [{name: column[i:j] for name, column in table.items()} for i, j in pairwise(edges)]


def streamed(table, payoff, cuts, trust=None, **options):
    found = Stream(payoff, options.pop("num_agents", 6), **options)
    for chunk in chunks(table, cuts):
        found.add(chunk)
    return found.metrics(trust=trust)


def agree(one, other, payoff_scale=20.0):
    """Counts to the bit, the others to rounding; a coefficient of variation as precisely as its mean is known."""
    for name in METRICS:
        a, b = one[name], other[name]
        if name in COUNTS:
            assert a == b, name
        elif name.startswith("cv_") and not math.isnan(a):
            assert a == pytest.approx(b, abs=1e-12 * payoff_scale * max(1.0, a * a)), name
        else:
            assert a == pytest.approx(b, rel=1e-9, abs=1e-11, nan_ok=True), name


CUTS = st.lists(st.integers(0, 24), max_size=6)
TRUST = st.lists(st.floats(-2, 2), min_size=6, max_size=6)


@EVERY
@given(tables(), payoffs(), TRUST, CUTS)
def test_any_chunking_gives_what_compute_gives(table, payoff, trust, cuts):
    agree(streamed(table, payoff, cuts, trust), compute(table, payoff, trust=trust, num_agents=6))


@pytest.mark.parametrize("crowded", [bad_deals.CROWDED, 0])
@pytest.mark.parametrize("span", [12, 60])
def test_a_stream_that_forgets_loses_no_chain(crowded, span):
    # bad deals only, looked through after every chunk; a window of 7 steps, busy steps and quiet ones
    fast = SecuritySettings(contagion_velocity=4.0, steps_per_epoch=4)
    chains, forgotten = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, made = 60, rng.integers(0, 12, 60) % rng.integers(4, 13)
        step = np.sort(rng.integers(0, span, n)) if crowded == 0 else rng.integers(0, span, n)
        table = {"initiator": made, "counterparty": (made + rng.integers(1, 12, n)) % 12, "p": np.full(n, 0.29)}
        table |= {"accepted": np.ones(n, dtype=bool), "step": step}
        with mock.patch.object(bad_deals, "ROOM", 0), mock.patch.object(bad_deals, "CROWDED", crowded):
            found = Stream(PAYOFF, 12, security=fast)
            for chunk in chunks(table, range(0, n, 6)):
                found.add(chunk)
            values, whole = found.metrics(), compute(table, PAYOFF, num_agents=12, security=fast)
        agree(values, whole)
        chains += whole["active_threats"] > 0
        forgotten += n - found._record.part(bad_deals.BadDeals).all().shape[1]
    assert chains > 3
    assert forgotten > 100


def test_a_late_deal_that_needs_what_was_forgotten_is_refused():
    def deal(a, b, step):
        return {"initiator": [a], "counterparty": [b], "p": [0.1], "accepted": [True], "step": [step]}

    with mock.patch.object(bad_deals, "ROOM", 0), mock.patch.object(bad_deals, "CROWDED", 0):
        found = Stream(PAYOFF, 4)
        for a, b, step in ((0, 1, 10), (2, 3, 500), (2, 3, 501)):
            found.add(deal(a, b, step))
        before = found.metrics()
        with pytest.raises(ValueError, match="step 11 comes after step 501"):
            found.add(deal(1, 2, 11))
        assert found.metrics() == pytest.approx(before, nan_ok=True, rel=0, abs=0)
        found.add(deal(1, 2, 502))  # and the one in time is not
        found.add(deal(0, 3, 12))  # nor is one that needs nothing of it


@EVERY
@given(tables(agents=6), payoffs(), CUTS)
def test_pairs_that_have_no_place_from_the_start(table, payoff, cuts):
    with mock.patch("swarm_env.metrics.dealings.DENSE", 0):
        sparse = Stream(payoff, 6)
        assert not sparse._record.part(Dealings).dense
        for chunk in chunks(table, cuts):
            sparse.add(chunk)
        agree(sparse.metrics(), compute(table, payoff, num_agents=6))


@EVERY
@given(tables(), payoffs(), CUTS, st.integers(1, 7))
def test_blocks_do_not_show(table, payoff, cuts, block):
    whole = compute(table, payoff)
    with mock.patch.object(stream, "BLOCK", block):
        agree(compute(table, payoff), whole)
        agree(streamed(table, payoff, cuts), compute(table, payoff, num_agents=6))


@EVERY
@given(tables(v=st.sampled_from([1.0, -1.0])), CUTS, st.integers(1, 8))
def test_binned_auc_stays_within_its_error(table, cuts, bins):
    exact = compute(table, PAYOFF, "discrimination_auc")["discrimination_auc"]
    with mock.patch.object(outcomes, "EXACT_OUTCOMES", 3), mock.patch.object(outcomes, "FINE", bins):
        found = Stream(PAYOFF, 6, "discrimination_auc")
        for chunk in chunks(table, cuts):
            found.add(chunk)
        value, error = found.metrics()["discrimination_auc"], found.auc_error()
    assert math.isnan(value) == math.isnan(exact) == math.isnan(error)
    if not math.isnan(exact):
        assert abs(value - exact) <= error + 1e-12
        assert error == 0.0 or len(table["p"]) > 3


def test_auc_error_by_hand():
    # bins of .5: (.1 -, .4 +) and (.6 -, .9 +): three pairs of four are ranked right for sure or by half
    with mock.patch.object(outcomes, "EXACT_OUTCOMES", 3), mock.patch.object(outcomes, "FINE", 2):
        found = Stream(PAYOFF, 2)
        found.add(
            {
                "initiator": [0] * 4,
                "counterparty": [1] * 4,
                "accepted": [1] * 4,
                "p": [0.1, 0.4, 0.6, 0.9],
                "v": [-1, 1, -1, 1],
            }
        )
        assert found.metrics()["discrimination_auc"] == (0.5 + 1 + 0.5 + 0) / 4
        assert found.auc_error() == 0.5 * 2 / 4
    assert METRICS["discrimination_auc"].streamed != METRICS["brier_score"].streamed


def test_a_chunk_that_is_refused_leaves_the_stream_as_it_was():
    found, good = Stream(PAYOFF, 2), {"initiator": [0, 1], "counterparty": [1, 0], "p": [0.9, 0.1], "accepted": [1, 0]}
    found.add(good)
    before = found.metrics()
    for bad, message in (
        ({"p": [0.5, 1.5]}, r"p must hold numbers in \[0, 1\]; row 3 holds 1.5"),
        ({"initiator": [0, 2]}, "initiator must hold ids below num_agents = 2"),
        ({"epoch": [1, 0], "step": [7, 8]}, "step must count on from epoch to epoch"),
        ({"epoch": [0, 1], "step": [7, 1]}, "step must count on from epoch to epoch"),
    ):
        with mock.patch.object(stream, "BLOCK", 1), pytest.raises(ValueError, match=message):
            found.add(good | bad)
    assert found.rows == 2
    assert found.metrics() == pytest.approx(before, nan_ok=True, rel=0, abs=0)


def test_epochs_are_held_against_earlier_chunks():
    one = {"initiator": [0], "counterparty": [1], "p": [0.9], "accepted": [1]}
    found = Stream(PAYOFF, 2)
    found.add(one | {"epoch": [1], "step": [10]})
    with pytest.raises(ValueError, match="step must count on"):
        found.add(one | {"epoch": [2], "step": [9]})
    found.add(one | {"epoch": [0], "step": [9]})  # late, and in its place


def test_a_clock_forgets_old_epochs_and_nothing_else():
    clock = Clock(4)
    for epoch in range(100):
        clock.advance(np.array([epoch]), np.array([10 * epoch]))
        assert clock.epochs.shape[1] <= 4
    with pytest.raises(ValueError, match="step must count on"):
        clock.advance(np.array([3]), np.array([980]))
    with pytest.raises(ValueError, match="step must count on"):
        clock.advance(np.array([99]), np.array([970]))
    clock.advance(np.array([3, 99]), np.array([35, 991]))


def test_steps_count_on_from_chunk_to_chunk():
    chain = {"initiator": [0, 1, 1], "counterparty": [1, 2, 3], "p": [0.1] * 3, "accepted": [True] * 3}
    assert streamed(chain, PAYOFF, [1, 2])["contagion_depth"] == compute(chain, PAYOFF)["contagion_depth"] == 3


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_names_all_the_statistics_that_it_reads(name):
    table = {"initiator": [0, 1], "counterparty": [1, 0], "p": [0.9, 0.1], "accepted": [1, 0], "v": [1, -1]}
    alone = streamed(table, PAYOFF, [1], names=name, num_agents=2)
    assert alone == pytest.approx(compute(table, PAYOFF, name, num_agents=2), nan_ok=True)


def test_what_a_stream_was_not_made_for():
    found = Stream(PAYOFF, 2, ["toxicity_rate"])
    with pytest.raises(ValueError, match="not made for brier_score"):
        found.metrics("brier_score")
    with pytest.raises(ValueError, match="not made for discrimination_auc"):
        found.auc_error()
    with pytest.raises(ValueError, match="trust must hold one number for each agent"):
        found.metrics(trust=[0.5])
    assert math.isnan(found.metrics()["toxicity_rate"])


def test_memory_does_not_grow_with_the_interactions():
    rng, n, used = np.random.default_rng(0), 2**15, []

    def chunk(k):
        a = rng.integers(0, 5, n)
        p, step = rng.random(n), k * n + np.arange(n)
        columns = {"initiator": a, "counterparty": (a + rng.integers(1, 5, n)) % 5, "p": p, "accepted": p > 0.2}
        return columns | {"v": np.sign(rng.random(n) - 0.5), "step": step, "epoch": step // 10}

    with (
        mock.patch.object(outcomes, "EXACT_OUTCOMES", 2**12),
        mock.patch.object(bad_deals, "ROOM", 2**10),
        mock.patch.object(stream, "REMEMBERED", 256),
    ):
        found = Stream(PAYOFF, 5, security=SecuritySettings(contagion_velocity=6.0))
        tracemalloc.start()
        for k in range(12):
            found.add(chunk(k))
            used.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert max(used[6:]) < 1.1 * max(used[:6])
    assert found.metrics()["total_interactions"] == found.rows == 12 * n
    assert calibration.auc_error(found._record) == found.auc_error() < 1e-5
