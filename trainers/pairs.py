"""What WaltzRL leaves: a pair of policies, loaded from its run, and judged in held-out markets that it governs."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from torch import Generator

import swarm_env
from swarm_env import Scenario
from trainers import checkpoint, command, governed
from trainers.checkpoint import RunError
from trainers.games.market import MarketRules, populations
from trainers.policies import MLPPolicy, Policy
from trainers.waltz_config import Config, load_config


class Trained(NamedTuple):
    """What a run leaves; without an overseer `feedback` is None."""

    config: Config
    rules: MarketRules
    conversation: Policy
    feedback: Policy | None
    identity: dict[str, str]

    def decider(self, seed: int) -> governed.Decider:
        """The policies as who decides in a market."""
        generator = Generator().manual_seed(seed)
        return governed.pair(self.rules, self.conversation, self.feedback, self.config.t_max, generator)


def load(folder: str | os.PathLike[str], which: str = "policy") -> Trained:
    """The policies of a run: "policy", as trained, "base", as training started, or "stage1", between the stages.

    Raises:
        RunError: no such file there, or a damaged one, or one of another run. ScenarioError: as for `load_config`.
    """
    config = load_config(Path(folder) / "config.yaml")
    if not isinstance(config, Config):
        raise RunError(
            f"{folder}: was trained in the {config.game} game and governs no market; see its evaluation.json"
        )
    kept = checkpoint.read(Path(folder) / f"{which}.safetensors")
    said = kept.state.get("identity") if isinstance(kept.state, dict) else None
    if not isinstance(said, dict) or said.get("trainer") != "waltz" or said.get("config") != config.fingerprint:
        raise RunError(f"{folder}: {which}.safetensors is not what 'swarm train waltz' wrote for this config.yaml")
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    rules = MarketRules(scenario.market.safety_threshold, config.actor_sees)
    for name, inputs in (("conversation", rules.actor_inputs), ("feedback", rules.overseer_inputs)):
        found = _inputs(checkpoint.part(kept.tensors, f"{name}."))
        if found not in (None, inputs):
            raise RunError(
                f"{folder}: {which}.safetensors has another layout: its {name} policy has {found} inputs, here there "
                f"are {inputs} (swarm_env.oversight's VIEW and RECORD, and the talk)"
            )
    unset = Generator()
    conversation = MLPPolicy(rules.actor_inputs, rules.answer_tokens, config.hidden, unset)
    feedback = MLPPolicy(rules.overseer_inputs, rules.message_tokens, config.hidden, unset)
    try:
        conversation.load_state_dict(checkpoint.part(kept.tensors, "conversation."))
        feedback.load_state_dict(checkpoint.part(kept.tensors, "feedback."))
    except RuntimeError as error:
        raise RunError(f"{folder}: {which}.safetensors does not fit config.yaml") from error
    return Trained(config, rules, conversation, feedback if config.overseer else None, said)


def _inputs(weights: checkpoint.Tensors) -> int | None:
    """Of a policy; None if its first layer is not there."""
    first = weights.get("trunk.0.weight", weights.get("heads.weight"))
    return None if first is None or first.dim() != 2 else first.shape[1]


def evaluate(folder: Path, config: Config) -> dict[str, Any]:
    """Base alone, the untrained pair and the trained policies of a run, each governing the same held-out markets."""
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    if not config.eval_episodes:
        return {"game": "market", "scenario": scenario.scenario_id, "policies": []}
    base, trained = load(folder, "base"), load(folder)
    rows = {"base": base._replace(feedback=None)}
    if config.overseer:
        rows |= {"base, untrained overseer": base}
    rows |= {"trained": trained}
    mixed = held_out(scenario, config)
    policies = []
    for name, policies_of in rows.items():
        found = governed.govern(mixed, policies_of.rules, policies_of.decider(config.seed), config.eval_episodes)
        policies.append({"policy": name, **{key: None if math.isnan(x) else x for key, x in found.items()}})
    return {
        "game": "market", "scenario": scenario.scenario_id, "first_seed": governed.HELD_OUT,
        "episodes": config.eval_episodes, "policies": policies,
    }  # fmt: skip


def held_out(scenario: Scenario, config: Config) -> list[Scenario]:
    """Populations drawn as training's are, from draws that no training makes."""
    return populations(scenario, config.populations, config.population_spread, governed.HELD_OUT)


#: Columns of the table at the end.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("ASR", "asr", 3), ("ORR", "orr", 3), ("F1", "f1", 3), ("trigger: harmful", "trigger_harmful", 2),
    ("sensitive", "trigger_sensitive", 2), ("plain", "trigger_plain", 2), ("label acc.", "label_accuracy_any", 2),
    ("toxicity", "toxicity_rate", 3), ("quality gap", "quality_gap", 3), ("welfare", "total_welfare", 0),
)  # fmt: skip


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    title = f"{results['scenario']}: {results['episodes']} held-out episodes, every answer by the policy"
    return command.table_of(results, title, COLUMNS)
