"""MACPO's prompts: two halves and some to judge by, from the built-in language or from tables of preferences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from torch import Tensor

from trainers.checkpoint import RunError
from trainers.language import data
from trainers.language.backbone import BUILTIN
from trainers.language.chat import SYNTHETIC
from trainers.language.codec import Turn
from trainers.language.data import Preference
from trainers.language.macpo_config import Config
from trainers.language.prompts import Prompt
from trainers.language.synthetic import Language, SyntheticSettings, language
from trainers.language.synthetic.judge import appropriate, inappropriate


class Asked(NamedTuple):
    """A prompt, and two answers of which people, or the truth, prefer the first; "" where nobody has said."""

    prompt: Prompt
    turns: list[Turn]
    chosen: str
    rejected: str
    labelled: bool  # whether prompt.harmful is known
    noted: list[Turn] | None = None  # what teachers are shown, where that is more

    def shown(self, agent: str) -> list[Turn]:
        """The dialogue that an agent (student, teacher_1, ...) is to go on with."""
        return self.turns if self.noted is None or agent == "student" else self.noted


@dataclass(frozen=True)
class Rows:
    """MACPO's contexts: rows of a pool."""

    index: Tensor  # int64 (n,)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Tensor) -> Self:
        """Those rows, by a tensor of indices or of booleans."""
        return type(self)(self.index[rows])


class Pool(NamedTuple):
    """All prompts of a run: `train` to learn from, then those held out."""

    items: list[Asked]
    train: int

    def at(self, contexts: Rows) -> list[Asked]:
        """Those of contexts."""
        return [self.items[k] for k in contexts.index.tolist()]

    @property
    def digest(self) -> str:
        """SHA-256 (16 hex digits) over what is asked and preferred."""
        said = hashlib.sha256()
        for item in self.items:
            said.update(repr((item.turns, item.chosen, item.rejected)).encode())  # data have no notes
        return said.hexdigest()[:16]


def needed(config: Config) -> int:
    """Prompts to learn from: two halves, and as many again for each round with contexts of its own."""
    return config.contexts * (2 + (config.rounds if config.fresh_contexts else 0))


def speech(config: Config) -> SyntheticSettings:
    """The built-in language as a configuration has it."""
    own = config.builtin
    return SyntheticSettings(
        dual_use=own.dual_use, shares=own.shares, verbs=own.verbs, things=own.things, openings=own.openings,
        held_out_pairs=own.held_out_pairs, train=needed(config), held_out=config.held_out,
    )  # fmt: skip


def built_in(config: Config) -> tuple[Pool, Language]:
    """Of the language that needs no download."""
    spoken = language(speech(config), config.seed)
    items = [
        Asked(
            prompt,
            SYNTHETIC.actor(prompt),
            appropriate(prompt),
            inappropriate(prompt),
            labelled=True,
            noted=SYNTHETIC.actor(prompt, noted=True),
        )
        for prompt in (*spoken.train, *spoken.held_out)
    ]
    return Pool(items, len(spoken.train)), spoken


def from_tables(config: Config, fits: Callable[[Sequence[Turn]], bool], say: data.loading.Say) -> Pool:
    """Of data: preferences to learn from; prompts or preferences to judge by, else the last of those.

    Args:
        fits: whether every agent can read a dialogue.

    Raises:
        RunError: too few of them. DataError: tables that cannot be read.
    """
    loaded = data.load(config.data, say)
    train = _readable([_preferred(record) for record in loaded.preferences], fits, say, "train")
    count = needed(config)
    held_out = [_asked(record) for records in loaded.evaluation.values() for record in records]
    held_out = _readable(held_out, fits, say, "evaluation")[: config.held_out] if held_out else train[count:]
    if len(train) < count or len(held_out) < 4:
        raise RunError(
            f"data: {len(train)} preferences and {len(held_out)} to judge by are left; needed are {count} and at least "
            "4 (data.evaluation, or more in data.train): lower `contexts`, or raise `max_prompt_tokens`"
        )
    return Pool([*train[:count], *held_out[: config.held_out]], count)


def _readable(
    items: list[Asked], fits: Callable[[Sequence[Turn]], bool], say: Callable[[str], None], name: str
) -> list[Asked]:
    kept = [item for item in items if fits(item.turns)]
    if len(kept) < len(items):
        say(f"data.{name}: {len(items) - len(kept)} of {len(items)} prompts are too long and left out")
    return kept


def _preferred(record: Preference) -> Asked:
    prompt = Prompt(record.prompt, "", False, record.source, record.id)
    return Asked(prompt, data.dialogue(record.prompt), record.chosen, record.rejected, labelled=False)


def _asked(record: Prompt | Preference) -> Asked:
    if isinstance(record, Preference):
        return _preferred(record)
    return Asked(record, [Turn("user", record.text)], "", "", labelled=True)


def is_built_in(config: Config) -> bool:
    """Whether models are made here."""
    return config.model.path == BUILTIN


def speaks_built_in(config: Config) -> bool:
    """Whether requests are those of the built-in language, whoever answers them."""
    return not config.data.train
