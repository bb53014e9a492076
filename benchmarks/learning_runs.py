"""What is timed under Stable-Baselines3: its VecEnv over our batch and over SuperSuit's copies, and PPO end to end.

Needs the `sb3` extra, the last one `supersuit` too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import swarm_env
from benchmarks.market_runs import legal
from benchmarks.populations import scenario
from benchmarks.sample import Facts, Sample, Stopwatch, until

ROLLOUT, PASSES, MINIBATCHES = 64, 4, 4  #: steps, optimiser passes over them, minibatches a pass


def _stepped(seconds: float, venv: Any, mask_of: Callable[[Any], Any]) -> Callable[[], Sample]:
    """Steps of a VecEnv, every slot a legal action, drawn while the watch stands still; counts slots."""
    nvec = np.asarray(venv.action_space.nvec, dtype=np.int64)
    actions = np.zeros((1, venv.num_envs, len(nvec)), dtype=np.int64)
    held = {"seen": venv.reset(), "step": 0}

    def play() -> Sample:
        count, watch = 0, Stopwatch()
        while watch.wall < seconds:
            mask = np.ascontiguousarray(mask_of(held["seen"]), dtype=np.int8)
            legal(mask.reshape(1, venv.num_envs, -1), nvec, held["step"], actions)
            watch.start()
            held["seen"], *_ = venv.step(actions[0])
            watch.stop()
            held["step"] += 1
            count += venv.num_envs
        return Sample(count, watch.wall, watch.cpu)

    return play


def vecenv(seconds: float, rows: int) -> tuple[Callable[[], Sample], Facts]:
    """`swarm_env.adapters.sb3.MarketVecEnv`, all rules, 7 learners."""
    from swarm_env.adapters.sb3 import MarketVecEnv

    venv = MarketVecEnv(scenario("all", 7), num_envs=rows, learners="all")
    return _stepped(seconds, venv, lambda _: np.stack(venv.env_method("action_masks"))), {"slots": venv.num_envs}


def supersuit(seconds: float, rows: int) -> tuple[Callable[[], Sample], Facts]:
    """The same markets, one ParallelEnv each, side by side in SuperSuit's VecEnv."""
    import supersuit as ss

    env = swarm_env.parallel_env(scenario("all", 7), learners="all", infos=False)
    venv = ss.concat_vec_envs_v1(
        ss.pettingzoo_env_to_vec_env_v1(env), rows, num_cpus=0, base_class="stable_baselines3"
    )  # fmt: skip
    return _stepped(seconds, venv, lambda seen: seen["action_mask"]), {"slots": venv.num_envs}


def ppo(seconds: float, rows: int, maskable: bool = False, stock: bool = False) -> tuple[Callable[[], Sample], Facts]:
    """SB3's PPO, or sb3-contrib's MaskablePPO, end to end: rollouts and updates of a 2 x 64 network; counts slots.

    With our policy for the market's action heads (ReLU), our buffer and a fused Adam, or with SB3's own "MlpPolicy" as
    it comes (tanh).
    """
    import torch

    from swarm_env.adapters.sb3 import MarketVecEnv
    from swarm_env.adapters.sb3_buffer import MarketRolloutBuffer, MaskedRolloutBuffer
    from swarm_env.adapters.sb3_policy import MarketPolicy, MaskedMarketPolicy

    if maskable:
        from sb3_contrib import MaskablePPO as PPO
    else:
        from stable_baselines3 import PPO
    torch.set_num_threads(1)
    venv = MarketVecEnv(scenario("all", 7), num_envs=rows, learners="all")
    once = ROLLOUT * venv.num_envs
    policy: Any = "MlpPolicy" if stock else MaskedMarketPolicy if maskable else MarketPolicy
    shape: dict[str, Any] = {"net_arch": [64, 64]}
    if not stock:
        shape |= {"activation_fn": torch.nn.ReLU, "optimizer_kwargs": {"eps": 1e-5, "fused": True}}
    buffer = None if stock else MaskedRolloutBuffer if maskable else MarketRolloutBuffer
    model = PPO(
        policy, venv, n_steps=ROLLOUT, n_epochs=PASSES, batch_size=once // MINIBATCHES, policy_kwargs=shape,
        seed=0, device="cpu", verbose=0, rollout_buffer_class=buffer,
    )  # fmt: skip

    def play() -> int:
        model.learn(once, reset_num_timesteps=False)
        return once

    facts = {"slots": venv.num_envs, "rollout": ROLLOUT, "passes": PASSES, "minibatch": once // MINIBATCHES}
    return lambda: until(seconds, play), facts
