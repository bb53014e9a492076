"""A language that needs no download: requests by a small grammar, an exact judge, a small Llama warm-started here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from trainers.language.prompts import Prompt
from trainers.language.synthetic.grammar import Source
from trainers.language.synthetic.judge import ExactJudge
from trainers.language.synthetic.settings import SyntheticSettings
from trainers.language.synthetic.tokenizer import build

__all__ = ["Language", "SyntheticSettings", "language", "warm_started"]


@dataclass(frozen=True)
class Language:
    """Requests to train on and to evaluate on, which share no pair of verb and object, their judge, their tokenizer."""

    train: list[Prompt]
    held_out: list[Prompt]
    judge: ExactJudge
    tokenizer: Any  # transformers.PreTrainedTokenizerFast


def language(settings: SyntheticSettings, seed: int) -> Language:
    """The language of a seed.

    Raises:
        ValueError: `held_out_pairs` leaves no pair of some kind on one side.
        ImportError: transformers is not installed.
    """
    train = Source(settings, held_out=False).draw(settings.train, Random(f"{seed} train"))
    held_out = Source(settings, held_out=True).draw(settings.held_out, Random(f"{seed} held out"))
    return Language(train, held_out, ExactJudge(), build())


def warm_started(
    language: Language, settings: SyntheticSettings, seed: int, report: Callable[[str], None] = lambda line: None
) -> Any:
    """The base model, a transformers.LlamaForCausalLM: both roles learnt from demonstrations, see `model.warm_start`.

    The same on every call with the same arguments, on one CPU thread.
    """
    from trainers.language.synthetic import model

    return model.warm_start(language.tokenizer, language.held_out, settings, seed, report)
