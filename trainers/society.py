"""MACPO's agents and what they have said: the state that a run's phases change, and that its checkpoints hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from trainers import preference_sets
from trainers.checkpoint import Tensors, part
from trainers.contrastive import Agent, answers, contrast, fit_answers
from trainers.macpo_config import MacpoSettings
from trainers.macpo_game import MacpoGame, drawn
from trainers.policies import Policy
from trainers.preference_sets import Pairs


class Society:
    """A student, its teachers, policies kept aside, and what one phase leaves for later ones.

    Args:
        folder: of the run; preference sets go there.

    Attributes:
        frozen: policies that learn no more: naive (the student of round 0), initial_teacher_<k>, the game's baselines,
            majority_labels, ceiling, kept (the student that is to be kept).
        held: tensors by name: contexts of either half, answers, negatives.
        losses: of each agent's last training.
    """

    def __init__(self, game: MacpoGame, config: MacpoSettings, folder: Path) -> None:
        torch.set_num_threads(config.threads)
        self.game, self.config, self.folder, self.round = game, config, folder, 0
        self.student = self.agent("student")
        self.teachers = [self.agent(f"teacher_{k + 1}") for k in range(config.teachers.count)]
        like_student = ("naive", *game.baselines, "majority_labels", "ceiling", "kept")
        self.frozen = {name: self.another(name, self.student.positive) for name in like_student}
        for teacher in self.teachers:
            self.frozen[f"initial_{teacher.name}"] = self.another(f"initial_{teacher.name}", teacher.positive)
        self.held: dict[str, Tensor] = {}
        self.losses: dict[str, float] = {}

    def agent(self, name: str) -> Agent:
        """An untrained one."""
        positive = self.game.blank(name, self.generator(f"weights of {name}"))
        twin = self.another(f"{name}.negative", positive)
        return Agent(name, positive, twin, self.game.memory(name), self.game.micro_batch(name))

    def another(self, name: str, policy: Policy) -> Policy:
        """A policy of its own with the weights of one; it takes the place of an earlier one of that name."""
        new = self.game.blank(name, Generator())
        new.load_state_dict(policy.state_dict())
        return new

    @property
    def agents(self) -> list[Agent]:
        """Student, then teachers."""
        return [self.student, *self.teachers]

    def generator(self, purpose: str) -> Generator:
        """Of draws for one purpose in one round: equal ones in runs that differ in their settings alone."""
        return drawn(self.config.seed, self.round, purpose)

    def hold(self, half: str, contexts: Any) -> None:
        """Hold contexts, and keep those that preference sets speak of."""
        tensors = self.game.tensors(contexts)
        self.held |= {f"{half}.{name}": tensor for name, tensor in tensors.items()}
        if half == "unlabelled":
            preference_sets.write(self.folder, self.round, "contexts", tensors)

    def contexts(self, half: str) -> Any:
        """Those that are held."""
        return self.game.contexts(part(self.held, f"{half}."))

    def inputs(self, name: str) -> Any:
        """What the unlabelled half looks like to an agent or a policy."""
        return self.game.inputs(name, self.contexts("unlabelled"))

    def said(self, agent: Agent, twin: str) -> Tensor:
        """Answers (n, L) of an agent's "positive" or "negative" policy to the unlabelled half."""
        policy: Policy = getattr(agent, twin)
        draws = self.generator(f"{twin} answers of {agent.name}")
        return answers(policy, self.inputs(agent.name), self.config.decoding, draws)

    def told(self, twin: str) -> Tensor:
        """What every teacher's "positive" or "negative" policy answers, as the student hears it, (n, K, L)."""
        each = [self.game.heard(self.said(teacher, twin), teacher.name, "student") for teacher in self.teachers]
        return torch.stack(each, dim=1)

    def decided(self, candidates: Tensor) -> Tensor:
        """What K answers to each of the unlabelled contexts, in the student's tokens (n, K, L), come to, (n, K)."""
        contexts, parts = self.contexts("unlabelled"), candidates.unbind(dim=1)
        return torch.stack([self.game.decisions(contexts, said, "student") for said in parts], dim=1)

    def make_twin(self, agent: Agent, inputs: Any, wrong: Tensor) -> None:
        """An agent's negative twin: from its positive policy as it is on, SFT on wrong answers to what it sees."""
        fit = self.config.student if agent is self.student else self.config.teachers
        agent.negative.load_state_dict(agent.positive.state_dict())
        draws = self.generator(f"twin of {agent.name}")
        fit_answers(
            agent, agent.negative, inputs, wrong, fit, fit.negative_epochs, draws, f"{agent.name}'s negative twin"
        )

    def renew_twin(self, agent: Agent) -> None:
        """A twin of the agent as it is now, taught the wrong answers that its first twin was taught."""
        self.make_twin(agent, self.game.inputs(agent.name, self._taught(agent)), self.held[f"wrong.{agent.name}"])

    def _taught(self, agent: Agent) -> Any:
        if agent is self.student:
            return self.game.contexts(preference_sets.read(self.folder, 0, "contexts"))
        return self.contexts("labelled")[self.held[f"told.{agent.name}"]]

    def keep_set(self, name: str, pairs: Pairs) -> None:
        """Write what an agent learns from in this round."""
        preference_sets.write(self.folder, self.round, name, pairs._asdict())

    def keep_aside(self, name: str, policy: Policy) -> None:
        """Give one of `frozen` the weights of a policy."""
        self.frozen[name].load_state_dict(policy.state_dict())

    def update(self, agent: Agent, chosen: Tensor) -> None:
        """An agent's contrastive preference optimisation of this round, against its own negatives."""
        settings, name = self.config.contrast, agent.name
        own = Pairs.of(
            chosen, self.held[f"negative.{name}"],
            self.game.decisions(self.contexts("unlabelled"), chosen, name) if settings.balance else None,
            drop_equal=settings.drop_equal, who=f"round {self.round}: {name}",
        )  # fmt: skip
        self.keep_set(name, own)
        inputs, pairs = self._with_earlier(agent, own)
        self.losses[name] = contrast(
            agent, self._reference(agent), inputs, pairs.chosen, pairs.rejected if self.config.hard_negatives else None,
            pairs.weights, settings, settings.learning_rate * settings.decay ** (self.round - 1),
            self.generator(f"update of {name}"), f"round {self.round}: {name}",
        )  # fmt: skip

    def _reference(self, agent: Agent) -> Policy:
        which = self.config.contrast.reference
        base = self.game.base(agent.name) if which == "base" else None
        if base is not None:
            return base
        if which == "previous":
            return self.another(f"{agent.name}.previous", agent.positive)
        return self.frozen["naive" if agent is self.student else f"initial_{agent.name}"]

    def _with_earlier(self, agent: Agent, own: Pairs) -> tuple[Any, Pairs]:
        """What the agent sees, and the round's pairs; some of each earlier round's after them (replay)."""
        inputs, parts = [self.inputs(agent.name)[own.rows]], [own]
        count = int(self.config.contrast.replay * len(own.rows))
        for number in range(1, self.round) if count else ():
            kept = Pairs(**preference_sets.read(self.folder, number, agent.name))
            draws = self.generator(f"replay of {number} to {agent.name}")
            rows = torch.randperm(len(kept.rows), generator=draws)[:count]
            met = preference_sets.read(self.folder, number if self.config.fresh_contexts else 0, "contexts")
            inputs.append(self.game.inputs(agent.name, self.game.contexts(met))[kept.rows[rows]])
            parts.append(Pairs(*(each[rows] for each in kept)))
        return torch.cat(inputs), Pairs(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def named(self) -> dict[str, Policy]:
        """All policies that a finished run leaves; student is the one that is kept, last the last."""
        found: dict[str, Policy] = {agent.name: agent.positive for agent in self.agents} | self.frozen
        found["last"], found["student"] = self.student.positive, self.frozen["kept"]
        del found["kept"]
        return found

    def policies(self) -> Tensors:
        """Weights of all that a finished run leaves."""
        return _weights(self.named())

    def _all(self) -> dict[str, Policy]:
        twins = {
            f"{agent.name}.{twin}": getattr(agent, twin) for agent in self.agents for twin in ("positive", "negative")
        }
        return twins | {f"frozen.{name}": policy for name, policy in self.frozen.items()}

    def tensors(self) -> Tensors:
        """All of it, for a checkpoint."""
        return _weights(self._all()) | {f"held.{name}": tensor for name, tensor in self.held.items()}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what `tensors` returned."""
        for name, policy in self._all().items():
            policy.load_state_dict(part(tensors, f"{name}."))
        self.held = dict(part(tensors, "held."))


def _weights(policies: Mapping[str, Policy]) -> Tensors:
    return {
        f"{name}.{key}": weight.detach()
        for name, policy in policies.items()
        for key, weight in policy.state_dict().items()
    }
