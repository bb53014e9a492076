"""The Stable-Baselines3 adapter: slots are the markets' learners, nothing is aliased, and its learners learn."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.distributions import MaskableMultiCategoricalDistribution
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnvWrapper, VecMonitor

import swarm_env
from swarm_env.adapters.choices import shares as choices_shares
from swarm_env.adapters.sb3 import MarketVecEnv
from swarm_env.adapters.sb3_buffer import MarketRolloutBuffer, MaskedRolloutBuffer
from swarm_env.adapters.sb3_policy import Heads, MarketPolicy, MaskedHeads, MaskedMarketPolicy
from trainers import evaluation

SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"]


def short(name: str = "strict_governance", *more: str) -> Any:
    return swarm_env.load_scenario(name, [*SHORT, *more])


def choices(venv: MarketVecEnv, steps: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    nvec = venv.action_space.nvec
    return rng.integers(0, nvec, (steps, venv.num_envs, len(nvec)))


def test_a_slot_is_a_learner_of_a_market_over_episodes() -> None:
    venv, market = MarketVecEnv(short(), 3, seed=5), swarm_env.vector_env(short(), 3, seed=5, copy=True)
    seen, (expected, _) = venv.reset(), market.reset()
    assert venv.num_envs == 21
    assert venv.get_attr("agent") == market.possible_agents * 3
    for actions in choices(venv, 25):
        for row in range(3):
            for learner in range(7):
                slot = row * 7 + learner
                assert np.array_equal(seen[slot], expected["observation"][row, learner])
                mask = venv.env_method("action_masks", indices=slot)[0]
                assert np.array_equal(mask, expected["action_mask"][row, learner])
        assert all(venv.observation_space.contains(row) for row in seen)
        seen, rewards, dones, infos = venv.step(actions)
        expected, paid, _, over, ended = market.step(actions.reshape(3, 7, -1))
        assert seen.dtype == rewards.dtype == np.float32
        assert np.array_equal(rewards, paid.astype(np.float32).ravel())
        assert np.array_equal(dones, over.ravel())
        assert any("episode" in info for info in infos) == bool(ended)


def test_what_ends_an_episode_is_in_the_infos_and_nothing_else_ever() -> None:
    venv, env = MarketVecEnv(short(), 2, "honest_*", seed=3), swarm_env.parallel_env(short(), "honest_*")
    venv.reset()
    env.reset(seed=4)
    total, idle = np.zeros(6), None
    for step, actions in enumerate(choices(venv, 10), 1):
        _, rewards, dones, infos = venv.step(actions)
        last, *_ = env.step(dict(zip(env.agents, actions[3:], strict=True)))
        total += rewards
        if step < 10:
            assert infos == [{}] * 6
            assert not dones.any()
            assert idle is None or infos is idle
            idle = infos
    assert dones.all()
    for slot, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert info["episode"]["r"] == pytest.approx(total[slot], rel=1e-5)
        assert info["episode"]["l"] == 10
        assert all(np.isfinite(value) for value in info["market"].values())
        if slot >= 3:
            agent = venv.get_attr("agent", slot)[0]
            assert np.array_equal(info["terminal_observation"], last[agent]["observation"])
    assert venv.step(choices(venv, 1)[0])[3] == [{}] * 6


def test_observations_outlive_the_next_step_and_the_rest_is_never_overwritten() -> None:
    venv = MarketVecEnv(short(), 4)
    last = venv.reset()
    copy = last.copy()
    kept = [(np.zeros(0), np.zeros(0), venv.action_masks())]
    copies = [tuple(part.copy() for part in kept[0])]
    for actions in choices(venv, 12):  # over the end of an episode
        seen, rewards, dones, _ = venv.step(actions)
        assert np.array_equal(last, copy)
        assert not np.shares_memory(seen, last)
        last, copy = seen, seen.copy()
        kept.append((rewards, dones, venv.action_masks()))
        copies.append(tuple(part.copy() for part in kept[-1]))
    first = venv.reset()
    assert np.array_equal(last, copy)
    assert not np.shares_memory(first, last)
    for parts, befores in zip(kept, copies, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(parts, befores, strict=True))


@pytest.mark.parametrize("write", ["[]=", "update", "setdefault", "|="])
def test_what_was_written_into_infos_is_forgotten(write: str) -> None:
    venv = MarketVecEnv(short(), 4)
    venv.reset()
    actions = choices(venv, 1)[0]
    infos = venv.step(actions)[3]
    assert len({id(info) for info in infos}) == venv.num_envs
    if write == "[]=":
        infos[2]["mine"] = 1
    elif write == "update":
        infos[2].update(mine=1)
    elif write == "setdefault":
        infos[2].setdefault("mine", 1)
    else:
        infos[2] |= {"mine": 1}
    assert infos[2] == {"mine": 1}
    assert infos[3] == {}
    assert venv.step(actions)[3] == [{}] * venv.num_envs


class Recorded(VecEnvWrapper):
    """Copies of all that the environment shows."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.seen: list[Any] = []
        self.masks: list[Any] = []

    def reset(self) -> Any:
        seen = self.venv.reset()
        self.seen.append(seen.copy())
        return seen

    def step_wait(self) -> Any:
        self.masks.append(np.stack(self.venv.env_method("action_masks")))
        result = self.venv.step_wait()
        self.seen.append(result[0].copy())
        return result


def test_sb3_learns_from_the_observations_and_masks_that_it_acted_on() -> None:
    venv = Recorded(MarketVecEnv(short(), 3, "honest_*"))
    model = MaskablePPO(MaskedMarketPolicy, venv, n_steps=12, batch_size=54, n_epochs=1, seed=0)
    model.learn(12 * 9)
    buffer = model.rollout_buffer  # flattened slot by slot
    assert np.array_equal(buffer.observations.reshape(9, 12, -1), np.stack(venv.seen[:12], axis=1))
    assert np.array_equal(buffer.action_masks.reshape(9, 12, -1), np.stack(venv.masks, axis=1))
    assert len(model.ep_info_buffer) == 9  # ep_rew_mean without a VecMonitor


def weights(model: Any) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.policy.state_dict().values())


@pytest.mark.parametrize(("algorithm", "policy"), [(PPO, "MlpPolicy"), (PPO, MarketPolicy), (MaskablePPO, "MlpPolicy")])
def test_a_seed_repeats_a_run(algorithm: Any, policy: Any) -> None:
    trained = []
    for seed in (7, 7, 8):
        venv = MarketVecEnv(short(), 2)
        model = algorithm(policy, venv, n_steps=10, batch_size=70, n_epochs=2, seed=seed)
        trained.append(weights(model.learn(140)))
    assert trained[0] == trained[1] != trained[2]
    assert venv.seed(40) == [40] * 7 + [41] * 7

    def played() -> Any:
        venv.reset()
        return [venv.step(actions)[0] for actions in choices(venv, 4)][-1]

    first = played()
    assert not np.array_equal(first, played())  # the next episode
    venv.seed(40)
    assert np.array_equal(first, played())


def test_attributes_methods_and_evaluation_as_sb3_asks_for_them() -> None:
    venv = MarketVecEnv(short(), 2)
    venv.reset()
    assert venv.has_attr("action_masks")
    assert not venv.has_attr("no_such_thing")
    assert venv.get_attr("num_learners", [0, 1]) == [7, 7]
    assert [state.shape for state in venv.env_method("state", indices=0)] == [(2, 81)]
    venv.set_attr("note", 1)
    assert venv.get_attr("note") == [1] * 14
    with pytest.raises(ValueError, match="share one environment"):
        venv.set_attr("note", 2, indices=[0])
    with pytest.raises(AttributeError):
        venv.env_method("no_such_thing")
    assert venv.env_is_wrapped(Monitor) == [True] * 14
    assert venv.env_is_wrapped(VecMonitor) == [False] * 14
    mean, _ = evaluate_policy(PPO(MarketPolicy, venv, n_steps=10, batch_size=70), venv, n_eval_episodes=14)
    assert np.isfinite(mean)
    with pytest.raises(ValueError, match=r"shape \(3, 7\); they must be \(14,"):
        venv.step(np.zeros((3, 7)))
    venv.close()


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")  # the last one is to be a short one
@pytest.mark.parametrize(
    ("algorithm", "policy", "buffer"),
    [(PPO, MarketPolicy, MarketRolloutBuffer), (MaskablePPO, MaskedMarketPolicy, MaskedRolloutBuffer)],
)
def test_our_buffers_give_what_sb3s_give(algorithm: Any, policy: Any, buffer: Any) -> None:
    trained = []
    for chosen in (None, buffer):
        model = algorithm(
            policy, MarketVecEnv(short(), 2), n_steps=10, batch_size=50, n_epochs=2, seed=3, rollout_buffer_class=chosen
        )
        trained.append(weights(model.learn(140)))
    assert trained[0] == trained[1]
    assert isinstance(model.rollout_buffer, buffer)
    samples = next(model.rollout_buffer.get(30))
    assert samples.actions.shape == (30, 7)
    assert samples.returns.shape == samples.old_values.shape == (30,)


def test_the_policies_heads_are_those_of_sb3_in_one_table() -> None:
    dims, n = [2, 2, 2, 5, 6, 4], 400
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, sum(dims), generator=generator) * 4
    masks = torch.rand(n, sum(dims), generator=generator) < 0.6
    masks[:, np.cumsum([0, *dims[:-1]])] = True
    ours, theirs = MaskedHeads(dims), MaskableMultiCategoricalDistribution(dims)
    for each in (ours, theirs):
        each.proba_distribution(logits)
        each.apply_masking(masks.numpy())
    actions = theirs.sample()
    assert torch.allclose(ours.log_prob(actions), theirs.log_prob(actions), atol=1e-4)
    assert torch.allclose(ours.entropy(), theirs.entropy(), atol=1e-4)
    assert torch.equal(ours.mode(), theirs.mode())
    drawn = ours.sample()
    assert torch.isfinite(theirs.log_prob(drawn)).all()
    assert (theirs.log_prob(drawn) > -1e6).all()  # none of them masked
    plain = Heads(dims).proba_distribution(logits)
    theirs.apply_masking(None)
    assert torch.allclose(plain.log_prob(actions), theirs.log_prob(actions), atol=1e-4)


def test_the_heads_draw_with_their_probabilities() -> None:
    heads = MaskedHeads([3, 2]).proba_distribution(torch.tensor([[0.0, 1.0, 2.0, -1.0, 1.0]]).expand(60_000, 5))
    heads.apply_masking(np.tile([1, 0, 1, 1, 1], (60_000, 1)))
    torch.manual_seed(0)
    drawn = heads.sample()
    expected = [1 / (1 + np.exp(2.0)), 0.0, 1 / (1 + np.exp(-2.0))]
    seen = torch.bincount(drawn[:, 0], minlength=3) / 60_000
    assert seen.tolist() == pytest.approx(expected, abs=0.006)
    assert float((drawn[:, 1] == 1).float().mean()) == pytest.approx(1 / (1 + np.exp(-2.0)), abs=0.006)


def test_shares_of_what_was_chosen_by_hand() -> None:
    propose, task, noop = 1, 4, 0
    actions = np.array([[1, 0, propose, 2, 3], [1, 1, propose, 0, 0], [0, 0, task, 0, 3], [0, 1, noop, 0, 0]])
    masks = np.ones((4, 2 * 2 + 5 + 3 + 4), dtype=np.int8)
    masks[1:3, 3] = 0  # nothing to accept in slot 1
    shares = choices_shares(actions, masks)
    assert shares["verb_propose"] == 0.5
    assert shares["verb_task"] == shares["verb_noop"] == 0.25
    assert shares["conduct_honest"] == shares["conduct_adversarial"] == 0.5
    assert shares["accepts"] == pytest.approx(3 / 6)  # slot 0 of rows 0..3: two of four; slot 1 of rows 0 and 3: one
    assert np.isnan(choices_shares(actions[2:], masks[2:])["conduct_honest"])


class Shuffled(VecEnvWrapper):
    """Rewards of some other step and other slots: learners that still improve would owe it to something else."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.rng, self.past = np.random.default_rng(0), []

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.venv.step_wait()
        self.past.append(rewards)
        return seen, self.rng.permutation(self.past[self.rng.integers(len(self.past))]), dones, infos


@pytest.mark.parametrize(("algorithm", "policy"), [(MaskablePPO, MaskedMarketPolicy), (PPO, MarketPolicy)])
def test_learners_beat_scripts_and_chance_on_held_out_seeds(algorithm: Any, policy: Any) -> None:
    scenario = swarm_env.load_scenario("baseline", ["simulation.n_epochs=2"])
    torch.set_num_threads(1)

    def gain(wrap: Any) -> tuple[float, float]:
        """Held-out return above the scripts', with the lower end of its interval."""
        venv = MarketVecEnv(scenario, 64, "honest_*")
        model = algorithm(
            policy, wrap(venv), n_steps=20, batch_size=960, n_epochs=4, learning_rate=3e-3, ent_coef=0.003, seed=1
        )
        model.learn(60_000 if algorithm is PPO else 40_000)
        chosen = evaluation.Learned(model) if algorithm is MaskablePPO else lambda o, m: model.predict(o)[0]
        learned = evaluation.play("learned", chosen, scenario, "honest_*", 32)
        summary = evaluation.summary(learned, scripts)
        return summary["gain"][0], summary["gain"][1]

    scripts = evaluation.play_scripts("scripts", scenario, ["honest_1", "honest_2", "honest_3"], 32)
    nvec = MarketVecEnv(scenario, 1).action_space.nvec.tolist()
    random = evaluation.play("random", evaluation.at_random(nvec), scenario, "honest_*", 32)
    above, low = gain(lambda venv: venv)
    assert low > 1.0
    assert above > 3 * abs(random.returns.mean() - scripts.returns.mean())
    if algorithm is MaskablePPO:
        assert gain(Shuffled)[0] < 1.0


def test_the_adapter_adds_little_to_a_step() -> None:
    venv = MarketVecEnv("alignment_waltz_targeted_feedback", 64)
    venv.seed(0)
    venv.reset()
    actions = choices(venv, 10)

    def cost(step: Any) -> float:
        best = np.inf
        for _ in range(8):
            start = time.process_time()
            for k in range(60):
                step(actions[k % 10])
            best = min(best, (time.process_time() - start) / 60)
        return best

    alone = cost(lambda chosen: venv.market.step(chosen.reshape(64, 7, -1)))
    assert cost(venv.step) < 1.5 * alone + 100e-6  # measured: 10 to 15 microseconds for 448 slots


def test_without_the_library_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['stable_baselines3'] = None; import swarm_env.adapters.sb3"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'swarm-env[sb3]'" in done.stderr.strip().splitlines()[-1]
