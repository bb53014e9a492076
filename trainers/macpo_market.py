"""MACPO's market game: proposals for prompts, (decision, reason) for answers, the latent p for ground truth.

Deviations from the paper and its released code (the loop's are in `trainers.macpo`):
- Agents are small MLPs, and nothing is pretrained: where the released code's reference policy is the pretrained base in
  all rounds, ours is each agent's policy of round 0 (`contrast.reference: initial`), or of the round before
  (`previous`). Step sizes, batches and epochs are those of small networks.
- Teachers are weak because they see few labels, some wrong, and each has a blind spot (`trainers.weak_teachers`).
- Beyond the paper, off by default: `mixes`, populations that shift from round to round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

import swarm_env
from trainers import weak_teachers, weak_to_strong
from trainers.confidence import fit_confidently
from trainers.games import words
from trainers.games.live import Proposals
from trainers.macpo_game import Preferences, drawn
from trainers.macpo_market_config import Config
from trainers.policies import MLPPolicy
from trainers.society import Society
from trainers.weak_to_strong import Trained, Voter, table

__all__ = ["Config", "Market", "game", "table"]

SEEDS_APART = 2**24  #: markets of run s play seeds s * SEEDS_APART + b: two runs share none
CONTEXTS = ("view", "ledger", "p")


class Market:
    """See `trainers.macpo_game.MacpoGame`; contexts are `Proposals`, all agents speak the same words."""

    baselines = ("confidence",)
    gate = 0.0

    def __init__(self, config: Config) -> None:
        self.config, self.rules = config, weak_to_strong.rules_of(config)
        scenario = swarm_env.load_scenario(config.scenario, config.overrides)
        self.identity = {"scenario": scenario.content_hash[:16]}

    def halves(self) -> tuple[Proposals, Proposals]:
        """Met while the surface-trusting rule answers, halved by chance."""
        count, config = self.config.contexts, self.config
        both = weak_to_strong.meet(config, 0, config.seed * SEEDS_APART, 2 * count)
        order = torch.randperm(2 * count, generator=drawn(config.seed, 0, "halves"))
        return both[order[:count]], both[order[count:]]

    def meet_again(self, number: int, decide: Callable[[Any], Tensor], generator: Generator) -> Proposals:
        """From markets that the student governs."""
        del generator  # the markets have their own
        config = self.config
        seed = config.seed * SEEDS_APART + number * config.num_envs
        markets = weak_to_strong.new_game(config, number, seed)
        return markets.contexts(config.contexts, lambda met: self.rules.action(decide(met)))

    def held_out(self, number: int) -> tuple[Proposals, Proposals]:
        """See `weak_to_strong.held_out`."""
        return weak_to_strong.held_out(self.config, number)

    def tensors(self, contexts: Proposals) -> dict[str, Tensor]:
        """View, ledger, p."""
        return {name: getattr(contexts, name) for name in CONTEXTS}

    def contexts(self, tensors: Mapping[str, Tensor]) -> Proposals:
        """See `tensors`."""
        return Proposals(*(tensors[name] for name in CONTEXTS))

    def _voter(self, name: str, generator: Generator | None = None) -> Voter:
        return weak_to_strong.blank(self.rules, self.config, name.partition(".")[0], generator)

    def blank(self, name: str, generator: Generator) -> MLPPolicy:
        """Small for teachers, larger for students."""
        return self._voter(name, generator).policy

    def base(self, name: str) -> None:
        """There is none."""

    def memory(self, name: str) -> str:
        """Weights are all there is."""
        del name
        return ""

    def micro_batch(self, name: str) -> None:
        """All at once."""

    def inputs(self, name: str, contexts: Proposals) -> Tensor:
        """float32 (n, F), 0 where a teacher of partial view sees nothing."""
        return self.rules.first_context(contexts) * weak_to_strong.view(self.rules, self.config, name)

    def heard(self, tokens: Tensor, speaker: str, listener: str) -> Tensor:
        """As said."""
        del speaker, listener
        return tokens

    def decisions(self, contexts: Proposals, said: Tensor, who: str) -> Tensor:
        """The first word."""
        del contexts, who
        return said[:, 0]

    def lesson(self, contexts: Proposals, teacher: int, generator: Generator) -> tuple[Tensor, Preferences]:
        """See `weak_teachers.lesson`."""
        return weak_teachers.lesson(self.rules, contexts, teacher, self.config.supervision, generator)

    def truth(self, contexts: Proposals) -> Tensor:
        """By the latent p."""
        return weak_teachers.preferences(self.rules, contexts).chosen

    def describe(self, said: Tensor, who: str) -> str:
        """(decision, reason)."""
        del who
        return f"({words.DECISIONS[int(said[0])]}, {weak_teachers.REASONS[int(said[1])]})"

    def start_baselines(self, society: Society, generator: Generator) -> None:
        """A student on the first teacher's soft labels, by the confidence loss."""
        teacher, said = society.teachers[0], society.held["candidates"][:, 0]
        with torch.no_grad():
            weak = teacher.positive.log_prob(
                society.inputs(teacher.name), torch.stack([torch.ones_like(said[:, 1]), said[:, 1]], 1)
            )
        policy, inputs = society.frozen["confidence"], society.inputs("student")
        fit_confidently(policy, inputs, weak[:, 0].exp(), said[:, 1], self.config.student, generator)

    def judged(self, contexts: Proposals, said: Tensor, who: str) -> dict[str, float]:
        """See `weak_to_strong.judged`."""
        del who
        return weak_to_strong.judged(self.rules, contexts, said)

    def well_formed(self, contexts: Proposals, said: Tensor, who: str) -> float:
        """Any two words are an answer."""
        del contexts, said, who
        return 1.0

    def blind(self, contexts: Proposals, teacher: int) -> Tensor:
        """See `weak_teachers.blind_to`."""
        spots = weak_teachers.BLIND_SPOTS
        return weak_teachers.blind_to(self.rules, contexts, spots[teacher % len(spots)])

    def shape(self, contexts: Proposals, said: Tensor, who: str) -> dict[str, float]:
        """diversity (entropy), repeated (share of the commonest), unfounded (reason untrue or against the decision)."""
        del who
        return {
            "diversity": weak_to_strong.diversity(said, self.rules.answer_tokens),
            "repeated": weak_to_strong.repeated(said),
            "unfounded": float(weak_teachers.unfounded(contexts, said).float().mean()),
        }

    def played(self, society: Society) -> dict[str, float]:
        """market/: `suite.SUITE` of held-out markets that the student governs."""
        policy = society.student.positive
        assert isinstance(policy, MLPPolicy)
        student = Trained(self.config, self.rules, (self._voter("student")._replace(policy=policy),), {})
        found = weak_to_strong.market(self.config, society.round, student, self.config.round_episodes)
        return {f"market/{name}": value for name, value in found.items()}

    def evaluate(self, society: Society, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """Of the policies as written."""
        return weak_to_strong.evaluate(society.folder, self.config, rounds)


def game(config: Config, folder: Path | None = None) -> Market:
    """The market of a configuration; ScenarioError if its scenario does not load."""
    del folder  # what its agents need is in their checkpoints
    return Market(config)
