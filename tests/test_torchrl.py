"""TorchRL's `PettingZooWrapper` takes our environments as they are: no adapter of ours is needed (torchrl 0.14)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env.adapters.flat import flatten
from swarm_env.adapters.single import SingleMarket
from swarm_env.core.features import INFO

torch = pytest.importorskip("torch")
envs = pytest.importorskip("torchrl.envs")
utils = pytest.importorskip("torchrl.envs.utils")

# what the wrapper says of every PettingZoo newer than 1.24.3, and what torch and tensordict say of themselves
pytestmark = [
    pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested using version:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

STEPS = 8
TOGETHER = utils.MarlGroupMapType.ALL_IN_ONE_GROUP


def market(native: bool = True, **options: Any) -> Any:
    """Baseline with three learners and episodes of eight steps."""
    short = ["simulation.n_epochs=2", "simulation.steps_per_epoch=4"]
    env = swarm_env.parallel_env(swarm_env.load_scenario("baseline", short), learners="honest_*", **options)
    return env if native else flatten(env)


def wrap(native: bool = True, seed: int | None = 0, **options: Any) -> Any:
    return envs.PettingZooWrapper(env=market(native), group_map=TOGETHER, seed=seed, **options)


def rollout(env: Any, steps: int = 3 * STEPS) -> Any:
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


@pytest.mark.parametrize("native", [True, False], ids=["native", "flat"])
@pytest.mark.parametrize("categorical", [True, False], ids=["categorical", "one_hot"])
@pytest.mark.parametrize("state", [True, False], ids=["state", "no_state"])
def test_specs_hold_and_random_actions_are_legal(native: bool, categorical: bool, state: bool) -> None:
    env = wrap(native, categorical_actions=categorical, return_state=state)
    utils.check_env_specs(env)
    played = rollout(env)
    assert played["next", "agents", "info", "illegal_actions"].sum() == 0
    assert played["agents", "action_mask"].dtype is torch.bool
    assert ("state" in set(played.keys())) is state
    assert played["next", "truncated"].flatten().nonzero().flatten().tolist() == [7, 15, 23]
    assert not played["next", "terminated"].any()


def test_all_infos_arrive() -> None:
    played = rollout(wrap())
    assert set(played["agents", "info"].keys()) == set(INFO)
    parts = played["next", "agents", "info"]
    gains = parts["payoff_initiator"] + parts["payoff_counterparty"] + parts["task_pay"]
    expected = gains - parts["rejected_cost"] - parts["penalty"]
    torch.testing.assert_close(played["next", "agents", "reward"].squeeze(-1), expected.float().reshape(-1, 3))


def test_it_plays_what_the_parallel_environment_plays() -> None:
    played = rollout(wrap(seed=4, return_state=True), STEPS)
    twin = market()
    twin.reset(seed=4)  # the wrapper resets once to take the seed, and again to start:
    views, _ = twin.reset()  # a rollout begins with the second episode of its seed
    for t, step in enumerate(played):
        for i, agent in enumerate(twin.possible_agents):
            assert np.array_equal(step["agents", "observation", "observation"][i], views[agent]["observation"])
            assert np.array_equal(step["agents", "action_mask"][i], views[agent]["action_mask"])
        assert np.array_equal(step["state"], twin.state())
        actions = {agent: step["agents", "action"][i].numpy() for i, agent in enumerate(twin.possible_agents)}
        views, rewards, _, truncations, _ = twin.step(actions)
        paid = [rewards[agent] for agent in actions]
        assert np.array_equal(step["next", "agents", "reward"].squeeze(-1), np.array(paid, dtype=np.float32))
        assert all(truncations.values()) == (t == STEPS - 1) == bool(step["next", "done"])
        assert np.array_equal(step["next", "state"], twin.state())


def seen_when_idle(env: Any) -> Any:
    """Observations over an episode in which the learners do nothing, so that only the market's draws matter."""
    played = env.rollout(STEPS, policy=lambda data: data.update(env.full_action_spec.zero()))
    assert not played["agents", "action"].any()
    return played["agents", "observation", "observation"]


def test_a_seed_repeats_and_another_differs() -> None:
    first = seen_when_idle(wrap(seed=1))
    assert torch.equal(first, seen_when_idle(wrap(seed=1)))
    assert not torch.equal(first, seen_when_idle(wrap(seed=2)))
    copies = envs.SerialEnv(2, [lambda: wrap(seed=None)] * 2)
    assert torch.equal(*seen_when_idle(copies)), "copies never seeded play one market: seed them"
    copies.set_seed(0)
    assert not torch.equal(*seen_when_idle(copies))


def test_infos_can_be_left_out_and_agents_grouped_by_name() -> None:
    env = envs.PettingZooWrapper(env=swarm_env.parallel_env("baseline", infos=False), seed=0)
    utils.check_env_specs(env)
    assert set(env.group_map) == {"honest", "opportunistic", "deceptive"}
    assert "info" not in set(env.rollout(2)["honest"].keys())


@pytest.mark.parametrize("actions", ["multi_discrete", "discrete"])
@pytest.mark.parametrize("observations", ["box", "dict"])
def test_the_single_agent_environment_goes_through_the_gymnasium_wrapper(observations: str, actions: str) -> None:
    env = envs.GymWrapper(SingleMarket("baseline", observations=observations, actions=actions))
    utils.check_env_specs(env)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        played = env.rollout(5)
    assert ("action_mask" in set(played.keys())) is (observations == "dict")
