"""Draws are pure functions of their coordinates: the published generator, uniform, and independent along every axis."""

import functools
import math
import statistics

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.core import compiled, propose, random
from swarm_env.core.random import STREAMS

WORDS = st.integers(0, 2**64 - 1)
WRAP = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15

# first outputs of splitmix64 (Vigna's splitmix64.c): seed 0, and seed 1234567 as published with many ports of it
PUBLISHED = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC],
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
}


def splitmix64(seed, count):
    """The generator as it is published: a state that is stepped."""
    out, state = [], seed
    for _ in range(count):
        state = (state + GOLDEN) & WRAP
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WRAP
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WRAP
        out.append(z ^ (z >> 31))
    return out


def mix(key, index):
    return int(random.mix(np.uint64(key), np.uint64(index)))


@pytest.mark.parametrize("seed", PUBLISHED)
def test_mix_is_splitmix64_by_index(seed):
    assert [mix(seed, k) for k in range(len(PUBLISHED[seed]))] == PUBLISHED[seed]


@given(WORDS, st.integers(0, 50))
def test_mix_at_an_index_is_the_sequence_stepped_to_it(seed, index):
    assert mix(seed, index) == splitmix64(seed, index + 1)[-1]


@given(WORDS, WORDS)
def test_mix_wraps_at_64_bits(key, index):
    assert mix(key, index) == splitmix64((key + index * GOLDEN) & WRAP, 1)[0]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 10**6))
def test_a_draw_is_the_top_53_bits_keyed_by_seed_episode_step_agent_and_stream(seed, episode, step, agent):
    key = random.step_key(random.episode_key(seed, episode), step)
    assert int(key) == mix(mix(mix(0, seed), episode), step)
    for stream in (0, 11, 21):
        u = random.uniform(key, agent, stream)
        assert u == (mix(int(key), 64 * agent + stream) >> 11) / 2**53
        assert 0.0 <= u < 1.0


def test_draws_of_different_agents_never_share_an_index():
    assert len(STREAMS) <= 64
    assert len(set(STREAMS)) == len(STREAMS)


def test_stream_constants_are_the_places_of_their_names():
    assert [getattr(random, name.upper()) for name in STREAMS] == list(range(len(STREAMS)))


@pytest.mark.skipif(not compiled.JIT, reason="machine code is off")
def test_plain_and_compiled_mix_agree():
    draw = random.mix  # numba resolves globals, so name the rule itself

    @numba.njit
    def run(keys, indices, out):
        for n in range(len(keys)):
            out[n] = draw(keys[n], indices[n])

    edges = [0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
    rng = np.random.default_rng(0)
    pairs = [(k, i) for k in edges for i in edges] + rng.integers(0, 2**64, (2000, 2), dtype=np.uint64).tolist()
    keys, indices = np.array(pairs, dtype=np.uint64).T.copy()
    out = np.zeros(len(keys), dtype=np.uint64)
    run(keys, indices, out)
    assert out.tolist() == [mix(k, i) for k, i in pairs]


@pytest.mark.skipif(not compiled.JIT, reason="machine code is off")
def test_plain_and_compiled_draws_agree():
    uniform, integer, normal = random.uniform, random.integer, random.normal
    episode_key, step_key = random.episode_key, random.step_key

    @numba.njit
    def run(out):
        for n in range(len(out)):
            key = step_key(episode_key(n, 3), 2 * n)
            out[n, 0] = uniform(key, n, 5)
            out[n, 1] = integer(key, n, 6, -2, 3)
            out[n, 2] = normal(key, n, 7, 8)

    out = np.zeros((500, 3))
    run(out)
    for n, (u, whole, z) in enumerate(out.tolist()):
        key = random.step_key(random.episode_key(n, 3), 2 * n)
        assert u == random.uniform(key, n, 5)
        assert whole == random.integer(key, n, 6, -2, 3)
        assert z == random.normal(key, n, 7, 8)


def at(seed=11, episode=0, step=0, agent=0, stream=0):
    return random.uniform(random.step_key(random.episode_key(seed, episode), step), agent, stream)


#: Ways through the coordinates: n -> a draw.
AXES = {
    "seeds": lambda n: at(seed=n),
    "distant seeds": lambda n: at(seed=n << 32),
    "episodes": lambda n: at(episode=n),
    "steps": lambda n: at(step=n),
    "agents": lambda n: at(agent=n),
    "streams and agents": lambda n: at(agent=n // len(STREAMS), stream=n % len(STREAMS)),
    "steps and agents": lambda n: at(step=n // 7, agent=n % 7),
    "seed and step together": lambda n: at(seed=n, step=n),
    "seed against step": lambda n: at(seed=5000 - n, step=n),
}


@functools.cache
def drawn(axis, size=5000):
    return np.array([AXES[axis](n) for n in range(size)])


def chi_square(counts):
    expected = np.sum(counts) / np.size(counts)
    return float(np.sum((np.asarray(counts) - expected) ** 2) / expected)


def within(statistic, freedom):
    """Neither more nor less scattered than chance allows (5 sd of a chi-square; every seed here is fixed)."""
    return abs(statistic - freedom) < 5.0 * math.sqrt(2.0 * freedom)


@pytest.mark.parametrize("axis", AXES)
def test_draws_are_uniform_along(axis):
    draws = drawn(axis)
    assert within(chi_square(np.histogram(draws, 100, (0, 1))[0]), 99)
    low_bits = np.array([int(u * 2**53) % 64 for u in draws])
    assert within(chi_square(np.bincount(low_bits, minlength=64)), 63)


@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("axis", AXES)
def test_neighbouring_draws_are_independent_along(axis, lag):
    draws = drawn(axis)
    table = np.histogram2d(draws[:-lag], draws[lag:], 8, [(0, 1), (0, 1)])[0]
    assert within(chi_square(table), 63)
    assert abs(np.corrcoef(draws[:-lag], draws[lag:])[0, 1]) < 5.0 / math.sqrt(5000)


@pytest.mark.parametrize("stream", range(0, len(STREAMS) - 1, 3))
def test_streams_of_one_agent_are_independent_of_each_other(stream):
    a, b = np.array([[at(step=n, stream=stream + k) for k in (0, 1)] for n in range(2000)]).T
    assert within(chi_square(np.histogram2d(a, b, 8, [(0, 1), (0, 1)])[0]), 63)


def test_seeds_episodes_and_steps_that_add_up_alike_are_different_keys():
    keys = [int(random.step_key(random.episode_key(s, e), t)) for s in range(12) for e in range(12) for t in range(12)]
    assert len(set(keys)) == 12**3


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 2), (1, 3), (-2, 4), (5, 5)])
def test_whole_numbers_are_uniform_with_both_ends_included(low, high):
    key, size = random.episode_key(1, 1), high - low + 1
    draws = [random.integer(key, n, 3, low, high) for n in range(3000)]
    assert sorted(set(draws)) == list(range(low, high + 1))
    if size > 1:
        assert within(chi_square(np.bincount(np.array(draws) - low, minlength=size)), size - 1)


def test_normal_draws_are_standard_normal():
    key, normal = random.episode_key(2, 0), statistics.NormalDist()
    draws = np.array([random.normal(key, n, 6, 7) for n in range(6000)])
    assert within(chi_square(np.histogram([normal.cdf(z) for z in draws], 50, (0, 1))[0]), 49)
    assert abs(draws.mean()) < 5.0 / math.sqrt(6000)
    assert abs(draws.var() - 1.0) < 5.0 * math.sqrt(2.0 / 6000)


@given(WORDS, st.integers(0, 1000))
@settings(max_examples=50)
def test_normal_draws_are_finite_and_use_both_their_streams(key, agent):
    key = np.uint64(key)
    a, b = random.uniform(key, agent, 6), random.uniform(key, agent, 7)
    z = random.normal(key, agent, 6, 7)
    assert math.isfinite(z)
    assert z == pytest.approx(math.sqrt(-2 * math.log1p(-a)) * math.cos(2 * math.pi * b), abs=1e-9)


@given(WORDS, st.integers(0, 100_000), st.integers(0, len(propose.SPANS) - 1))
def test_eight_draws_at_once_are_the_eight_drawn_one_by_one(key, agent, row):
    key, spans = np.uint64(key), propose.SPANS
    alone = tuple(float(span) * random.uniform(key, agent, stream) for stream, span in enumerate(spans[row]))
    assert random.spread(key, agent, spans, row) == alone


@pytest.mark.skipif(not compiled.JIT, reason="without machine code there is one version")
def test_machine_code_and_plain_python_draw_the_same_eight():
    @numba.njit
    def draw(key, agent, row):
        return random.spread(key, agent, propose.SPANS, row)

    generator = np.random.default_rng(1)
    for key in generator.integers(0, 2**64, size=200, dtype=np.uint64):
        agent, row = int(generator.integers(100_000)), int(generator.integers(len(propose.SPANS)))
        assert draw(key, agent, row) == random.spread(key, agent, propose.SPANS, row)
