"""What MACPO leaves in the market: agents, loaded from their run, and how they are judged beside others."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Generator, Tensor

import swarm_env
from swarm_env import Scenario
from trainers import checkpoint, command, governed, judgement
from trainers.checkpoint import RunError
from trainers.contrastive import answers
from trainers.games.live import Proposals
from trainers.games.market import MarketGame, MarketRules, populations
from trainers.macpo import GAMES
from trainers.macpo_market_config import MIX, Config, load_config
from trainers.policies import MLPPolicy
from trainers.preference_sets import vote
from trainers.settings import game_of
from trainers.standings import plain
from trainers.suite import SUITE, suite
from trainers.warm_start import Config as Surface
from trainers.warm_start import surface_answers
from trainers.weak_teachers import view_of

VALIDATION = 4  #: one in so many held-out proposals is for choosing a round, without labels; the others judge


class Voter(NamedTuple):
    """A policy and what it sees."""

    policy: MLPPolicy
    view: Tensor  # float32 (F,)


def majority(votes: Tensor) -> Tensor:
    """Of answers int64 (n, K, L): the first of those with the decision of most; of a tie, those that refuse."""
    return vote(votes, votes[:, :, 0])


def decide(voters: Sequence[Voter], inputs: Tensor, decoding: str, generator: Generator) -> Tensor:
    """Answers int64 (n, L) of one policy, or of the majority of several."""
    said = [answers(voter.policy, inputs * voter.view, decoding, generator) for voter in voters]
    return said[0] if len(said) == 1 else majority(torch.stack(said, dim=1))


class Trained(NamedTuple):
    """One of a run's policies, or several that vote."""

    config: Config
    rules: MarketRules
    voters: tuple[Voter, ...]
    identity: dict[str, str]

    def decider(self, seed: int) -> governed.Decider:
        """As who decides in a market."""
        generator = Generator().manual_seed(seed)

        def choose(contexts: Proposals) -> governed.Decision:
            inputs = self.rules.first_context(contexts)
            return governed.Decision(decide(self.voters, inputs, self.config.decoding, generator))

        return choose


def rules_of(config: Config) -> MarketRules:
    """The game of a configuration."""
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    return MarketRules(scenario.market.safety_threshold, config.sees)


def names_of(config: Config) -> list[str]:
    """What `load` knows: the kept student, the last one, teachers now and before, baselines, the first majority."""
    teachers = [f"teacher_{k + 1}" for k in range(config.teachers.count)]
    return ["student", "last", *teachers, *(f"initial_{name}" for name in teachers), "naive", "confidence",
            "majority_labels", "ceiling", "majority"]  # fmt: skip


def load(folder: str | os.PathLike[str], which: str = "student") -> Trained:
    """A policy of a finished run, see `names_of`.

    Raises:
        RunError: no such file there, a damaged one, one of another run, game or layout. ValueError: no such policy.
        ScenarioError: as for `load_config`.
    """
    played = game_of(GAMES, Path(folder) / "config.yaml")
    if played != "market":
        raise RunError(f"{folder}: was trained in the {played} game and governs no market; see its evaluation.json")
    config = load_config(Path(folder) / "config.yaml")
    if which not in names_of(config):
        raise ValueError(f"{folder}: has no policy {which!r}; allowed: {', '.join(names_of(config))}")
    path = Path(folder) / "policy.safetensors"
    kept = checkpoint.read(path)
    said = kept.state.get("identity") if isinstance(kept.state, dict) else None
    if not isinstance(said, dict) or said.get("trainer") != "macpo" or said.get("config") != config.fingerprint:
        raise RunError(f"{path}: is not what 'swarm train macpo' wrote for the config.yaml beside it")
    rules, voters = rules_of(config), []
    teachers = [f"initial_teacher_{k + 1}" for k in range(config.teachers.count)]
    for name in teachers if which == "majority" else [which]:
        voter = blank(rules, config, name)
        try:
            voter.policy.load_state_dict(checkpoint.part(kept.tensors, f"{name}."))
        except RuntimeError as error:
            raise RunError(f"{path}: {name} has another layout than config.yaml says") from error
        voters.append(voter)
    return Trained(config, rules, tuple(voters), said)


def blank(rules: MarketRules, config: Config, name: str, generator: Generator | None = None) -> Voter:
    """An untrained policy of the layout that a name has."""
    hidden = config.teachers.hidden if "teacher_" in name else config.student.hidden
    policy = MLPPolicy(rules.actor_inputs, rules.answer_tokens, hidden, generator or Generator())
    return Voter(policy, view(rules, config, name))


def view(rules: MarketRules, config: Config, name: str) -> Tensor:
    """float32 (F,): 1 where the policy of a name sees an input, 0 where it does not."""
    if "teacher_" not in name:
        return torch.ones(rules.actor_inputs)
    return view_of(rules, int(name.rpartition("_")[2]) - 1, config.supervision)


def mixed(config: Config, number: int, seed: int) -> list[Scenario]:
    """The populations of a round."""
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    if config.mixes:
        counts = zip(MIX, config.mixes[number], strict=True)
        agents = [{"type": kind, "count": count} for kind, count in counts if count]
        scenario = swarm_env.load_scenario({**scenario.to_dict(), "agents": agents})
    return populations(scenario, config.populations, config.population_spread, seed)


#: What contexts depend on besides round and seed.
MEETING = ("scenario", "overrides", "populations", "population_spread", "mixes", "num_envs", "shares", "sees")


def meet(config: Config, number: int, seed: int, count: int) -> Proposals:
    """Proposals of a round's populations, met while the surface-trusting rule answers; remembered for later runs."""
    plain = Config(**{name: getattr(config, name) for name in (*MEETING, "rounds", "fresh_contexts")})
    return _meet(plain.model_dump_json(), number, seed, count)


@lru_cache(maxsize=16)
def _meet(settings: str, number: int, seed: int, count: int) -> Proposals:
    config, surface, generator = Config.model_validate_json(settings), Surface(), Generator().manual_seed(seed)
    game = new_game(config, number, seed)
    return game.contexts(count, lambda met: surface_answers(met, surface, generator)[:, 0])


def new_game(config: Config, number: int, seed: int) -> MarketGame:
    """A round's markets."""
    return MarketGame(
        mixed(config, number, seed), config.num_envs, seed, actor_sees=config.sees,
        shares=config.shares or None,
    )  # fmt: skip


def held_out(config: Config, number: int) -> tuple[Proposals, Proposals]:
    """Proposals that no training sees: to judge by, and to choose a round by, without labels."""
    contexts = meet(config, number, governed.HELD_OUT, config.held_out)
    chooses = torch.arange(len(contexts)) % VALIDATION == VALIDATION - 1
    return contexts[~chooses], contexts[chooses]


def diversity(said: Tensor, sizes: Sequence[int]) -> float:
    """Entropy of answers int64 (n, L) over all that can be said, as a share of the most there can be, in [0, 1]."""
    shares = _shares(said)
    return float(-(shares * shares.log()).sum()) / math.log(math.prod(sizes)) + 0.0


def repeated(said: Tensor) -> float:
    """Share of the commonest answer."""
    return float(_shares(said).max())


def _shares(said: Tensor) -> Tensor:
    counts: Tensor = torch.unique(said, dim=0, return_counts=True)[1]
    return counts.double() / len(said)


def market(config: Config, number: int, trained: Trained | None, episodes: int) -> dict[str, float]:
    """`suite.SUITE` of held-out markets of a round whose every answer is a policy's; None: the scripts' own."""
    if not episodes:
        return dict.fromkeys(SUITE, math.nan)
    decider, rules = (trained.decider(config.seed), trained.rules) if trained else (None, rules_of(config))
    return suite(mixed(config, number, governed.HELD_OUT), rules, decider, episodes)


def judged(rules: MarketRules, contexts: Proposals, said: Tensor) -> dict[str, float]:
    """accuracy, asr, orr, f1 and those by kind, see `judgement.outcome`."""
    return judgement.outcome(rules.judge(contexts, said), rules.kinds(contexts))


def evaluate(folder: Path, config: Config, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Every policy of a finished run on the last round's held-out proposals, and governing its held-out markets."""
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    contexts, policies = held_out(config, config.rounds)[0], []
    for name in [*names_of(config), "scripts"]:
        trained, found = None, dict[str, float]()
        if name != "scripts":
            trained = load(folder, name)
            said = trained.decider(config.seed)(contexts).answer
            found = judged(trained.rules, contexts, said)
        found |= market(config, config.rounds, trained, config.eval_episodes)
        policies.append({"policy": name, **plain(found)})
    return {
        "scenario": scenario.scenario_id, "first_seed": governed.HELD_OUT, "episodes": config.eval_episodes,
        "proposals": len(contexts), "rounds": [plain(row) for row in rounds], "policies": policies,
    }  # fmt: skip


#: Columns of the table at the end.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("accuracy", "accuracy", 3), ("ASR", "asr", 3), ("ORR", "orr", 3), ("F1", "f1", 3),
    ("toxicity", "toxicity_rate", 3), ("quality gap", "quality_gap", 3), ("acceptance", "acceptance_rate", 3),
    ("welfare", "total_welfare", 0),
)  # fmt: skip


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    title = (
        f"{results['scenario']}: {results['proposals']} held-out proposals; then {results['episodes']} held-out "
        "episodes, every answer by the policy"
    )
    return command.table_of(results, title, COLUMNS)
