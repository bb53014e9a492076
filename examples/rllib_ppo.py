"""RLlib's PPO in the honest seats of the WaltzRL market, one policy for all: trained, saved, restored, played.

    OMP_NUM_THREADS=1 python examples/rllib_ppo.py [FOLDER] [AGENT_STEPS]

A minute or two for the 200,000 agent-steps that it takes unless told otherwise. Needs the `rllib` extra.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

import swarm_env
from swarm_env.adapters.rllib import MarketMultiAgentEnv
from swarm_env.adapters.rllib_module import MaskedMarketModule
from swarm_env.adapters.rllib_runner import MarketEnvRunner

SCENARIO, LEARNERS = "alignment_waltz_targeted_feedback", "honest_*"
MARKETS, ROLLOUT, SEATS = 64, 48, 3  # side by side; steps of each between two updates; honest agents in a market
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).absolute()
total = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
config = (
    PPOConfig()
    .environment(MarketMultiAgentEnv, env_config={"scenario": SCENARIO, "learners": LEARNERS})
    .env_runners(env_runner_cls=MarketEnvRunner, num_env_runners=1, num_envs_per_env_runner=MARKETS)
    .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
    .rl_module(rl_module_spec=RLModuleSpec(module_class=MaskedMarketModule, model_config={"hidden": [64, 64]}))
    .training(
        train_batch_size=MARKETS * ROLLOUT,  # environment steps: each is a decision of every learner
        minibatch_size=MARKETS * ROLLOUT * SEATS // 4,  # agent-steps
        num_epochs=4,
        lr=[[0, 1e-3], [total // SEATS, 0.0]],
        entropy_coeff=0.003,
        vf_clip_param=float("inf"),  # returns here are far above RLlib's 10
        use_kl_loss=False,
        grad_clip=0.5,
    )
    .debugging(seed=0)
)
algorithm = config.build_algo()
while algorithm.training_iteration * MARKETS * ROLLOUT * SEATS < total:
    found = algorithm.train()["env_runners"].get("episode_return_mean", float("nan"))
    if not np.isnan(found):  # episodes are longer than rollouts
        print(f"update {algorithm.training_iteration:3d}: return of the {SEATS} learners together {found:7.1f}")
algorithm.save_to_path(str(folder))
algorithm.stop()

policy = Algorithm.from_checkpoint(str(folder)).get_module("shared")
market = swarm_env.parallel_env(SCENARIO, learners=LEARNERS)
seen, _ = market.reset(seed=7)
earned = dict.fromkeys(market.agents, 0.0)
while market.agents:
    obs = {
        "observations": torch.from_numpy(np.stack([view["observation"] for view in seen.values()])),
        "action_mask": torch.from_numpy(np.stack([view["action_mask"] for view in seen.values()])),
    }
    logits = policy.forward_inference({"obs": obs})["action_dist_inputs"]
    actions = policy.get_inference_action_dist_cls().from_logits(logits).sample().numpy()
    seen, rewards, _, _, infos = market.step(dict(zip(seen, actions, strict=True)))
    assert not any(info["illegal_actions"] for info in infos.values())
    earned = {agent: earned[agent] + reward for agent, reward in rewards.items()}
print(f"restored from {folder}; in one market of seed 7:", {agent: round(sum_, 1) for agent, sum_ in earned.items()})
ray.shutdown()
