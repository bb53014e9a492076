"""MACPO's agents and what they have said: the state that a run's phases change, and that its checkpoints hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Generator, Tensor

from trainers import preference_sets, weak_to_strong
from trainers.checkpoint import Tensors, part
from trainers.contrastive import Agent, answers, contrast, fit_answers
from trainers.games.live import Proposals
from trainers.macpo_config import Config
from trainers.policies import MLPPolicy, Policy
from trainers.preference_sets import Pairs

SEEDS_APART = 2**24  #: markets of run s play seeds s * SEEDS_APART + b: two runs share none
CONTEXTS = ("view", "ledger", "p")


class Society:
    """A student, its teachers, policies kept aside, and what one phase leaves for later ones.

    Args:
        folder: of the run; preference sets go there.

    Attributes:
        frozen: policies that learn no more: naive (the student of round 0), initial_teacher_<k>, confidence,
            majority_labels, ceiling, kept (the student that is to be kept).
        held: tensors by name: contexts of either half, answers, negatives.
        losses: of each agent's last training.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.folder, self.round = config, folder, 0
        self.rules = weak_to_strong.rules_of(config)
        self.student = self.agent("student")
        self.teachers = [self.agent(f"teacher_{k + 1}") for k in range(config.teachers.count)]
        self.frozen: dict[str, MLPPolicy] = {
            name: self.student.positive.copy() for name in ("naive", "confidence", "majority_labels", "ceiling", "kept")
        }
        self.frozen |= {f"initial_{teacher.name}": teacher.positive.copy() for teacher in self.teachers}
        self.held: dict[str, Tensor] = {}
        self.losses: dict[str, float] = {}

    def agent(self, name: str) -> Agent:
        """An untrained one."""
        voter = weak_to_strong.blank(self.rules, self.config, name, self.generator(f"weights of {name}"))
        return Agent(name, voter.policy, voter.view)

    @property
    def agents(self) -> list[Agent]:
        """Student, then teachers."""
        return [self.student, *self.teachers]

    def generator(self, purpose: str) -> Generator:
        """Of draws for one purpose in one round: equal ones in runs that differ in their settings alone."""
        text = f"{self.config.seed} {self.round} {purpose}".encode()
        return Generator().manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:7], "big"))

    def hold(self, half: str, contexts: Proposals) -> None:
        """Hold contexts, and keep those that preference sets speak of."""
        self.held |= {f"{half}.{name}": getattr(contexts, name) for name in CONTEXTS}
        if half == "unlabelled":
            tensors = {name: self.held[f"{half}.{name}"] for name in CONTEXTS}
            preference_sets.write(self.folder, self.round, "contexts", tensors)

    def contexts(self, half: str) -> Proposals:
        """Those that are held."""
        return Proposals(*(self.held[f"{half}.{name}"] for name in CONTEXTS))

    def inputs(self) -> Tensor:
        """What the unlabelled half looks like, (n, F)."""
        return self.rules.first_context(self.contexts("unlabelled"))

    def said(self, agent: Agent, twin: str, inputs: Tensor) -> Tensor:
        """Answers (n, L) of an agent's "positive" or "negative" policy."""
        policy: Policy = getattr(agent, twin)
        drawn = self.generator(f"{twin} answers of {agent.name}")
        return answers(policy, agent.seen(inputs), self.config.decoding, drawn)

    def make_twin(self, agent: Agent, inputs: Tensor, wrong: Tensor) -> None:
        """An agent's negative twin: from its positive policy as it is on, SFT on wrong answers to what it sees."""
        fit = self.config.student if agent is self.student else self.config.teachers
        agent.negative = agent.positive.copy()
        drawn = self.generator(f"twin of {agent.name}")
        fit_answers(agent.negative, inputs, wrong, fit, fit.negative_epochs, drawn, f"{agent.name}'s negative twin")

    def renew_twin(self, agent: Agent) -> None:
        """A twin of the agent as it is now, taught the wrong answers that its first twin was taught."""
        seen = agent.seen(self.rules.first_context(self._taught(agent)))
        self.make_twin(agent, seen, self.held[f"wrong.{agent.name}"])

    def _taught(self, agent: Agent) -> Proposals:
        if agent is self.student:
            kept = preference_sets.read(self.folder, 0, "contexts")
            return Proposals(*(kept[name] for name in CONTEXTS))
        return self.contexts("labelled")[self.held[f"told.{agent.name}"]]

    def keep_set(self, name: str, pairs: Pairs) -> None:
        """Write what an agent learns from in this round."""
        preference_sets.write(self.folder, self.round, name, pairs._asdict())

    def update(self, agent: Agent, chosen: Tensor) -> None:
        """An agent's contrastive preference optimisation of this round, against its own negatives."""
        settings, name = self.config.contrast, agent.name
        own = Pairs.of(
            chosen, self.held[f"negative.{name}"], balance=settings.balance, drop_equal=settings.drop_equal,
            who=f"round {self.round}: {name}",
        )  # fmt: skip
        self.keep_set(name, own)
        inputs, pairs = self._with_earlier(agent, own)
        first = self.frozen["naive" if agent is self.student else f"initial_{name}"]
        reference = first if settings.reference == "initial" else agent.positive.copy()
        self.losses[name] = contrast(
            agent.positive, reference, inputs, pairs.chosen, pairs.rejected if self.config.hard_negatives else None,
            pairs.weights, settings, settings.learning_rate * settings.decay ** (self.round - 1),
            self.generator(f"update of {name}"), f"round {self.round}: {name}",
        )  # fmt: skip

    def _with_earlier(self, agent: Agent, own: Pairs) -> tuple[Tensor, Pairs]:
        """What the agent sees, and the round's pairs; some of each earlier round's after them (replay)."""
        inputs, parts = [agent.seen(self.inputs())[own.rows]], [own]
        count = int(self.config.contrast.replay * len(own.rows))
        for number in range(1, self.round) if count else ():
            kept = Pairs(**preference_sets.read(self.folder, number, agent.name))
            drawn = self.generator(f"replay of {number} to {agent.name}")
            rows = torch.randperm(len(kept.rows), generator=drawn)[:count]
            met = preference_sets.read(self.folder, number if self.config.fresh_contexts else 0, "contexts")
            seen = self.rules.first_context(Proposals(*(met[name] for name in CONTEXTS)))
            inputs.append(agent.seen(seen[kept.rows[rows]]))
            parts.append(Pairs(*(each[rows] for each in kept)))
        return torch.cat(inputs), Pairs(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def policies(self) -> Tensors:
        """Weights of all that a finished run leaves, see `weak_to_strong.names_of`."""
        found = {agent.name: agent.positive for agent in self.agents} | self.frozen
        found["last"], found["student"] = self.student.positive, self.frozen["kept"]
        del found["kept"]
        return {f"{name}.{key}": w.detach() for name, policy in found.items() for key, w in policy.state_dict().items()}

    def _all(self) -> dict[str, MLPPolicy]:
        twins = {
            f"{agent.name}.{twin}": getattr(agent, twin) for agent in self.agents for twin in ("positive", "negative")
        }
        return twins | {f"frozen.{name}": policy for name, policy in self.frozen.items()}

    def tensors(self) -> Tensors:
        """All of it, for a checkpoint."""
        weights = {f"{name}.{key}": w for name, policy in self._all().items() for key, w in policy.state_dict().items()}
        return weights | {f"held.{name}": tensor for name, tensor in self.held.items()}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to what `tensors` returned."""
        for name, policy in self._all().items():
            policy.load_state_dict(part(tensors, f"{name}."))
        self.held = dict(part(tensors, "held."))
