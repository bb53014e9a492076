"""Where a dialogue run's parts come from: prompts, judges and the base model, built in or from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.language import data
from trainers.language.backbone import BUILTIN, Backbone, ModelSettings
from trainers.language.game import DialogueRules
from trainers.language.judges import Judge
from trainers.language.judges.registry import JudgeSettings, make_judge
from trainers.language.loading import load_model, load_tokenizer
from trainers.language.memory import estimate
from trainers.language.prompts import Prompt
from trainers.language.synthetic import SyntheticSettings, language, warm_started

MODEL = "model"  #: folder of a run that holds the built-in base


class Wanted(Protocol):
    """Settings of any trainer in dialogues."""

    @property
    def model(self) -> ModelSettings:
        """The base."""
        ...

    @property
    def synthetic(self) -> SyntheticSettings:
        """The built-in language."""
        ...


class Material(NamedTuple):
    """What is asked, and who judges what is answered."""

    train: Sequence[Prompt]
    held_out: Sequence[Prompt]
    judge: Judge
    evaluation_judge: Judge


def say(line: str) -> None:
    """Tell whoever watches."""
    print(line, file=sys.stderr)


def open_(config: Any, seed: int) -> Material:
    """Prompts and judges of a configuration.

    Raises:
        DataError: data that cannot be read. RunError: a judge that cannot be had, or data without prompts.
    """
    exact: Judge | None = None
    if config.data.train or config.data.evaluation:
        loaded = data.load(config.data, say=say)
        train: Sequence[Prompt] = loaded.prompts
        held_out = [one for records in loaded.evaluation.values() for one in records if isinstance(one, Prompt)]
        if not train:
            raise RunError("data.train: holds no prompts to train on (preferences are for swarm train macpo)")
    else:
        found = language(config.synthetic, seed)
        train, held_out, exact = found.train, found.held_out, found.judge
    judge = _judge(config.judge, exact)
    other = config.evaluation_judge
    return Material(train, held_out, judge, judge if other is None else _judge(other, exact))


def _judge(settings: JudgeSettings | None, exact: Judge | None) -> Judge:
    if settings is not None:
        return make_judge(settings)
    if exact is None:
        raise RunError("judge: null judges the built-in language alone; name one, as in judge.kind: qwen3guard")
    return exact


def backbone(config: Wanted, seed: int, folder: Path | None = None) -> Backbone:
    """The base: as a run kept it, or warm-started in the built-in language, or from where the settings say.

    Raises:
        RunError: it cannot be had; a warm start that does not speak the language.
    """
    if config.model.path != BUILTIN:
        return Backbone.load(config.model)
    if folder is not None and (folder / MODEL).is_dir():
        there = config.model.model_copy(update={"path": str(folder / MODEL)})
        return Backbone.of(load_model(there), load_tokenizer(there), config.model)
    found = language(config.synthetic, seed)
    return Backbone.of(warm_started(found, config.synthetic, seed, say), found.tokenizer, config.model)


def shown(config: Any, backbone: Backbone) -> int:
    """The most tokens that a policy is shown; where that is not set, no more than leaves the model room to speak.

    Raises:
        RunError: the model has no room for what is set.
    """
    most, longest = backbone.positions, max(config.lengths[1:])
    prompt: int = config.lengths.prompt
    if most is not None and config.prompt_tokens is None:
        prompt = min(prompt, most - longest)
    if prompt < 1:
        raise RunError(f"answer_tokens, message_tokens: up to {longest}, and the model has {most} positions in all")
    backbone.check_length(prompt + longest)
    return prompt


def fitting(rules: DialogueRules, prompts: Sequence[Prompt], config: Any) -> list[Prompt]:
    """Prompts that leave room for what policies say; how many do not is said.

    Raises:
        RunError: none does.
    """
    rounds = config.t_max if config.overseer else 0
    _, answer, message = config.lengths
    talk = answer + rounds * (answer + message)
    room = min(talk, rules.prompt_tokens // 2)
    kept = list(prompts)
    if not rules.fits(kept, room):
        kept = [one for one in kept if rules.fits([one], room)]
        said = f"{len(prompts) - len(kept)} of {len(prompts)} prompts leave no room for {room} tokens of dialogue"
        if not kept:
            raise RunError(f"prompt_tokens: {said}; raise prompt_tokens, which is {rules.prompt_tokens}")
        say(f"{said}: left out")
    return kept


def drawn(prompts: Sequence[Prompt], count: int, seed: int) -> list[Prompt]:
    """`count` of the prompts at most, any as likely as the next, in their order."""
    if count >= len(prompts):
        return list(prompts)
    return [prompts[k] for k in sorted(Random(seed).sample(range(len(prompts)), count))]


def describe(config: Any, backbone: Backbone, prompts: int) -> str:
    """What a run is about to use, and what it will need of memory."""
    longest = max(config.lengths[1:])
    agents = 1 if config.self_feedback or not config.overseer else 2
    need = estimate(
        backbone.model, config.model, prompt_tokens=shown(config, backbone), new_tokens=longest, learners=agents,
        processes=distributed.world(),
    )  # fmt: skip
    return f"{prompts} prompts to train on; {config.model.path} on {backbone.device}, memory:\n{need}"
