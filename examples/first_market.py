"""Three honest learners that act at random, in a market with a deceptive and an adversarial agent: what do they earn?

python examples/first_market.py
"""

import numpy as np

import swarm_env

env = swarm_env.parallel_env("alignment_waltz_targeted_feedback", learners="honest_*")
observations, infos = env.reset(seed=0)
total = dict.fromkeys(env.possible_agents, 0.0)
deals = []
while env.agents:
    actions = {a: env.action_space(a).sample(observations[a]["action_mask"]) for a in env.agents}
    observations, rewards, terminations, truncations, infos = env.step(actions)
    total = {a: total[a] + rewards[a] for a in rewards}
    deals.append(env.interactions())

recorded = np.concatenate(deals)
print({agent: round(value, 2) for agent, value in total.items()})
for name in ("toxicity_rate", "quality_gap", "acceptance_rate", "total_welfare"):
    print(f"{name:16} {swarm_env.metrics.compute(recorded, env.scenario.payoff, [name])[name]:.3f}")
