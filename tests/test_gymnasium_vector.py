"""Gymnasium's view of a batch: bit for bit what Gymnasium's own vector of single environments gives."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordBatchStatistics

from swarm_env.adapters.vector import SingleMarketVector
from swarm_env.batch import EPISODE_METRICS
from tests.test_gymnasium import VIEWS, same, short


def pair(num_envs: int, **options: Any) -> tuple[SingleMarketVector, Any]:
    """Our batch, and Gymnasium's own of as many single environments, whose statistics each records."""
    ours = gymnasium.make_vec("swarm/baseline-v1", num_envs, scenario=short(), **options)
    theirs = gymnasium.make_vec(
        "swarm/baseline-v1",
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        wrappers=(RecordEpisodeStatistics,),
        scenario=short(),
        infos=False,
        **options,
    )
    assert isinstance(ours, SingleMarketVector)
    return ours, theirs


def without_clock(infos: dict[str, Any]) -> dict[str, Any]:
    """Infos without what only one side has: seconds (checked apart) and our market metrics."""
    infos = copy.deepcopy(infos)
    if "final_info" in infos:
        for name in ("t", "_t"):
            del infos["final_info"]["episode"][name]
        for name in ("metrics", "_metrics"):
            infos["final_info"].pop(name, None)
    return infos


@pytest.mark.parametrize("seed", [11, [5, 6, 7], [9, 2, 3]], ids=str)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: "-".join(view.values()))
def test_the_batch_is_gymnasiums_own_bit_for_bit(view: dict[str, str], seed: Any) -> None:
    ours, theirs = pair(3, **view)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    ended = 0
    seen, infos = ours.reset(seed=seed)
    again, others = theirs.reset(seed=seed)
    ours.action_space.seed(1)
    for step in range(20):  # episodes are eight steps: two ends
        assert same(seen, again)
        assert same(without_clock(infos), without_clock(others))
        assert ours.observation_space.contains(seen)
        assert same(ours.action_masks(), np.stack(theirs.call("action_masks")))
        actions = ours.action_space.sample()
        *mine, infos = ours.step(actions)
        *rest, others = theirs.step(actions)
        assert all(map(same, mine, rest))
        seen, again = mine[0], rest[0]
        ended += "final_info" in infos
        assert ("final_info" in infos) == (step % 8 == 7) == bool(mine[3].all())
    assert ended == 2
    seen, infos = ours.reset()  # in mid-episode, without a seed: the next one, in both
    again, others = theirs.reset()
    assert same(seen, again)


def test_final_infos_hold_statistics_and_the_markets_metrics() -> None:
    envs = gymnasium.make_vec("swarm/baseline-v1", num_envs=4, scenario=short())
    envs.reset(seed=0)
    nothing, total = np.zeros(envs.action_space.shape, dtype=np.int64), np.zeros(4)
    for _ in range(8):
        *_, infos = step = envs.step(nothing)
        total += step[1]
    last = infos["final_info"]
    assert same(last["episode"]["r"], total)
    assert last["episode"]["l"].tolist() == [8] * 4
    assert (last["episode"]["t"] > 0).all()
    assert set(EPISODE_METRICS) <= set(last["metrics"])
    assert (last["metrics"]["total_interactions"] > 0).all()


def test_gymnasiums_statistics_fit_around_the_batch() -> None:
    envs = RecordBatchStatistics(gymnasium.make_vec("swarm/baseline-v1", num_envs=2, scenario=short()))
    envs.reset(seed=0)
    nothing = np.zeros(envs.action_space.shape, dtype=np.int64)
    for _ in range(8):
        *_, infos = envs.step(nothing)
    assert infos["episode"]["l"].tolist() == [8, 8]
    assert same(infos["episode"]["r"], infos["final_info"]["episode"]["r"])
    assert list(envs.length_queue) == [8, 8]


def test_arrays_of_the_batch_are_never_written_again() -> None:
    envs = SingleMarketVector(2, short(), observations="dict")
    seen, infos = envs.reset(seed=0)
    kept = copy.deepcopy((seen, infos))
    for _ in range(9):
        envs.step(envs.action_space.sample())
    assert same(seen, kept[0])
    assert same(infos, kept[1])
    _, infos = envs.reset(seed=0)
    infos["action_mask"][:] = 7
    assert envs.action_masks().max() == 1


def test_batches_never_seeded_differ() -> None:
    one, two = SingleMarketVector(2, short()), SingleMarketVector(2, short())
    one.reset()
    two.reset()
    assert one.np_random_seed != two.np_random_seed


def test_bad_calls_of_the_batch_say_so() -> None:
    envs = SingleMarketVector(2, short())
    nothing = np.zeros((2, 5), dtype=np.int64)
    with pytest.raises(RuntimeError, match="step: reset the environment first"):
        envs.step(nothing)
    with pytest.raises(RuntimeError, match="action_masks: reset the environment first"):
        envs.action_masks()
    with pytest.raises(ValueError, match="3 seeds for 2 rows"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="seed must be whole numbers in"):
        envs.reset(seed=-1)
    with pytest.raises(ValueError, match="reset_mask must be True for every row"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match=r"reset_mask must be bool \(2,\)"):
        envs.reset(options={"reset_mask": np.array([True])})
    envs.reset(seed=1, options={"reset_mask": np.array([True, True])})
    with pytest.raises(ValueError, match=r"actions of shape \(3, 5\); they must be \(2, 5\)"):
        envs.step(np.zeros((3, 5), dtype=np.int64))
    with pytest.raises(ValueError, match="num_envs and num_threads must be at least 1"):
        gymnasium.make_vec("swarm/baseline-v1", num_envs=0)
