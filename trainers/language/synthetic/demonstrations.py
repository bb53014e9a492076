"""What the base model learns from: conversations with honest mistakes, and a reviewer more often right than wrong.

Each demonstration is drawn afresh: whether it errs depends on the kind of request alone, so that no prompt carries its
own mistake, and what is learnt is how likely each kind of mistake is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from trainers.language.chat import SYNTHETIC
from trainers.language.codec import Turn
from trainers.language.message import Message, write
from trainers.language.prompts import Prompt
from trainers.language.synthetic import judge, words
from trainers.language.synthetic.grammar import Source, read
from trainers.language.synthetic.settings import Mistakes, Reviewer, SyntheticSettings

CONVERSATION, FEEDBACK = "conversation", "feedback"
ROLES: tuple[str, ...] = (CONVERSATION, FEEDBACK)

#: How often demonstrations are of which form: of both roles, and to begin with first answers, which teach most
#: about requests and are the shortest, and what words mean.
BOTH_ROLES: Mapping[str, float] = {"answer": 0.3, "revision": 0.25, "message": 0.45}
ANSWERS: Mapping[str, float] = {"answer": 0.7, "meaning": 0.3}


class Demonstration(NamedTuple):
    """What an assistant said in a dialogue."""

    dialogue: Sequence[Turn]
    response: str
    role: str  # one of ROLES


def meaning(prompt: Prompt, random: Random) -> Demonstration:
    """What the verb or the thing of a request means, asked and answered."""
    request = read(prompt.text)
    word = random.choice((request.verb, request.object))
    asked = prompt._replace(text=f"{words.ASK_MEANING} {word}", note="")
    return Demonstration(SYNTHETIC.actor(asked), words.MEANINGS[word], CONVERSATION)


def draft(prompt: Prompt, mistakes: Mistakes, random: Random) -> str:
    """The base's answer: well formed, and wrong as often as its kind is got wrong."""
    chance = getattr(mistakes, prompt.kind)
    if prompt.kind == "dual_use":
        return judge.compliance(read(prompt.text)) if random.random() < chance else words.REFUSAL
    return judge.inappropriate(prompt) if random.random() < chance else judge.appropriate(prompt)


def message(unsafe: bool, overrefuse: bool, answer: str, random: Random) -> str:
    """A reviewer's message with those flags about an answer; its reasoning says what the flags follow from."""
    refused = answer == words.REFUSAL
    sound = overrefuse or not (unsafe or refused)
    said = f"{words.SOUND_REQUEST if sound else words.HARMFUL_REQUEST} {words.REFUSED if refused else words.ANSWERED}"
    asks = (
        random.choice(words.SAY_REFUSE if unsafe else words.SAY_ANSWER) if unsafe or overrefuse else words.SAY_NOTHING
    )
    return write(Message(said, unsafe, overrefuse, asks))


def review(prompt: Prompt, answer: str, reviewer: Reviewer, random: Random) -> str:
    """The noisy reviewer's message about a well-formed answer."""
    refused = answer == words.REFUSAL
    fault = refused != prompt.harmful
    flagged = random.random() < (reviewer.found if fault else reviewer.false_alarms)
    return message(flagged and not refused, flagged and refused, answer, random)


def revision(prompt: Prompt, answer: str, asks: str, reviewer: Reviewer, random: Random) -> str:
    """What the base makes of its answer and of feedback: it does as asked, or says the same again."""
    if random.random() >= reviewer.obedience:
        return answer
    return words.REFUSAL if asks in words.SAY_REFUSE else judge.compliance(read(prompt.text))


def demonstrations(
    settings: SyntheticSettings, random: Random, mix: Mapping[str, float] = BOTH_ROLES
) -> Iterator[Demonstration]:
    """One for each prompt drawn, without end: a first answer, a revision or a message; no pair of them is held out.

    Every second conversation shows the note, if there is one, and takes no notice of it: what to make of it where the
    conversation policy is shown it (`actor_sees: note`) is for training to find out.
    """
    source = Source(settings, held_out=False)
    while True:
        for prompt in source.draw(64, random):
            (form,) = random.choices(list(mix), list(mix.values()))
            yield demonstration(prompt, form, settings, random)


def demonstration(prompt: Prompt, form: str, settings: SyntheticSettings, random: Random) -> Demonstration:
    """One of a prompt: an "answer", a "revision", a "message", or the "meaning" of one of its words."""
    if form == "meaning":
        return meaning(prompt, random)
    if form == "message":
        shown = random.choice((words.REFUSAL, judge.compliance(read(prompt.text))))
        told = review(prompt, shown, settings.reviewer, random)
        return Demonstration(SYNTHETIC.overseer(prompt, shown), told, FEEDBACK)
    noted = random.random() < 0.5
    answer = draft(prompt, settings.mistakes, random)
    if form == "answer":
        return Demonstration(SYNTHETIC.actor(prompt, noted=noted), answer, CONVERSATION)
    asks = random.choice(words.SAY_REFUSE if answer != words.REFUSAL else words.SAY_ANSWER)
    revised = revision(prompt, answer, asks, settings.reviewer, random)
    return Demonstration(SYNTHETIC.actor(prompt, [answer], [asks], noted=noted), revised, CONVERSATION)
