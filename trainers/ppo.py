"""PPO (Schulman et al. 2017, arXiv 1707.06347) for learners that share one policy, by sb3-contrib's MaskablePPO.

Deviations, from the paper and from SB3's defaults:
- Independent learners with shared parameters: each learner of each market is an environment of its own, and the
  others are part of it. There is no centralised critic.
- Illegal choices are masked out (Huang and Ontanon 2020, arXiv 2006.14171), each head by itself.
- All heads are one distribution with logits in +-20 (`swarm_env.adapters.sb3_policy`); ReLU in place of tanh, larger
  minibatches and a higher learning rate, falling to 0, than SB3 has.
- Episodes end by truncation alone: SB3 bootstraps them with the value of the last observation.
- All markets start their episodes together, so an update sees one part of an episode.
- `learn` is called for one update at a time, and the schedule counts updates itself: between two updates everything
  that the rest depends on can be written down. That needs two of SB3's private attributes (`restore`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from rich.table import Table
from torch import nn

import swarm_env
from swarm_env import Scenario
from swarm_env.adapters import choices
from swarm_env.adapters.sb3 import MarketVecEnv
from swarm_env.adapters.sb3_policy import MaskedMarketPolicy
from swarm_env.batch import EPISODE_METRICS
from swarm_env.scenario.settings import Fault, faulty, load_settings
from trainers import checkpoint, command, evaluation
from trainers.checkpoint import RunError
from trainers.run import Run
from trainers.settings import RunSettings

from sb3_contrib import MaskablePPO  # isort: skip  the adapter has said how to install it if it is not there
from stable_baselines3.common.callbacks import BaseCallback  # isort: skip
from stable_baselines3.common.logger import Logger  # isort: skip

SEEDS_APART = 2**24  #: markets of run s play seeds s * SEEDS_APART + b: two runs share none
#: Columns of the table at the end: heading, key of `evaluation.summary`, decimals.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("return", "return", 1), ("above scripts", "gain", 1), ("honest", "conduct_honest", 2),
    ("opport.", "conduct_opportunistic", 2), ("decept.", "conduct_deceptive", 2),
    ("advers.", "conduct_adversarial", 2), ("accepted", "acceptance_rate", 2), ("toxicity", "toxicity_rate", 3),
    ("social welfare", "net_social_welfare", 0),
)  # fmt: skip
LOSSES = ("policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction", "explained_variance")


class Config(RunSettings):
    """configs/ppo.yaml. Steps are agent-steps: one decision of one learner."""

    scenario: str = Field(
        default="alignment_waltz_targeted_feedback", min_length=1, description="a YAML file, or a shipped scenario's id"
    )
    overrides: tuple[str, ...] = Field(
        default=(),
        description="of the scenario's settings; governance=null turns every lever off",
        json_schema_extra={"allowed": "a list of key.path=value, as in [governance.audit_enabled=false]"},
    )
    learners: tuple[str, ...] = Field(
        default=("honest_*",),
        description="seats that learn; scripts play the others",
        json_schema_extra={"allowed": "all, an agent's name, a pattern such as honest_*, or a list of these"},
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of weights, draws and markets")
    num_envs: int = Field(default=64, ge=1, le=65_536, description="markets played side by side")
    total_steps: int = Field(default=1_500_000, ge=1, le=10**12, description="agent-steps, rounded up to whole updates")
    rollout_steps: int = Field(default=48, ge=2, le=100_000, description="steps of each market between two updates")
    minibatches: int = Field(default=4, ge=1, le=10_000, description="parts a rollout is cut into; must divide it")
    update_epochs: int = Field(default=4, ge=1, le=1000, description="passes over a rollout")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Adam's, at the start")
    anneal: bool = Field(default=True, description="let the learning rate fall to 0 in a straight line")
    gamma: float = Field(default=0.99, ge=0, le=1, description="discount of a step")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="of generalised advantage estimation")
    clip_range: float = Field(default=0.2, gt=0, le=10, description="of the probability ratio")
    ent_coef: float = Field(default=0.003, ge=0, le=10, description="weight of the entropy bonus")
    vf_coef: float = Field(default=0.5, ge=0, le=100, description="weight of the value loss")
    max_grad_norm: float = Field(default=0.5, gt=0, le=1e6, description="gradients are clipped to this norm")
    hidden: tuple[int, ...] = Field(
        default=(64, 64),
        description="units of the hidden layers, of policy and value network each",
        json_schema_extra={"allowed": "a list of at most 8 whole numbers in [1, 4096]"},
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where the networks are")
    threads: int = Field(default=1, ge=1, le=256, description="of torch; with a busy neighbour two are slower than one")
    checkpoint_every: int = Field(default=10, ge=1, le=10**9, description="updates between two checkpoints")
    eval_episodes: int = Field(default=64, ge=0, le=65_536, description="on held-out seeds at the end; 0 for none")

    @model_validator(mode="after")
    def divisible(self) -> Self:
        """Refuse minibatches of unequal sizes."""
        if self.num_envs * self.rollout_steps % self.minibatches:
            what = f"{self.minibatches} do not divide num_envs * rollout_steps = {self.num_envs * self.rollout_steps}"
            raise faulty(Fault(("minibatches",), what, "a divisor of it"))
        return self


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file, "key=value" overrides applied; ScenarioError names what is wrong with it."""
    return load_settings(Config, path, overrides, example="scenario: baseline")


class Episodes(BaseCallback):
    """Collects what ended episodes leave in the infos."""

    def __init__(self, learners: int) -> None:
        super().__init__()
        self.learners = learners
        self.returns: list[float] = []
        self.market: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        if self.locals["dones"].any():
            ended = [(slot, info) for slot, info in enumerate(self.locals["infos"]) if "episode" in info]
            self.returns += [info["episode"]["r"] for _, info in ended]
            self.market += [info["market"] for slot, info in ended if slot % self.learners == 0]
        return True

    def take(self) -> dict[str, float]:
        """Means over the episodes since the last call; NaN where there were none, or none with that metric."""
        values = {"episode/return": _mean(self.returns)}
        for name in EPISODE_METRICS:
            values[f"market/{name}"] = _mean([market[name] for market in self.market if name in market])
        self.returns, self.market = [], []
        return values


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


class Trainer:
    """The markets, the model, and what of them a checkpoint holds."""

    def __init__(self, config: Config) -> None:
        torch.set_num_threads(config.threads)
        self.config = config
        self.scenario: Scenario = swarm_env.load_scenario(config.scenario, config.overrides)
        self.venv = MarketVecEnv(self.scenario, config.num_envs, config.learners)
        self.per_update = config.rollout_steps * self.venv.num_envs
        self.updates = math.ceil(config.total_steps / self.per_update)
        self.left = 1.0  # share of the updates still to come
        self.model = MaskablePPO(
            MaskedMarketPolicy,
            self.venv,
            learning_rate=lambda _: config.learning_rate * (self.left if config.anneal else 1.0),
            n_steps=config.rollout_steps,
            batch_size=self.per_update // config.minibatches,
            n_epochs=config.update_epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.ent_coef,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            policy_kwargs={"net_arch": list(config.hidden), "activation_fn": nn.ReLU},
            seed=config.seed,
            device=config.device,
        )
        self.model.set_logger(Logger(None, []))
        self.venv.seed(config.seed * SEEDS_APART)
        self.episodes = Episodes(self.venv.market.num_learners)

    @property
    def done(self) -> int:
        """Updates so far."""
        return self.model.num_timesteps // self.per_update

    def update(self) -> dict[str, float]:
        """One rollout and what is learnt from it; returns what to log of it."""
        self.left = 1.0 - self.done / self.updates
        self.model.learn(self.per_update, self.episodes, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
        buffer, said = self.model.rollout_buffer, self.model.logger.name_to_value
        actions = buffer.actions.reshape(self.per_update, -1)
        shares = choices.shares(actions, buffer.action_masks.reshape(self.per_update, -1))
        row = {
            **self.episodes.take(),
            **{f"choice/{name}": share for name, share in shares.items()},
            **{f"loss/{name}": float(said[f"train/{name}"]) for name in LOSSES},
        }
        self.model.logger.dump()  # to nowhere: it only forgets
        return row

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that the rest of the run depends on, besides the global generators."""
        tensors, optimizer = checkpoint.pack_optimizer(self.model.policy.optimizer)
        tensors |= {f"policy.{name}": value for name, value in self.model.policy.state_dict().items()}
        tensors["markets"] = checkpoint.pack_bytes(self.venv.snapshot())
        tensors["starts"] = torch.from_numpy(np.asarray(self.model._last_episode_starts))
        return tensors, {"optimizer": optimizer, "steps": self.model.num_timesteps}

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        weights = {name: value for name, value in tensors.items() if name.startswith("policy.")}
        self.model.policy.load_state_dict({name.removeprefix("policy."): w for name, w in weights.items()})
        checkpoint.unpack_optimizer(self.model.policy.optimizer, tensors, state["optimizer"])
        self.model._last_obs = self.venv.restore(tensors["markets"].numpy().tobytes())
        self.model._last_episode_starts = tensors["starts"].numpy()
        self.model.num_timesteps = state["steps"]


def train(
    config: Config, folder: str | os.PathLike[str], *, resume: bool = False, quiet: bool = True
) -> dict[str, Any]:
    """Train, write everything into the run's folder, evaluate; returns what evaluation.json holds.

    Raises:
        ScenarioError: a scenario that does not load. RunError: a folder or checkpoint that cannot be used.
        ValueError: learners that fit no agent.
    """
    trainer = Trainer(config)
    identity = {"trainer": "ppo", "config": config.fingerprint, "scenario": trainer.scenario.content_hash[:16]}
    run = Run.resume(folder, identity) if resume else Run.create(folder, config.model_dump(mode="json"), identity)
    with run, run.progress(trainer.updates, trainer.done, "updates", quiet) as show:
        kept = run.load() if resume else None
        if kept is not None:
            trainer.restore(kept.tensors, kept.state)
        while trainer.done < trainer.updates:
            used = time.process_time()
            row = trainer.update()
            steps = trainer.model.num_timesteps
            run.log(steps, row, agent_steps_per_cpu_second=trainer.per_update / (time.process_time() - used))
            show(trainer.done, "" if math.isnan(row["episode/return"]) else f"return {row['episode/return']:.1f}")
            if trainer.done % config.checkpoint_every == 0 or trainer.done == trainer.updates:
                run.save(steps, *trainer.state())
        return finish(trainer, run)


def finish(trainer: Trainer, run: Run) -> dict[str, Any]:
    """Write policy.safetensors and, unless there is to be none, evaluation.json."""
    weights = {name: value.detach().cpu() for name, value in trainer.model.policy.state_dict().items()}
    checkpoint.write(run.folder / "policy.safetensors", weights, {"identity": run.identity})
    results = evaluate(trainer)
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    checkpoint.write_whole(run.folder / "evaluation.json", text.encode())
    return results


def evaluate(trainer: Trainer) -> dict[str, Any]:
    """Learned policy, the scripts in the same seats, and random choices, on the same held-out seeds."""
    config, scenario = trainer.config, trainer.scenario
    if not config.eval_episodes:
        return {"scenario": scenario.scenario_id, "policies": []}
    learned = evaluation.Learned(trainer.model, config.seed)
    random = evaluation.at_random(trainer.venv.market.single_action_space.nvec.tolist(), config.seed)
    seats, episodes = list(config.learners), config.eval_episodes
    scripts = evaluation.play_scripts("scripts", scenario, trainer.venv.market.possible_agents, episodes)
    played = [evaluation.play(n, p, scenario, seats, episodes) for n, p in (("ppo", learned), ("random", random))]
    policies = [evaluation.summary(each, scripts) for each in played] + [evaluation.summary(scripts)]
    return {"scenario": scenario.scenario_id, "first_seed": evaluation.HELD_OUT, "policies": policies}


def load(folder: str | os.PathLike[str]) -> evaluation.Learned:
    """The policy that a finished run has left.

    Raises:
        RunError: no finished run there, or a damaged one. ScenarioError: as for `load_config`.
    """
    config = load_config(Path(folder) / "config.yaml")
    kept = checkpoint.read(Path(folder) / "policy.safetensors")
    trainer = Trainer(config.model_copy(update={"num_envs": 1, "minibatches": 1}))
    if kept.state["identity"]["config"] != config.fingerprint:
        raise RunError(f"{folder}: policy.safetensors belongs to another configuration than config.yaml")
    trainer.model.policy.load_state_dict(kept.tensors)
    return evaluation.Learned(trainer.model, config.seed)


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    episodes = results["policies"][0]["episodes"]
    title = (
        f"{results['scenario']}: {episodes} held-out seeds, means over the learners' seats, [95 % bootstrap interval]"
    )
    return command.table_of(results, title, COLUMNS)


def main(arguments: argparse.Namespace) -> int:
    """`swarm train ppo`."""
    return command.run(arguments, load_config, train, table)
