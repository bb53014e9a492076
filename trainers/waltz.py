"""WaltzRL (Zhang et al. 2025, arXiv 2510.08240): a conversation and a feedback policy trained together.

Deviations from the paper:
- Games: dialogues as in the paper (`trainers.language.waltz`), and the market (`trainers.waltz_market`, the default).
  There contexts are proposals, answers (decision, reason), messages (two flags, a word of advice); policies are small
  MLPs, clones of rules (`trainers.warm_start`) where the paper has an instruction-tuned model; of what was said before
  the last draft and advice a conversation policy sees only how often each word was (nothing is lost at T_max = 1, the
  paper's setting); learning rate, batch and steps are those of a small network: 5e-3 falling in a straight line, 2,048
  contexts and 100 + 150 steps in place of 5e-7, 32 and 312 + 312. Adam; its betas are PyTorch's.
- In dialogues: a LoRA adapter an agent on one frozen base in place of two fully trained models; a reference is that
  base, or a frozen copy of an adapter. The shipped settings are those of a small model made here: learning rate 3e-3
  falling, 128 prompts, 40 + 60 steps, beta .1, and the overseer of stage 1 as its reference in stage 2, without which
  it drifts back to the false alarms that it started with; configs/waltz_8b.yaml has the paper's.
- Where the paper is silent: a batch is passed over once, in `minibatches` parts, so that the clipped ratio has work to
  do; a last revision is learnt from as often as a first answer (`revision_share`); both references are the policies
  that training started from, in either stage (`feedback_reference`); a dialogue that stopped at once lends its first
  message to the feedback policy; policies are judged as they sample, at temperature 1.
- Beyond it, off by default: R_f without the label's gate (`variant`), a price of needless triggers
  (`needless_penalty`), more than one revision (`t_max`), no overseer at all (`overseer`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.table import Table
from torch import Generator, Tensor

from trainers import checkpoint, command, distributed, reinforce, rewards, rollouts
from trainers.checkpoint import RunError, Tensors
from trainers.games import Game
from trainers.judgement import outcome, overseer
from trainers.policies import Policy
from trainers.reinforce import Learner
from trainers.rollouts import Rollout
from trainers.run import Run
from trainers.settings import module_of
from trainers.waltz_config import GAMES, Settings, Stage, load_config

__all__ = ["Trainer", "World", "load_config", "main", "train", "weights"]


class World(Protocol):
    """What a run is trained in, made by World(config, folder or None, generator) of a module in GAMES.

    Such a module also has `Config`, `identity(config)` and `table(results)`.

    Attributes:
        micro_batch: sequences of a forward and backward pass; None: a whole minibatch.
        importance_cap: where another engine samples, see `reinforce.update`; else None.
    """

    game: Game
    micro_batch: int | None
    importance_cap: float | None

    def start(self) -> tuple[Policy, Policy]:
        """Conversation and feedback policy as training begins; they are also the references of the KL terms."""
        ...

    def describe(self) -> str:
        """What the run will need, for whoever starts it; "" where there is nothing to say."""
        ...

    def keep(self, folder: Path) -> None:
        """Write what the policies' weights need besides the settings to be used again."""
        ...

    def state(self) -> Tensors:
        """All that the next contexts depend on, besides the generator."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        ...

    def finish(self, folder: Path, policies: Mapping[str, Policy], *, leads: bool) -> dict[str, Any]:
        """What evaluation.json of a finished run holds: "game", and "policies", a row each; writes what else it leaves.

        Args:
            leads: whether this process writes; every process of a run calls.
        """
        ...


class Trainer:
    """A world, both learners, and what of them a checkpoint holds."""

    def __init__(self, config: Settings, folder: Path | None = None) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.done = config, 0
        self.generator = Generator().manual_seed(config.seed + (distributed.rank() << 32))
        self.world: World = module_of(GAMES, config.game).World(config, folder, self.generator)
        self.game = self.world.game
        start = self.world.start()
        self.conversation, self.feedback = (Learner(policy, config.learning_rate) for policy in start)

    @property
    def updates(self) -> int:
        """Of both stages; single-policy RL has only the second."""
        return self.config.stage2.steps + (self.config.stage1.steps if self.config.overseer else 0)

    @property
    def stage(self) -> tuple[int, Stage, float]:
        """The current stage's number and settings, and the share of it that is still to come."""
        first = self.config.stage1.steps if self.config.overseer else 0
        if self.done < first:
            return 1, self.config.stage1, 1.0 - self.done / first
        return 2, self.config.stage2, 1.0 - (self.done - first) / max(self.config.stage2.steps, 1)

    def play(self, contexts: Any) -> Rollout:
        """Let the policies collaborate."""
        second = self.feedback.policy if self.config.overseer else None
        return rollouts.play(self.game, contexts, self.conversation.policy, second, self.config.t_max, self.generator)

    def govern(self, contexts: Any) -> Tensor:
        """What they agree on is what the markets play."""
        done: Tensor = self.game.action(self.play(contexts).final)
        return done

    def update(self) -> dict[str, float]:
        """Meet contexts, collaborate on them, learn; returns what to log."""
        config = self.config
        number, stage, left = self.stage
        if number == 2 and left == 1.0 and config.feedback_reference == "stage1":
            self.feedback.reference = self.feedback.policy.copy()
        contexts = self.game.contexts(config.batch, self.govern)
        rollout = self.play(contexts)
        kinds = self.game.kinds(contexts)
        row: dict[str, float] = {"stage": number}
        row |= {f"final/{name}": value for name, value in outcome(rollout.final_labels, kinds).items()}
        row |= {f"first/{name}": value for name, value in outcome(rollout.labels[0], kinds).items()}
        if config.overseer:
            row |= {f"overseer/{name}": value for name, value in overseer(rollout, kinds).items()}
            samples = rollouts.feedback_samples(rollout, self.feedback_rewards(rollout, stage), self.generator)
            row |= {f"feedback/{name}": value for name, value in self._learn(self.feedback, samples, left).items()}
        if number == 2:
            samples = rollouts.conversation_samples(rollout, config.revision_share, self.generator)
            learnt = self._learn(self.conversation, samples, left)
            row |= {f"conversation/{name}": value for name, value in learnt.items()}
        else:
            row |= {f"conversation/{name}": float("nan") for name in ("reward", "kl", "entropy", "clip_fraction")}
        self.done += 1
        return row

    def feedback_rewards(self, rollout: Rollout, stage: Stage) -> list[Tensor]:
        """R_f of every message, round by round."""
        out = []
        for message in rollout.messages:
            label = rewards.label_reward(message.feedback, message.labels)
            form = rewards.format_reward(message.feedback)
            variant = rewards.VARIANTS[stage.variant]
            reward = rewards.feedback_reward(message.improvement, label, form, variant, self.config.weights)
            needless = rewards.needless_trigger_penalty(message.feedback, message.labels, self.config.needless_penalty)
            out.append(reward + needless)
        return out

    def _learn(self, learner: Learner, samples: rollouts.Samples, left: float) -> dict[str, float]:
        config = self.config
        learner.set_learning_rate(config.learning_rate * (left if config.anneal else 1.0))
        return reinforce.update(
            learner, samples, beta=config.beta, clip=config.clip, update_epochs=config.update_epochs,
            minibatches=config.minibatches, max_grad_norm=config.max_grad_norm, generator=self.generator,
            micro_batch=self.world.micro_batch, importance_cap=self.world.importance_cap,
        )  # fmt: skip

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the rest of the run depends on, besides the global generators; every process calls.

        Raises:
            RunError: the processes' weights are no longer the same.
        """
        own = self.generator.get_state()
        drawn = torch.zeros(distributed.world(), len(own), dtype=torch.int64)
        drawn[distributed.rank()] = own
        tensors = {**self.world.state(), "generator": distributed.all_sum(drawn).to(torch.uint8)}
        state: dict[str, Any] = {"done": self.done}
        for name, learner in self.learners.items():
            distributed.check_replicas(learner.policy.parameters(), name)
            packed, state[name] = checkpoint.pack_optimizer(learner.optimizer, f"{name}.optimizer")
            tensors |= packed
            for role, policy in (("policy", learner.policy), ("reference", learner.reference)):
                # copies: two policies may be one
                tensors |= {f"{name}.{role}.{key}": value.clone() for key, value in policy.state_dict().items()}
        return tensors, state

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            RunError: it is of another number of processes.
        """
        drawn = tensors["generator"]
        world = distributed.world()
        if len(drawn) != world:
            raise RunError(f"the run was trained by {len(drawn)} processes; go on with as many, not {world}")
        self.done = state["done"]
        self.world.restore(tensors)
        self.generator.set_state(drawn[distributed.rank()])
        for name, learner in self.learners.items():
            checkpoint.unpack_optimizer(learner.optimizer, tensors, state[name], f"{name}.optimizer")
            for role, policy in (("policy", learner.policy), ("reference", learner.reference)):
                policy.load_state_dict(checkpoint.part(tensors, f"{name}.{role}."))

    @property
    def learners(self) -> dict[str, Learner]:
        """By name."""
        return {"conversation": self.conversation, "feedback": self.feedback}


def train(
    config: Settings, folder: str | os.PathLike[str], *, resume: bool = False, quiet: bool = True
) -> dict[str, Any]:
    """Train, write everything into the run's folder, evaluate; returns what evaluation.json holds.

    Raises:
        ScenarioError: a scenario that does not load. RunError: a folder or checkpoint that cannot be used, or a loss
        that is not finite; checkpoints so far are kept.
    """
    distributed.init_from_env()
    identity = {"trainer": "waltz", "config": config.fingerprint, **module_of(GAMES, config.game).identity(config)}
    run = _opened(folder, config, identity, resume)
    trainer = Trainer(config, run.folder)
    if not quiet and run.leads and trainer.world.describe():
        print(trainer.world.describe(), file=sys.stderr)
    with run, run.progress(trainer.updates, trainer.done, "updates", quiet) as show:
        kept = run.load() if resume else None
        if kept is not None:
            trainer.restore(kept.tensors, kept.state)
        elif run.leads:
            trainer.world.keep(run.folder)
        if kept is None:
            run.write("base.safetensors", weights(trainer))
        while trainer.done < trainer.updates:
            used = time.process_time()
            row = trainer.update()
            run.log(trainer.done, row, contexts_per_cpu_second=config.batch / (time.process_time() - used))
            show(trainer.done, f"F1 {row['final/f1']:.3f}")
            if config.overseer and trainer.done == config.stage1.steps:
                run.write("stage1.safetensors", weights(trainer))
            if trainer.done % config.checkpoint_every == 0 or trainer.done == trainer.updates:
                run.save(trainer.done, *trainer.state())
        run.write("policy.safetensors", weights(trainer))
        policies = {name: learner.policy for name, learner in trainer.learners.items()}
        results = trainer.world.finish(run.folder, policies, leads=run.leads)
        if run.leads:
            text = json.dumps(results, indent=2, allow_nan=False) + "\n"
            checkpoint.write_whole(run.folder / "evaluation.json", text.encode())
        return results


def _opened(folder: str | os.PathLike[str], config: Settings, identity: dict[str, str], resume: bool) -> Run:
    """The run's folder; the process that leads makes it, and the others wait for that."""
    run = None
    if distributed.is_main():
        made = config.model_dump(mode="json")
        run = Run.resume(folder, identity) if resume else Run.create(folder, made, identity)
    distributed.all_count(0)
    return run or Run.follow(folder, identity)


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """Of both policies, conversation.* and feedback.*."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, learner in trainer.learners.items()
        for key, value in learner.policy.state_dict().items()
    }


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    shown: Table = module_of(GAMES, results["game"]).table(results)
    return shown


def main(arguments: argparse.Namespace) -> int:
    """`swarm train waltz`."""
    return command.run(arguments, load_config, train, table)
