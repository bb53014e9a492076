"""The env runner over our batch: the same markets as the ParallelEnv, and what RLlib makes of its chunks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

import swarm_env
from swarm_env.adapters.rllib import MarketMultiAgentEnv
from swarm_env.adapters.rllib_module import MaskedMarketModule
from swarm_env.adapters.rllib_runner import SEEDS_APART, MarketEnvRunner

pytestmark = pytest.mark.filterwarnings("ignore:.*Overriding environment rllib:UserWarning")

STEPS = 100  # of an episode of baseline
GAMMA, LAMBDA = 0.97, 0.9


def ppo(markets: int = 4, remote: int = 0, policies: Any = ("shared",), **settings: Any) -> PPOConfig:
    """PPO on rollouts of 40 steps, so that every third one ends in the middle of an episode and starts another."""
    return (
        PPOConfig()
        .environment(MarketMultiAgentEnv, env_config={"scenario": "baseline", "learners": "honest_*"} | settings)
        .env_runners(env_runner_cls=MarketEnvRunner, num_env_runners=remote, num_envs_per_env_runner=markets)
        .training(train_batch_size=40 * markets, minibatch_size=100, num_epochs=1, gamma=GAMMA, lambda_=LAMBDA)
        .multi_agent(
            policies=set(policies),
            policy_mapping_fn=lambda agent, episode, **_: agent if agent in policies else "shared",
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=MaskedMarketModule, model_config={"hidden": [16]}))
        .debugging(seed=3)
    )


@pytest.mark.parametrize("actions", ["multi_discrete", "discrete"])
@pytest.mark.parametrize("observations", ["dict", "box"])
def test_chunks_replay_on_the_single_environment(observations: str, actions: str) -> None:
    config = ppo(actions=actions, observations=observations)
    if observations == "box":
        config = config.rl_module(rl_module_spec=RLModuleSpec())  # RLlib's default networks, which know no masks
    runner = MarketEnvRunner(config=config)
    chunks = [chunk for _ in range(4) for chunk in runner.sample()]  # 160 steps: an episode and part of the next
    agents = runner.env.agents
    for row in range(4):
        mine = [chunk for k, chunk in enumerate(chunks) if k // len(agents) % 4 == row]
        env = MarketMultiAgentEnv({**config.env_config})
        seen, _ = env.reset(seed=3 * SEEDS_APART + row)
        parts = [mine[k : k + len(agents)] for k in range(0, len(mine), len(agents))]
        lengths = [len(part[0]) for part in parts]
        assert lengths == [40, 40, 20, 20, 40], "cut where the episode ends"
        assert [part[0].is_truncated for part in parts] == [False, False, True, False, False]
        assert [part[0].t_started for part in parts] == [0, 40, 80, 0, 20]
        for part in parts:
            assert [chunk.agent_id for chunk in part] == list(agents)
            for t in range(len(part[0])):
                for chunk in part:
                    assert same(chunk.get_observations(t), seen[chunk.agent_id])
                chosen = {chunk.agent_id: chunk.get_actions(t) for chunk in part}
                seen, rewards, _, truncateds, infos = env.step(chosen)
                for chunk in part:
                    assert chunk.get_rewards(t) == np.float32(rewards[chunk.agent_id])
                if observations == "dict":
                    assert not any(info["illegal_actions"] for info in infos.values())
            for chunk in part:
                assert same(chunk.get_observations(-1), seen[chunk.agent_id]), "the last observation of the old episode"
            if truncateds["__all__"]:
                seen, _ = env.reset()
    runner.stop()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


@pytest.mark.parametrize("policies", [("shared",), ("shared", "honest_2")])
def test_the_learner_computes_the_advantages_of_these_chunks(policies: tuple[str, ...]) -> None:
    algorithm = ppo(policies=policies).build_algo()
    chunks = [chunk for _ in range(3) for chunk in algorithm.env_runner.sample()]
    learner = algorithm.learner_group._learner
    batch = learner._learner_connector(
        rl_module=learner.module, batch={}, episodes=copy.deepcopy(chunks), shared_data={}, metrics=None
    )
    assert set(batch) == set(policies)
    for name in policies:
        module, expected = learner.module[name].unwrapped(), []
        for chunk in (chunk for chunk in chunks if chunk.module_id == name):
            views = {key: torch.from_numpy(part) for key, part in chunk.get_observations().items()}
            values = module.compute_values({"obs": views}).detach().numpy()
            running, targets = 0.0, np.zeros(len(chunk))
            for t in reversed(range(len(chunk))):  # every chunk is bootstrapped with the value of what comes next
                error = chunk.get_rewards(t) + GAMMA * values[t + 1] - values[t]
                running = error + GAMMA * LAMBDA * running
                targets[t] = running + values[t]
            expected.append(targets)
        found = batch[name]["value_targets"][batch[name]["loss_mask"]].numpy()
        assert np.allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-3)
    algorithm.stop()


def test_what_is_logged_is_what_was_played() -> None:
    runner = MarketEnvRunner(config=ppo())
    chunks = runner.sample(num_episodes=5)
    found = runner.get_metrics()
    assert {len(chunk) for chunk in chunks} == {STEPS}
    assert len(chunks) == 8 * len(runner.env.agents), "whole episodes of all markets: eight are at least five"
    returns = np.array([chunk.get_return() for chunk in chunks]).reshape(8, -1).sum(axis=1)
    assert found["episode_return_mean"].peek() == pytest.approx(returns.mean(), rel=1e-5)
    assert found["num_env_steps_sampled"].peek() == 8 * STEPS
    assert found["num_agent_steps_sampled"]["honest_1"].peek() == 8 * STEPS
    runner.stop()


def test_two_runners_share_no_market() -> None:
    runners = [MarketEnvRunner(config=ppo(), worker_index=k) for k in (1, 2)]
    first = [runner.sample(num_timesteps=80)[0].get_observations(10)["observations"] for runner in runners]
    assert [runner._first for runner in runners] == [4 * SEEDS_APART, 5 * SEEDS_APART]
    assert not np.array_equal(*first)


def likeliest(algorithm: Algorithm) -> list[Any]:
    """Actions of 30 steps of one market, each the policy's likeliest."""
    module, market = algorithm.get_module("shared"), swarm_env.parallel_env("baseline", learners="honest_*")
    seen, _ = market.reset(seed=11)
    taken = []
    for _ in range(30):
        obs = {
            "observations": torch.from_numpy(np.stack([view["observation"] for view in seen.values()])),
            "action_mask": torch.from_numpy(np.stack([view["action_mask"] for view in seen.values()])),
        }
        logits = module.forward_inference({"obs": obs})["action_dist_inputs"]
        draw = module.get_inference_action_dist_cls().from_logits(logits)
        taken.append(draw.to_deterministic().sample().numpy())
        torch.manual_seed(len(taken))
        taken.append(draw.sample().numpy())
        seen, *_ = market.step(dict(zip(seen, taken[-1], strict=True)))
    return taken


def test_remote_runners_train_and_a_checkpoint_takes_the_same_actions(tmp_path: Any) -> None:
    algorithm = ppo(remote=1).build_algo()
    fresh = likeliest(algorithm)
    reports = [algorithm.train()["env_runners"] for _ in range(3)]
    assert reports[-1]["num_env_steps_sampled_lifetime"] == 3 * 40 * 4
    assert np.isfinite(reports[-1]["episode_return_mean"]), "the third rollout ends episodes"
    trained = likeliest(algorithm)
    assert not all(np.array_equal(one, other) for one, other in zip(fresh, trained, strict=True))
    algorithm.save_to_path(str(tmp_path))
    algorithm.stop()
    restored = Algorithm.from_checkpoint(str(tmp_path))
    again = likeliest(restored)
    assert all(np.array_equal(one, other) for one, other in zip(trained, again, strict=True))
    assert np.isfinite(restored.train()["learners"]["shared"]["policy_loss"]), "and goes on training"
    restored.stop()


def test_a_seed_repeats_a_run() -> None:
    weights = []
    for _ in range(2):
        algorithm = ppo().build_algo()
        algorithm.train()
        weights.append(algorithm.get_module("shared").get_state())
        algorithm.stop()
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


class Counts(RLlibCallback):
    def on_episode_step(self, **_: Any) -> None: ...


def test_what_would_be_without_effect_is_refused() -> None:
    bad = {
        "connectors between environment and module": ppo().env_runners(env_to_module_connector=lambda *_, **__: []),
        "the callback on_episode_step": ppo().callbacks(Counts),
        "the callback on_episode_end": ppo().callbacks(on_episode_end=print),
        "plays MarketMultiAgentEnv, got the environment 'market'": ppo().environment("market"),
        "env_config: state must be False": ppo(state=True),
        "env_config: unknown setting 'learner'": ppo(learner="honest_1"),
    }
    for why, config in bad.items():
        with pytest.raises(ValueError, match=why):
            MarketEnvRunner(config=config)
    runner = MarketEnvRunner(config=ppo())
    with pytest.raises(ValueError, match="takes no random_actions"):
        runner.sample(random_actions=True)
    with pytest.raises(ValueError, match="not both"):
        runner.sample(num_timesteps=1, num_episodes=1)
