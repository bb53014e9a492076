"""Requests: what can be asked, what of it does harm, and which of it is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from trainers.language.prompts import HARMFUL, Prompt
from trainers.language.synthetic import words
from trainers.language.synthetic.settings import SyntheticSettings

SOURCE = "synthetic"  #: of prompts


class Request(NamedTuple):
    """What a prompt's text asks for."""

    openings: tuple[str, ...]
    verb: str
    owner: str
    object: str

    @property
    def text(self) -> str:
        """As the user puts it."""
        return " ".join([*self.openings, words.ASK, self.verb, self.owner, self.object])


@lru_cache(maxsize=65_536)
def read(text: str) -> Request:
    """The request that a text makes. ValueError: it makes none."""
    openings, rest = [], text
    while not rest.startswith(f"{words.ASK} "):
        opening = next((o for o in words.OPENINGS if rest.startswith(f"{o} ")), None)
        if opening is None:
            raise ValueError(f"not a request of the synthetic language: {text[:200]!r}")
        openings.append(opening)
        rest = rest[len(opening) + 1 :]
    asked = rest[len(words.ASK) + 1 :].split(" ")
    if len(asked) != 3 or asked[0] not in words.VERBS or asked[1] not in words.OWNERS or asked[2] not in words.OBJECTS:
        raise ValueError(f"not a request of the synthetic language: {text[:200]!r}")
    return Request(tuple(openings), *asked)


def harm(request: Request, note: str = "") -> bool:
    """Whether it does harm to do what is asked; the truth that every prompt's label is.

    Args:
        note: of requests about a guarded thing whose owner is left open.
    """
    if request.verb not in words.RISKY or request.object in words.HARMLESS:
        return False
    if request.object in words.PEOPLE:
        return True
    return request.owner == words.THEIRS or (request.owner == words.OPEN and note == words.OBJECTS_TO_IT)


def held_out(verb: str, thing: str, share: float) -> bool:
    """Whether a pair of verb and object is kept from training; a function of the two words alone."""
    digest = hashlib.sha256(f"{verb} {thing}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def pairs(verbs: Sequence[str], things: Sequence[str], share: float, wanted: bool) -> list[tuple[str, str]]:
    """Those (verb, object) that are held out, or those that are not. ValueError: there are none."""
    found = [(verb, thing) for verb in verbs for thing in things if held_out(verb, thing, share) == wanted]
    if not found:
        which = "held out" if wanted else "left to train on"
        raise ValueError(
            f"held_out_pairs = {share}: no pair of {len(verbs)} verbs and {len(things)} things is {which}; take a "
            "share nearer to 0.2, or more words"
        )
    return found


class Source:
    """Draws prompts whose pairs are held out, or prompts whose pairs are not."""

    def __init__(self, settings: SyntheticSettings, *, held_out: bool) -> None:
        self.settings = settings
        people, harmless, guarded = (each[: settings.things] for each in (words.PEOPLE, words.HARMLESS, words.GUARDED))

        def among(verbs: Sequence[str], things: Sequence[str]) -> list[tuple[str, str]]:
            return pairs(verbs[: settings.verbs], things, settings.held_out_pairs, held_out)

        self.plain = among(words.ORDINARY, people + harmless + guarded)
        self.people, self.harmless, self.guarded = (among(words.RISKY, each) for each in (people, harmless, guarded))

    def draw(self, count: int, random: Random) -> list[Prompt]:
        """That many prompts; kinds as often as the settings say."""
        shares = self.settings.shares.model_dump()
        whole, rest = sum(shares.values()), 1.0 - self.settings.dual_use
        weights = {kind: rest * share / whole for kind, share in shares.items()} | {"dual_use": self.settings.dual_use}
        kinds = random.choices(list(weights), list(weights.values()), k=count)
        return [self.prompt(kind, random, str(k)) for k, kind in enumerate(kinds)]

    def prompt(self, kind: str, random: Random, name: str = "") -> Prompt:
        """One of a kind."""
        if kind == "dual_use":
            request = Request((), *self._asked(self.guarded, (words.OPEN,), random))
            note = random.choice(words.NOTES)
            return Prompt(request.text, kind, harm(request, note), SOURCE, name, note)
        if kind == "benign":
            request = Request((), *self._asked(self.plain, words.OWNERS, random))
        elif kind == "benign_sensitive":
            request = self._sensitive(random)
        else:
            request = self._harmful(random)
            if kind == "adversarial_harmful":
                request = request._replace(openings=self._openings(random))
        return Prompt(request.text, kind, kind in HARMFUL, SOURCE, name)

    def _harmful(self, random: Random) -> Request:
        """Harm to people, or (ambiguous but for the owner) to what is guarded."""
        if random.random() < 0.5:
            return Request((), *self._asked(self.people, words.OWNERS, random))
        return Request((), *self._asked(self.guarded, (words.THEIRS,), random))

    def _sensitive(self, random: Random) -> Request:
        """A risky verb and a harmless thing or one's own, or a disguise with nothing behind it."""
        if random.random() < self.settings.openings:
            from_any = random.random() < 0.5
            request = self._risky(random) if from_any else Request((), *self._asked(self.plain, words.OWNERS, random))
            return request._replace(openings=self._openings(random))
        return self._risky(random)

    def _risky(self, random: Random) -> Request:
        if random.random() < 0.5:
            return Request((), *self._asked(self.harmless, words.OWNERS, random))
        return Request((), *self._asked(self.guarded, (words.MINE,), random))

    def _asked(self, among: list[tuple[str, str]], owners: tuple[str, ...], random: Random) -> tuple[str, str, str]:
        verb, thing = random.choice(among)
        return verb, random.choice(owners), thing

    def _openings(self, random: Random) -> tuple[str, ...]:
        """One or two, each once."""
        return tuple(random.sample(words.OPENINGS, random.randint(1, 2)))
