"""WaltzRL in dialogues: its world, and what a run there is judged by. `trainers.waltz_config.GAMES` names it.

A run's folder holds, besides what every run leaves, model/ (the built-in base, as transformers saves it) and export/
(both policies as peft folders, see `trainers.language.export`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Generator, Tensor

from trainers import checkpoint, command, judgement, rollouts
from trainers.checkpoint import RunError, Tensors
from trainers.language import chat, sources
from trainers.language.backbone import Backbone
from trainers.language.endpoint import shared
from trainers.language.endpoint_policy import EndpointPolicy, ServedAdapters
from trainers.language.game import DialogueGame, DialogueRules
from trainers.language.judges import Item, Judge
from trainers.language.judges.pair import JudgePair
from trainers.language.message import SATISFIED
from trainers.language.policy import LanguagePolicy
from trainers.language.prompts import Prompt, Prompts
from trainers.language.served import ServedPolicy
from trainers.language.waltz_config import Config
from trainers.policies import Policy
from trainers.rollouts import Rollout
from trainers.waltz_config import load_config

__all__ = ["Config", "Trained", "World", "compare", "evaluate", "identity", "load", "table"]

ROLES = ("conversation", "feedback")
DRAW = 2**20  #: between the generators of two rows


def identity(config: Config) -> dict[str, str]:
    """What must agree for two runs to be trained in the same world: all of it is in the settings."""
    return {"model": config.model.path}


def rules_of(config: Config, backbone: Backbone, judge: Judge) -> DialogueRules:
    """The game of a run."""
    return DialogueRules(
        backbone.codec, chat.SCRIPTS[config.script_name], judge, prompt_tokens=sources.shown(config, backbone),
        noted=config.actor_sees == "note",
    )  # fmt: skip


def policy(backbone: Backbone, config: Config, role: str) -> LanguagePolicy:
    """An agent's policy: its adapter, which is made if it is not there. One adapter has both roles in self-feedback."""
    name = ROLES[0] if config.self_feedback else role
    if name not in backbone.adapters.names:
        backbone.add_adapter(name, seed=config.seed * len(ROLES) + ROLES.index(name))
    return _speaking(backbone, config, name, role)


def base(backbone: Backbone, config: Config, role: str) -> LanguagePolicy:
    """The base in a role: where training starts."""
    return _speaking(backbone, config, None, role)


def _speaking(backbone: Backbone, config: Config, adapter: str | None, role: str) -> LanguagePolicy:
    most = config.lengths.answer if role == ROLES[0] else config.lengths.message
    stop = (SATISFIED,) if config.stop_early and role == ROLES[1] else ()
    return backbone.policy(adapter, most, temperature=config.temperature, stop_strings=stop)


class World:
    """Prompts, a judge, and one base with an adapter for each policy; see `trainers.waltz.World`."""

    def __init__(self, config: Config, folder: Path | None, generator: Generator) -> None:
        self.config = config
        self.material = sources.open_(config, config.seed)
        self.backbone = sources.backbone(config, config.seed, folder)
        self.micro_batch = config.model.micro_batch
        self.importance_cap = config.importance_cap if config.rollouts is not None else None
        self.folder = folder
        rules = rules_of(config, self.backbone, self.material.judge)
        kept = sources.fitting(rules, self.material.train, config)
        self.game = DialogueGame(rules, kept, config.seed)

    def start(self) -> tuple[Policy, Policy]:
        """The base, in both roles."""
        conversation, feedback = (self._learning(role) for role in ROLES)
        return conversation, feedback

    def _learning(self, role: str) -> Policy:
        local = policy(self.backbone, self.config, role)
        if self.config.rollouts is None:
            return local
        if self.backbone.origin is None or self.folder is None:
            raise RunError("rollouts: a server needs a model that it has too: name one (model.path)")
        server = shared(self.config.rollouts)
        remote = EndpointPolicy(
            server, local.adapter, local.max_new_tokens, ends=self.backbone.codec.ends,
            temperature=local.temperature, stop_strings=local.stop_strings,
        )  # fmt: skip
        return ServedPolicy(local, remote, ServedAdapters(server), self.folder / "served")

    def describe(self) -> str:
        """What the run will need."""
        return sources.describe(self.config, self.backbone, len(self.game.items))

    def keep(self, folder: Path) -> None:
        """The built-in base, which is nowhere else; a run that was killed early has it already, and has loaded it."""
        if self.backbone.origin is None and not (folder / sources.MODEL).exists():
            self.backbone.export(folder / sources.MODEL, None)

    def state(self) -> Tensors:
        """How many prompts have been met."""
        return {"met": torch.tensor(self.game.met)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.game.met = int(tensors["met"])

    def finish(self, folder: Path, policies: Mapping[str, Policy], *, leads: bool) -> dict[str, Any]:
        """Export what was trained, and judge it beside the base."""
        if leads:
            for name in dict.fromkeys(policy.adapter for policy in policies.values()):  # type: ignore[attr-defined]
                if not (folder / "export" / name).exists():
                    self.backbone.export(folder / "export" / name, name)
        trained = Trained(
            self.config, self.backbone, rules_of(self.config, self.backbone, self.material.evaluation_judge),
            policies[ROLES[0]], policies[ROLES[1]] if self.config.overseer else None, {},
        )  # fmt: skip
        return evaluate(trained, self.material)


class Trained(NamedTuple):
    """What a run leaves; without an overseer `feedback` is None."""

    config: Config
    backbone: Backbone
    rules: DialogueRules
    conversation: Policy
    feedback: Policy | None
    identity: dict[str, str]


def load(folder: str | os.PathLike[str], which: str = "policy") -> Trained:
    """The policies of a run: "policy", as trained, "base", as training started, or "stage1", between the stages.

    Raises:
        RunError: no such file there, or a damaged one, or one of another run. ScenarioError: as for `load_config`.
    """
    config = load_config(Path(folder) / "config.yaml")
    if not isinstance(config, Config):
        raise RunError(f"{folder}: was trained in the {config.game} game, not in dialogues")
    kept = checkpoint.read(Path(folder) / f"{which}.safetensors")
    said = kept.state.get("identity") if isinstance(kept.state, dict) else None
    if not isinstance(said, dict) or said.get("trainer") != "waltz" or said.get("config") != config.fingerprint:
        raise RunError(f"{folder}: {which}.safetensors is not what 'swarm train waltz' wrote for this config.yaml")
    backbone = sources.backbone(config, config.seed, Path(folder))
    policies = {role: policy(backbone, config, role) for role in ROLES}
    for role, one in policies.items():
        one.load_state_dict(checkpoint.part(kept.tensors, f"{role}."))
    rules = rules_of(config, backbone, sources.open_(config, config.seed).evaluation_judge)
    second = policies[ROLES[1]] if config.overseer else None
    return Trained(config, backbone, rules, policies[ROLES[0]], second, said)


def compare(
    rules: DialogueRules, prompts: Sequence[Prompt], conversation: Policy, feedback: Policy | None, t_max: int,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    """How a pair, or a conversation policy alone, does on prompts: WaltzRL's columns. Undefined is NaN.

    Returns:
        See `scores`.
    """
    contexts = rules.prompts(prompts)
    return scores(rules, contexts, play(rules, contexts, conversation, feedback, t_max, seed))


def play(
    rules: DialogueRules, contexts: Prompts, conversation: Policy, feedback: Policy | None, t_max: int, seed: int
) -> Rollout:
    """One collaboration on each prompt."""
    return rollouts.play(rules, contexts, conversation, feedback, t_max, Generator().manual_seed(seed))


def scores(rules: DialogueRules, contexts: Prompts, played: Rollout) -> dict[str, float]:
    """What collaborations came to.

    Returns:
        asr, orr, f1, accuracy, wrong_<kind> (`judgement.outcome`); with an overseer trigger_<kind>, label_accuracy,
        well_formed, improved, worsened (`judgement.overseer`); judge_errors: share of prompts about whose answers the
        judge could not tell, which count as unsafe; and where prompts are of several sources, asr@<source> and
        orr@<source>.
    """
    kinds = rules.kinds(contexts)
    out = judgement.outcome(played.final_labels, kinds)
    if played.messages:
        out |= judgement.overseer(played, kinds)
    out |= {"prompts": float(len(contexts)), "judge_errors": judgement.share(~played.known, kinds["any"])}
    origins = [prompt.source for prompt in contexts.items]
    for source in sorted(set(origins)) if len(set(origins)) > 1 else ():
        here = torch.tensor([one == source for one in origins])
        out[f"asr@{source}"] = judgement.share(played.final_labels.unsafe, kinds["harmful"] & here)
        out[f"orr@{source}"] = judgement.share(played.final_labels.overrefuse, kinds["sound"] & here)
    return out


def evaluate(trained: Trained, material: sources.Material) -> dict[str, Any]:
    """The base, alone and as an untrained pair, and the trained policies, alone and as a pair, on held-out prompts.

    Where the evaluation's judge is not the rewards', "judges" says how far they differ on the last one's answers
    (`trainers.language.judges.pair.disagreement`; the rewards' is the first).
    """
    config, rules = trained.config, trained.rules
    found: dict[str, Any] = {"game": "language", "scenario": "dialogue", "model": config.model.path, "policies": []}
    prompts = sources.drawn(sources.fitting(rules, material.held_out, config), config.eval_prompts, config.seed)
    if not prompts:
        return found
    contexts = rules.prompts(prompts)
    first, second = (base(trained.backbone, config, role) for role in ROLES)
    rows: dict[str, tuple[Policy, Policy | None]] = {"base": (first, None)}
    if trained.feedback is not None:
        rows |= {"base, untrained overseer": (first, second), "trained, alone": (trained.conversation, None)}
    rows |= {"trained": (trained.conversation, trained.feedback)}
    for number, (name, (conversation, feedback)) in enumerate(rows.items()):
        played = play(rules, contexts, conversation, feedback, config.t_max, config.seed + (number + 1) * DRAW)
        found["policies"].append({"policy": name, **_plain(scores(rules, contexts, played))})
    if material.judge is not material.evaluation_judge:
        items = [Item(*one) for one in zip(prompts, rules.codec.texts(played.final), strict=True)]
        found["judges"] = _plain(JudgePair(material.judge, material.evaluation_judge).compare(items))
    return found | {"episodes": len(prompts)}


def _plain(row: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON: undefined is null."""
    return {key: None if math.isnan(value) else value for key, value in row.items()}


#: Columns of the table at the end.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("ASR", "asr", 3), ("ORR", "orr", 3), ("F1", "f1", 3), ("trigger: harmful", "trigger_harmful", 2),
    ("sensitive", "trigger_sensitive", 2), ("plain", "trigger_plain", 2), ("dual use", "trigger_dual_use", 2),
    ("label acc.", "label_accuracy", 2), ("well formed", "well_formed", 2), ("judge errors", "judge_errors", 2),
)  # fmt: skip


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    return command.table_of(results, f"{results['model']}: {results.get('episodes', 0)} held-out prompts", COLUMNS)
