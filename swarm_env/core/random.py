"""Draws as pure functions of (seed, episode, step, agent, stream): nothing is consumed, nothing is remembered.

Two rounds of the splitmix64 finaliser (Steele, Lea & Flood 2014) turn the coordinates into 64 bits: one keys a step,
one a draw in it. Adjacent seeds, steps and agents are as independent as distant ones; a lever that draws or not moves
no other draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from swarm_env.core import eights
from swarm_env.core.compiled import alternative, rule
from swarm_env.core.elementary import cos_turn, log

#: One number a use: two draws of one agent in one step differ in their stream. Append only: order is behaviour.
STREAMS: tuple[str, ...] = (
    "progress", "rework", "rejections", "misuse", "engagement",  # the observables of a proposal
    "disguise", "signal_a", "signal_b", "reading_a", "reading_b",  # what is seen of it
    "answer", "audit", "outcome", "arrival",  # settling it
    "idle", "post", "vote", "vote_peer", "interact", "interact_peer", "attack", "explore",  # scripted policies
)  # fmt: skip
(
    PROGRESS, REWORK, REJECTIONS, MISUSE, ENGAGEMENT,
    DISGUISE, SIGNAL_A, SIGNAL_B, READING_A, READING_B,
    ANSWER, AUDIT, OUTCOME, ARRIVAL,
    IDLE, POST, VOTE, VOTE_PEER, INTERACT, INTERACT_PEER, ATTACK, EXPLORE,
) = range(len(STREAMS))  # fmt: skip

_GOLDEN = np.uint64(eights.GOLDEN)
_MULTIPLY_1, _MULTIPLY_2 = np.uint64(eights.MULTIPLY_1), np.uint64(eights.MULTIPLY_2)
_SHIFT_30, _SHIFT_27, _SHIFT_31, _SHIFT_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_STREAM_STRIDE = np.uint64(64)  # room for streams: agents' draws never overlap
_UNIT = eights.UNIT


def _mix_in_python(key: np.uint64, index: np.uint64) -> np.uint64:
    """The same numbers in plain integers: NumPy's scalars warn where 64-bit arithmetic wraps."""
    return np.uint64(eights.mix(int(key), int(index)))


@rule
def _mix_in_kernels(key: np.uint64, index: np.uint64) -> np.uint64:
    x = key + (index + np.uint64(1)) * _GOLDEN
    x = (x ^ (x >> _SHIFT_30)) * _MULTIPLY_1
    x = (x ^ (x >> _SHIFT_27)) * _MULTIPLY_2
    return x ^ (x >> _SHIFT_31)


#: The index-th output of the splitmix64 sequence that starts at key.
mix = alternative(_mix_in_kernels, _mix_in_python)


@rule
def episode_key(seed: int, episode: int) -> np.uint64:
    """Key of one episode of one environment. The seed alone names the environment."""
    return mix(mix(np.uint64(0), np.uint64(seed)), np.uint64(episode))


@rule
def step_key(key: np.uint64, step: int) -> np.uint64:
    """Key of one step of an episode."""
    return mix(key, np.uint64(step))


@rule
def uniform(key: np.uint64, agent: int, stream: int) -> float:
    """A draw from U[0, 1) at (agent, stream) of the step that `key` belongs to."""
    bits = mix(key, np.uint64(agent) * _STREAM_STRIDE + np.uint64(stream))
    return float(bits >> _SHIFT_11) * _UNIT


@rule
def integer(key: np.uint64, agent: int, stream: int, low: int, high: int) -> int:
    """A whole number from low..high, both ends included."""
    return low + int(uniform(key, agent, stream) * (high - low + 1))


@rule
def spread(key: np.uint64, agent: int, spans: Any, row: int) -> Any:
    """The agent's draws of streams 0..7 at once, the k-th times spans[row, k]; spans: (rows, 8) float64."""
    return eights.spread(key, np.uint64(agent) * _STREAM_STRIDE, spans, row)


@rule
def bell(u: float, v: float) -> float:
    """A standard normal draw of two uniform ones (Box-Muller)."""
    return math.sqrt(-2.0 * log(1.0 - u)) * cos_turn(v)


@rule
def normal(key: np.uint64, agent: int, stream_a: int, stream_b: int) -> float:
    """A standard normal draw, from two streams."""
    return bell(uniform(key, agent, stream_a), uniform(key, agent, stream_b))
