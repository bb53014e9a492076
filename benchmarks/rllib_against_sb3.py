"""PPO of RLlib beside PPO of Stable-Baselines3: the same seats, rewards, networks, settings and agent-steps.

    python -m benchmarks.rllib_against_sb3 [--seeds 3] [--steps 230400] [--arms sb3 rllib]
        [--rllib-python .venv-rllib/bin/python] [--episodes 64]

Settings are those of configs/ppo.yaml; what has no counterpart in RLlib stays as RLlib has it: Adam's epsilon (1e-8,
not 1e-5), advantages standardised over a rollout, not over minibatches, logits not clamped. Trained policies draw
their actions on the same held-out seeds (`trainers.evaluation`). Every arm is one process; RLlib needs the interpreter
of `make rllib`. A run's rate leaves its first update out, which loads compiled code; processor time is the learner's
process alone, so that with a remote runner it misses the sampling. Finished runs are kept in --runs and not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import machine
from swarm_env import load_scenario, vector_env

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "ppo.yaml"
ARMS = {
    "sb3": "Stable-Baselines3, `swarm train ppo`",
    "rllib": "RLlib, `MarketEnvRunner`, no remote runner",
    "rllib_remote": "RLlib, `MarketEnvRunner`, 1 remote runner",
    "rllib_own": "RLlib, its own `MultiAgentEnvRunner`, no remote runner",
}


def timed(update: Callable[[], Any], updates: int, per_update: int) -> dict[str, Any]:
    """Train, and the agent-steps a second of all updates but the first, of wall and of processor time."""
    wall = cpu = 0.0
    for done in range(updates):
        if done == 1:
            wall, cpu = time.perf_counter(), time.process_time()
        update()
    steps = (updates - 1) * per_update
    return {
        "agent_steps": updates * per_update,
        "wall_rate": steps / (time.perf_counter() - wall) if steps else math.nan,
        "cpu_rate": steps / (time.process_time() - cpu) if steps else math.nan,
    }


def with_sb3(seed: int, steps: int, episodes: int) -> dict[str, Any]:
    """One run of `swarm train ppo`, without its files."""
    from trainers import evaluation, ppo

    trainer = ppo.Trainer(ppo.load_config(CONFIG, [f"seed={seed}", f"total_steps={steps}"]))
    run = timed(trainer.update, trainer.updates, trainer.per_update)
    policy = evaluation.Learned(trainer.model, seed)
    return run | judged(policy, list(trainer.config.learners), trainer.scenario, episodes)


def with_rllib(arm: str, seed: int, steps: int, episodes: int) -> dict[str, Any]:
    """One run of RLlib's PPO under the same settings."""
    import torch
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec

    from swarm_env.adapters.rllib import MarketMultiAgentEnv
    from swarm_env.adapters.rllib_module import MaskedMarketModule
    from swarm_env.adapters.rllib_runner import MarketEnvRunner

    given = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    scenario = load_scenario(given["scenario"], given["overrides"])
    setting = {"scenario": given["scenario"], "learners": given["learners"]}
    seats = len(MarketMultiAgentEnv(setting).possible_agents)
    per_update = given["num_envs"] * given["rollout_steps"] * seats
    updates = math.ceil(steps / per_update)
    torch.manual_seed(seed)
    config = (
        PPOConfig()
        .environment(MarketMultiAgentEnv, env_config=setting)
        .env_runners(
            env_runner_cls=None if arm == "rllib_own" else MarketEnvRunner,
            num_env_runners=int(arm == "rllib_remote"),
            num_envs_per_env_runner=given["num_envs"],
        )
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **_: "shared")
        .rl_module(
            rl_module_spec=RLModuleSpec(module_class=MaskedMarketModule, model_config={"hidden": given["hidden"]})
        )
        .training(
            train_batch_size=per_update // seats,
            minibatch_size=per_update // given["minibatches"],
            num_epochs=given["update_epochs"],
            shuffle_batch_per_epoch=True,
            lr=[[0, given["learning_rate"]], [updates * per_update // seats, 0.0]],
            gamma=given["gamma"],
            lambda_=given["gae_lambda"],
            clip_param=given["clip_range"],
            entropy_coeff=given["ent_coef"],
            vf_loss_coeff=given["vf_coef"],
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            grad_clip=given["max_grad_norm"],
            grad_clip_by="global_norm",
        )
        .debugging(seed=seed, log_level="ERROR")
    )
    algorithm = config.build_algo()
    run = timed(algorithm.train, updates, per_update)
    module = algorithm.get_module("shared")
    draw = module.get_inference_action_dist_cls()

    def policy(observation: Any, mask: Any) -> Any:
        obs = {"observations": torch.from_numpy(observation), "action_mask": torch.from_numpy(mask)}
        return draw.from_logits(module.forward_inference({"obs": obs})["action_dist_inputs"]).sample().numpy()

    torch.manual_seed(seed)
    run |= judged(policy, given["learners"], scenario, episodes)
    algorithm.stop()
    return run


def judged(policy: Any, learners: list[str], scenario: Any, episodes: int) -> dict[str, float]:
    """What a seat returns on the held-out seeds, in the mean."""
    from trainers import evaluation

    return {"return": float(evaluation.play("", policy, scenario, learners, episodes).returns.mean())}


def scale(episodes: int) -> dict[str, float]:
    """The same of random choices and of the scripts that sit there otherwise."""
    from trainers import evaluation

    given = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    scenario = load_scenario(given["scenario"], given["overrides"])
    venv = vector_env(scenario, 1, given["learners"])
    chance = evaluation.at_random(venv.single_action_space.nvec.tolist())
    scripts = evaluation.play_scripts("", scenario, venv.possible_agents, episodes).returns
    return {
        "random choices": judged(chance, given["learners"], scenario, episodes)["return"],
        "scripts": float(scripts.mean()),
    }


def work(arm: str, seeds: list[int], steps: int, episodes: int) -> None:
    """Play one arm, and print a JSON line for each seed."""
    if arm != "sb3":
        start_ray()
    for seed in seeds:
        run = with_sb3(seed, steps, episodes) if arm == "sb3" else with_rllib(arm, seed, steps, episodes)
        print(json.dumps({"arm": arm, "seed": seed, "steps": steps, "episodes": episodes, **run}), flush=True)


def start_ray(attempts: int = 4) -> None:
    """A local Ray; it gives itself 30 seconds to start, which is too little on a busy machine."""
    import ray

    for left in reversed(range(attempts)):
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
            return
        except Exception as error:  # Ray's own, of no closer kind
            if not left:
                raise
            print(f"Ray did not start ({error}): once more", file=sys.stderr)
            ray.shutdown()


def runs(arm: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """An arm's runs: those on file, and what is missing, by a process with the interpreter that has its library."""
    asked = {"arm": arm, "steps": arguments.steps, "episodes": arguments.episodes}
    lines = arguments.runs.read_text(encoding="utf-8").splitlines() if arguments.runs.exists() else []
    done = [run for run in map(json.loads, lines) if run.items() >= asked.items()]
    kept = {run["seed"]: run for run in done if run["seed"] < arguments.seeds}
    missing = [str(seed) for seed in range(arguments.seeds) if seed not in kept]
    if not missing:
        return list(kept.values())
    python = sys.executable if arm == "sb3" else arguments.rllib_python
    options = [f"--work={arm}", f"--steps={arguments.steps}", f"--episodes={arguments.episodes}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "benchmarks.rllib_against_sb3", *options, "--of", *missing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.startswith('{"arm"'):
                with arguments.runs.open("a", encoding="utf-8") as file:
                    file.write(line)
                kept[json.loads(line)["seed"]] = json.loads(line)
    if worker.returncode:
        raise SystemExit(f"{ARMS[arm]}: a run failed with exit code {worker.returncode}; its errors are above")
    return list(kept.values())


def t_interval(mean: float, error: float, freedom: float) -> str:
    """A mean and its 95 % interval."""
    from scipy.stats import t

    width = float(t.ppf(0.975, freedom)) * error
    return f"{mean:.1f} [{mean - width:.1f}, {mean + width:.1f}]"


def difference(ours: list[float], theirs: list[float]) -> str:
    """Difference of two means of independent runs, with Welch's interval (Welch 1947)."""
    parts = [np.var(values, ddof=1) / len(values) for values in (ours, theirs)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ours, theirs), strict=True)
    )
    return t_interval(float(np.mean(ours) - np.mean(theirs)), math.sqrt(sum(parts)), freedom)


def table(found: dict[str, list[dict[str, Any]]], marks: dict[str, float]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| PPO in | runs | agent-steps each | return of a seat | less SB3's | agent-steps/s | of processor time |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    returns = {arm: [run["return"] for run in each] for arm, each in found.items()}
    for arm, each in found.items():
        values, n = returns[arm], len(each)
        mean = t_interval(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n), n - 1) if n > 1 else ""
        less = difference(values, returns["sb3"]) if n > 1 and arm != "sb3" and "sb3" in found else ""
        rates = [f"{np.median([run[name] for run in each]):,.0f}" for name in ("wall_rate", "cpu_rate")]
        yield f"| {ARMS[arm]} | {n} | {each[0]['agent_steps']:,} | {mean} | {less} | {rates[0]} | {rates[1]} |"
    for name, value in marks.items():
        yield f"| {name} | | | {value:.1f} | | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=230_400)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["sb3", "rllib"])
    parser.add_argument("--rllib-python", default=str(ROOT / ".venv-rllib" / "bin" / "python"))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "rllib_against_sb3.jsonl", help="finished runs")
    parser.add_argument("--work", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=int, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.of, arguments.steps, arguments.episodes)
        return
    arguments.runs.parent.mkdir(parents=True, exist_ok=True)
    found = {arm: runs(arm, arguments) for arm in arguments.arms}
    print(f"{time.strftime('%Y-%m-%d')}, {machine.kind()}, one thread, load average {machine.load()}\n")
    print("\n".join(table(found, scale(arguments.episodes))))


if __name__ == "__main__":
    main()
