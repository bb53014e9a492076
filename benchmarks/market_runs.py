"""What is timed of ours: the PettingZoo environment and the vectorised one.

Learners act at random among what is legal. Actions of the ParallelEnv and of small batches are drawn beforehand, in a
run that the timed one repeats seed by seed; in large batches, whose episodes would fill the memory with actions, they
are drawn between the steps while the watch stands still.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import swarm_env
from benchmarks.populations import scenario
from benchmarks.sample import Facts, Sample, Skip, Stopwatch, until
from swarm_env.core.types import DESK, PROPOSE

RECORDED = 300_000  #: agent-steps whose actions are drawn beforehand, at most
EPISODES = 3  #: of the ParallelEnv, that are played in turn
WATCHED = 2_000_000  #: agent-steps that may be played to see how much a market trades
MEMORY = 1536 * 2**20  #: bytes that a batch may take


@njit(cache=True)
def legal(mask: NDArray[np.int8], nvec: NDArray[np.int64], key: int, out: NDArray[np.int64]) -> None:
    """Write a legal choice for every head, uniform among those of the mask (B, L, M), to out (B, L, heads)."""
    x = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    for b in range(mask.shape[0]):
        for i in range(mask.shape[1]):
            at = 0
            for head in range(len(nvec)):
                count = 0
                for k in range(nvec[head]):
                    count += mask[b, i, at + k]
                x ^= x << np.uint64(13)
                x ^= x >> np.uint64(7)
                x ^= x << np.uint64(17)
                left = np.int64((x >> np.uint64(33)) % np.uint64(max(count, 1)))
                out[b, i, head] = 0
                for k in range(nvec[head]):
                    if mask[b, i, at + k]:
                        if left == 0:
                            out[b, i, head] = k
                            break
                        left -= 1
                at += nvec[head]


def parallel(seconds: float, rules: str, agents: int, infos: bool) -> tuple[Callable[[], Sample], Facts]:
    """Episodes of the ParallelEnv, reset included; counts agent-steps."""
    env = swarm_env.parallel_env(scenario(rules, agents), learners="all", infos=infos)
    episodes = [_episode(env, seed) for seed in range(EPISODES)]

    def play() -> int:
        for seed, episode in enumerate(episodes):
            env.reset(seed=seed)
            for actions in episode:
                env.step(actions)
        return agents * sum(map(len, episodes))

    return lambda: until(seconds, play), {}


def _episode(env: Any, seed: int) -> list[dict[str, Any]]:
    episode, (observations, _) = [], env.reset(seed=seed)
    for k, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(1000 * seed + k)
    while env.agents:
        actions = {a: env.action_space(a).sample(observations[a]["action_mask"]) for a in env.agents}
        observations, *_ = env.step(actions)
        episode.append(actions)
    return episode


def batch(
    seconds: float,
    rules: str,
    agents: int,
    rows: int,
    threads: int = 1,
    learners: str = "all",
    complete: bool = False,
    tuned: bool = False,
) -> tuple[Callable[[], Sample], Facts]:
    """Steps of the vectorised environment, autoresets included; counts agent-steps."""
    market = scenario(rules, agents, complete=complete)
    facts = size(market, learners, rows)
    env = swarm_env.vector_env(market, num_envs=rows, learners=learners, num_threads=threads, tuned=tuned)
    nvec = np.asarray(env.single_action_space.nvec, dtype=np.int64)
    actions = np.zeros((rows, env.num_learners, len(nvec)), dtype=np.int64)
    facts |= trade(env, nvec, actions, agents, market.num_steps)
    facts["peak_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of the whole process, set-up too
    if rows * agents * market.num_steps <= RECORDED:
        return recorded(seconds, env, nvec, actions, agents, market.num_steps), facts
    return drawn(seconds, env, nvec, actions, agents, market.simulation.steps_per_epoch), facts


def size(market: swarm_env.Scenario, learners: str, rows: int) -> Facts:
    """Bytes of one row, by what they are; raises Skip where `rows` of them are too much."""
    many = min(rows, DESK)  # which share working memory
    env = swarm_env.vector_env(market, num_envs=many, learners=learners)
    seen, _ = env.reset()
    heads = len(env.single_action_space.nvec)
    facts = {
        "state_bytes": sum(part.nbytes for part in env.state_tables) // many,
        "shown_bytes": sum(part.nbytes for part in seen.values()) // many,
        "action_bytes": 8 * env.num_learners * heads,
        "observation_entries": seen["observation"].size // many,
        "mask_entries": seen["action_mask"].size // many,
        "contacts": env.state_tables.contacts.shape[1],
    }
    env.close()
    need = rows * (facts["state_bytes"] + facts["shown_bytes"] + 2 * facts["action_bytes"])
    if need > MEMORY:
        raise Skip(f"needs {need / 2**30:.1f} GiB, more than the {MEMORY / 2**30:.1f} GiB that a batch may take here")
    return facts


def trade(env: Any, nvec: NDArray[np.int64], actions: NDArray[np.int64], agents: int, num_steps: int) -> Facts:
    """How much goes on in the market that is timed: interactions settled an agent-step, over the first episode.

    Large batches only warm up: of a whole episode they would make the set-up take minutes.
    """
    watched = min(num_steps, max(8, WATCHED // (len(actions) * agents)))
    (seen, _), awake, facts = env.reset(seed=0), 0.0, {}
    for step in range(watched):
        awake += may_propose(seen, nvec) / watched
        legal(seen["action_mask"], nvec, step, actions)
        seen, _, _, _, infos = env.step(actions)
        if "episode" in infos:
            total = float(np.mean(infos["episode"]["total_interactions"]))
            facts["interactions_per_agent_step"] = total / (agents * num_steps)
    return {"may_propose": awake, **facts}


def may_propose(seen: dict[str, NDArray[np.int8]], nvec: NDArray[np.int64]) -> float:
    """Share of learners who may propose; the others are frozen, spent or without a budget, and cost less."""
    return float(seen["action_mask"][:, :, int(nvec[:-3].sum()) + PROPOSE].mean())


def recorded(
    seconds: float, env: Any, nvec: NDArray[np.int64], actions: NDArray[np.int64], agents: int, num_steps: int
) -> Callable[[], Sample]:
    """Replays episodes whose actions were drawn beforehand; few rows play several, since seeds differ in cost."""
    rows = len(actions)
    episodes = max(1, min(32 // rows, RECORDED // (rows * agents * num_steps)))
    ring, (seen, _) = [], env.reset(seed=0)
    for step in range(episodes * num_steps):
        legal(seen["action_mask"], nvec, step, actions)
        ring.append(actions.copy())
        seen, *_ = env.step(actions)

    def play() -> int:
        env.reset(seed=0)
        for chosen in ring:
            env.step(chosen)
        return len(ring) * rows * agents

    return lambda: until(seconds, play)


def drawn(
    seconds: float, env: Any, nvec: NDArray[np.int64], actions: NDArray[np.int64], agents: int, per_epoch: int
) -> Callable[[], Sample]:
    """Goes on where the last repeat stopped; actions are drawn between the steps, off the watch.

    Whole epochs only: the step that ends one costs several times as much as the others.
    """
    state = {"seen": env.reset(seed=0)[0], "step": 0}

    def play() -> Sample:
        count, watch = 0, Stopwatch()
        while watch.wall < seconds or state["step"] % per_epoch:
            legal(state["seen"]["action_mask"], nvec, state["step"], actions)
            watch.start()
            state["seen"], *_ = env.step(actions)
            watch.stop()
            state["step"] += 1
            count += len(actions) * agents
        return Sample(count, watch.wall, watch.cpu)

    return play


def epochs(seconds: float, rules: str, agents: int, rows: int, num_epochs: int) -> tuple[Callable[[], Sample], Facts]:
    """One long episode in pieces: what a step costs in its first epoch, the tenth and the hundredth.

    Agents start rich: random conduct would else ruin them all by the eightieth epoch, and a market at rest costs less.
    """
    del seconds  # one whole episode
    market = scenario(rules, agents, epochs=num_epochs, rich=True)
    env = swarm_env.vector_env(market, num_envs=rows)
    nvec = np.asarray(env.single_action_space.nvec, dtype=np.int64)
    actions = np.zeros((rows, env.num_learners, len(nvec)), dtype=np.int64)
    per_epoch = market.simulation.steps_per_epoch

    def play() -> Sample:
        seen, _ = env.reset(seed=0)
        parts: dict[str, tuple[int, float, float]] = {}
        for epoch in range(num_epochs - 1):  # the last one ends in a reset
            watch = Stopwatch()
            for step in range(per_epoch):
                legal(seen["action_mask"], nvec, epoch * per_epoch + step, actions)
                watch.start()
                seen, *_ = env.step(actions)
                watch.stop()
            parts[str(epoch + 1)] = (per_epoch * rows * agents, watch.wall, watch.cpu)
        count, wall, cpu = (sum(part[k] for part in parts.values()) for k in range(3))
        return Sample(int(count), wall, cpu, parts)

    seen, _ = env.reset(seed=0)
    awake = dict.fromkeys(range(1, num_epochs + 1), 0.0)
    for step in range(market.num_steps):
        awake[step // per_epoch + 1] += may_propose(seen, nvec) / per_epoch
        legal(seen["action_mask"], nvec, step, actions)
        seen, *_ = env.step(actions)
    return play, {"steps_per_epoch": per_epoch, "may_propose": {str(epoch): share for epoch, share in awake.items()}}
