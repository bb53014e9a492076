"""RLlib's view, in an environment with Ray: ``make rllib``."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

import swarm_env
from swarm_env.adapters.flat import flatten
from swarm_env.adapters.rllib import MarketMultiAgentEnv
from swarm_env.catalog import shipped
from swarm_env.testing import sample
from tests.test_adapters import snippets

# RLlib registers its environment anew for every algorithm
pytestmark = pytest.mark.filterwarnings("ignore:.*Overriding environment rllib:UserWarning")

VIEWS = [(o, a) for o in ("dict", "box") for a in ("multi_discrete", "discrete")]


@pytest.mark.parametrize("scenario", sorted(shipped()))
def test_it_plays_what_the_parallel_environment_plays(scenario: str) -> None:
    env = MarketMultiAgentEnv({"scenario": scenario, "learners": ["honest_2", "honest_1"], "state": True})
    twin = swarm_env.parallel_env(scenario, learners=["honest_1", "honest_2"])
    assert env.possible_agents == ["honest_1", "honest_2"], "the scenario's order"
    rng, over, steps = np.random.default_rng(0), False, 0
    seen, _ = env.reset(seed=5)
    views, _ = twin.reset(seed=5)
    while not over:
        for agent in twin.possible_agents:
            assert env.observation_spaces[agent].contains(seen[agent])
            assert np.array_equal(seen[agent]["observations"], views[agent]["observation"])
            assert np.array_equal(seen[agent]["action_mask"], views[agent]["action_mask"])
        actions = {agent: sample(rng, twin.compiled.nvec, views[agent]["action_mask"]) for agent in views}
        seen, rewards, terminateds, truncateds, infos = env.step(actions)
        views, paid, _, _, told = twin.step(actions)
        over, steps = truncateds["__all__"], steps + 1
        assert rewards == paid
        assert set(seen) == set(rewards) == set(infos) == {"honest_1", "honest_2"}, "to the last step"
        assert terminateds == dict.fromkeys(["honest_1", "honest_2", "__all__"], False)
        assert truncateds == dict.fromkeys(["honest_1", "honest_2", "__all__"], over)
        for agent, info in infos.items():
            assert np.array_equal(info.pop("state"), twin.state())
            assert np.array_equal(info.pop("action_mask"), views[agent]["action_mask"])
            assert info == told[agent]
    assert steps == twin.scenario.num_steps
    assert env.agents == []
    with pytest.raises(RuntimeError, match="the episode is over"):
        env.step(actions)
    env.reset()
    assert env.agents == env.possible_agents


@pytest.mark.parametrize(("observations", "actions"), VIEWS)
def test_every_view_lies_in_its_spaces(observations: str, actions: str) -> None:
    env = MarketMultiAgentEnv({"scenario": "baseline", "observations": observations, "actions": actions})
    seen, infos = env.reset(seed=0)
    for _ in range(12):
        assert all(env.get_observation_space(agent).contains(view) for agent, view in seen.items())
        legal = {agent: env.get_action_space(agent).sample(mask=infos[agent]["action_mask"]) for agent in seen}
        seen, *_, infos = env.step(legal)
        assert all(info["illegal_actions"] == 0 for info in infos.values())


def test_copies_never_seeded_differ() -> None:
    paths = []
    for _ in range(2):
        env = MarketMultiAgentEnv({"scenario": "baseline", "learners": "honest_1", "observations": "box"})
        env.reset()
        nothing = {"honest_1": np.zeros(7, dtype=np.int64)}
        paths.append(np.concatenate([env.step(nothing)[0]["honest_1"] for _ in range(20)]).tobytes())
    assert paths[0] != paths[1]


def test_bad_settings_and_calls_say_so() -> None:
    with pytest.raises(ValueError, match="env_config: unknown setting 'learner'; did you mean 'learners'"):
        MarketMultiAgentEnv({"learner": "honest_1"})
    with pytest.raises(ValueError, match=r"actions must be one of .*; did you mean 'discrete'"):
        MarketMultiAgentEnv({"actions": "discret"})
    env = MarketMultiAgentEnv({"scenario": "baseline", "actions": "discrete"})
    with pytest.raises(RuntimeError, match="step: reset the environment first"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="no action for 'honest_2'"):
        env.step({"honest_1": 0})
    with pytest.raises(ValueError, match=r"whole number in 0\.\.\d+, got -1"):
        env.step(dict.fromkeys(env.agents, -1))


def ppo(environment: Any, module: Any = None, **settings: Any) -> Algorithm:
    """PPO with one policy for all agents: 200 steps an iteration, two episodes of baseline."""
    config = (
        PPOConfig()
        .environment(environment, env_config=settings)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=2)
        .training(train_batch_size=200, minibatch_size=100, num_epochs=2)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
        .debugging(seed=0)
    )
    if module is not None:
        config = config.rl_module(rl_module_spec=RLModuleSpec(module_class=module))
    return config.build_algo()


def illegal(algorithm: Algorithm) -> float:
    """Illegal choices in fresh episodes."""
    episodes = algorithm.env_runner.sample(num_episodes=2)
    infos = [info for episode in episodes for agent in episode.agent_episodes.values() for info in agent.get_infos()]
    assert len(infos) >= 2 * 5 * 100
    return sum(info["illegal_actions"] for info in infos)


@pytest.mark.parametrize("actions", ["multi_discrete", "discrete"])
def test_ppo_trains_under_masks_and_comes_back_from_a_checkpoint(actions: str, tmp_path: Any) -> None:
    algorithm = ppo(MarketMultiAgentEnv, ActionMaskingTorchRLModule, scenario="baseline", actions=actions)
    before = weights(algorithm)
    returns = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(2)]
    assert np.isfinite(returns).all()
    after = weights(algorithm)
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert illegal(algorithm) == 0
    algorithm.save_to_path(str(tmp_path))
    algorithm.stop()
    restored = Algorithm.from_checkpoint(str(tmp_path))
    again = weights(restored)
    assert all(np.array_equal(after[name], again[name]) for name in after)
    restored.stop()


def weights(algorithm: Algorithm) -> dict[str, Any]:
    return {name: np.array(value) for name, value in algorithm.get_module("shared").get_state().items()}


def test_ppo_repeats_itself_under_a_seed() -> None:
    returns = []
    for _ in range(2):
        algorithm = ppo(MarketMultiAgentEnv, ActionMaskingTorchRLModule, scenario="baseline")
        returns.append(algorithm.train()["env_runners"]["episode_return_mean"])
        algorithm.stop()
    assert returns[0] == returns[1]


def test_default_networks_train_on_boxes_without_masks() -> None:
    algorithm = ppo(MarketMultiAgentEnv, scenario="baseline", observations="box")
    assert np.isfinite(algorithm.train()["env_runners"]["episode_return_mean"])
    assert illegal(algorithm) > 0
    algorithm.stop()


def test_the_documented_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [code for section, code in snippets() if section == "RLlib"]
    exec(compile(code, "docs/adapters.md, RLlib", "exec"), {"__name__": "__main__"})
    assert np.isfinite(float(capsys.readouterr().out.split()[-1]))


# what RLlib's own wrapper does with our environments: docs/adapters.md says so


def test_rllibs_own_wrapper_trains_the_flat_view_and_not_the_native_one() -> None:
    register_env("flat", lambda _: ParallelPettingZooEnv(flatten(swarm_env.parallel_env("baseline"))))
    register_env("native", lambda _: ParallelPettingZooEnv(swarm_env.parallel_env("baseline")))
    algorithm = ppo("flat")
    assert np.isfinite(algorithm.train()["env_runners"]["episode_return_mean"])
    algorithm.stop()
    with pytest.raises(ValueError, match="No default encoder config for obs space=Dict"):
        ppo("native")


def test_rllibs_own_wrapper_cannot_render() -> None:
    env = ParallelPettingZooEnv(swarm_env.parallel_env("baseline", render_mode="ansi"))
    env.reset(seed=0)
    with pytest.raises(TypeError, match="positional argument"):
        env.render()


def test_rllibs_own_wrapper_orders_agents_by_hash_and_ours_does_not() -> None:
    code = (
        "import swarm_env; from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv as Theirs;"
        "from swarm_env.adapters.rllib import MarketMultiAgentEnv as Ours;"
        "theirs, ours = Theirs(swarm_env.parallel_env('baseline')), Ours({'scenario': 'baseline'});"
        "print(theirs.possible_agents, ours.possible_agents, sep='|')"
    )
    orders = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        orders.append(done.stdout.splitlines()[-1].split("|"))
    assert orders[0][0] != orders[1][0]
    assert orders[0][1] == orders[1][1]


class Seeds(MarketMultiAgentEnv):
    """Keeps the seeds that it is given."""

    given: ClassVar[list[int | None]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.given.append(seed)
        return super().reset(seed=seed, options=options)


def test_rllibs_own_runners_share_seeds() -> None:
    config = (
        PPOConfig()
        .environment(Seeds, env_config={"scenario": "baseline", "observations": "box"}, disable_env_checking=True)
        .env_runners(num_envs_per_env_runner=2)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
        .debugging(seed=3)
    )
    for worker in (1, 2):
        MultiAgentEnvRunner(config=config, worker_index=worker).sample(num_timesteps=1)
    assert Seeds.given == [4, 5, 5, 6]
