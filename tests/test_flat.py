"""The flat view: every flat action is one of the environment's, and the joint mask is exact."""

from __future__ import annotations

import numpy as np
import pytest

import swarm_env
from swarm_env.adapters.flat import FlatActions, flatten, moves
from swarm_env.core.types import PROPOSE, VOTE

SMALL = ["view.inbox=2", "view.peers=2"]


def small() -> object:
    return flatten(swarm_env.parallel_env(swarm_env.load_scenario("baseline", SMALL)))


def test_the_joint_mask_is_exactly_what_the_environment_calls_legal() -> None:
    env = small()
    _, infos = env.reset(seed=0)
    twin = small()
    rng = np.random.default_rng(0)
    illegal, history = 0, []
    for step in range(25):
        if step % 6 == 5:  # check every action of one agent on a copy brought to the same state
            agent = env.possible_agents[step % len(env.possible_agents)]
            for action in range(env.action_space(agent).n):
                counted = replay(twin, history, {agent: action})[agent]["illegal_actions"]
                assert (counted == 0) == bool(infos[agent]["action_mask"][action]), (step, action)
                illegal += counted > 0
        actions = {a: int(rng.choice(np.flatnonzero(infos[a]["action_mask"]))) for a in env.agents}
        history.append(actions)
        *_, infos = env.step(actions)
    assert illegal > 0


def replay(env: object, history: list[dict[str, int]], last: dict[str, int]) -> dict[str, dict[str, float]]:
    env.reset(seed=0)
    for actions in history:
        env.step(actions)
    *_, infos = env.step({**dict.fromkeys(env.possible_agents, 0), **last})
    return infos


def test_moves_are_distinct_and_decode_to_the_environments_heads() -> None:
    env = small()
    table = moves(2)
    assert len(np.unique(table, axis=0)) == len(table) == 1 + 1 + 2 * 4 + 2 * 2 + 4
    space = env.action_space("honest_1")
    assert space.n == 4 * len(table)
    decoded = {tuple(env.decode(action)) for action in range(space.n)}
    assert len(decoded) == space.n
    native = swarm_env.parallel_env(swarm_env.load_scenario("baseline", SMALL)).action_space("honest_1")
    assert all(native.contains(np.array(action)) for action in decoded)


def test_bad_actions_and_too_many_slots_say_so() -> None:
    env = small()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"'honest_1' needs a whole number in 0\.\.71, got 72"):
        env.step(dict.fromkeys(env.agents, 72))
    wide = swarm_env.load_scenario("baseline", ["view.inbox=16"])
    with pytest.raises(ValueError, match="too many to enumerate"):
        flatten(swarm_env.parallel_env(wide))


def test_a_closed_peer_slot_forbids_what_asks_that_peer_and_nothing_else() -> None:
    flat = FlatActions(inbox=1, peers=2)
    every = [1, 0] + [1] * 5 + [0, 1] + [1] * 4  # nothing to accept, all verbs, the second peer alone, all conducts
    mask = flat.joint_mask(np.array(every, dtype=np.int8))
    accept, verb, peer, _ = flat.decode(np.arange(flat.count)).T
    assert np.array_equal(mask == 1, (accept == 0) & (~np.isin(verb, (PROPOSE, VOTE)) | (peer == 1)))


def test_batches_of_masks_and_actions_go_as_single_ones_do() -> None:
    flat = FlatActions(inbox=2, peers=3)
    rng = np.random.default_rng(0)
    masks = rng.integers(2, size=(4, 5, 2 * 2 + 5 + 3 + 4)).astype(np.int8)
    joint = flat.joint_mask(masks)
    assert joint.shape == (4, 5, flat.count)
    assert all(np.array_equal(joint[b, k], flat.joint_mask(masks[b, k])) for b in range(4) for k in range(5))
    actions = rng.integers(flat.count, size=(4, 5))
    heads = flat.decode(actions)
    assert all(np.array_equal(heads[b, k], flat.decode(int(actions[b, k]))) for b in range(4) for k in range(5))
