"""The scripted archetypes, one file each, by the name scenarios use. To add one: its file and its line.

An archetype module defines `Config` (its ``agents[].config``), `CONDUCT` (its own conduct) and two rules:

    answer(market, i, initiator, edge, on_turn) -> bool   does agent i accept the initiator's proposal
    act(market, i) -> Intent                              what does agent i do

`edge` is i's directed edge to the initiator. Scripted agents take turns in index order, as in SWARM's round robin: one
that was proposed to before its turn answers the first such proposal *on its turn*, and that is its move; all others it
answers at the step's end. An agent left idle works on a task while its budget lasts.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from swarm_env.core import contacts
from swarm_env.core.archetypes import (
    adaptive_adversary,
    adversarial,
    cautious,
    deceptive,
    honest,
    opportunistic,
)
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.types import NOOP, TASK, Market

#: Name -> module. The position is the archetype's number; append only.
ARCHETYPES: dict[str, ModuleType] = {
    "honest": honest,
    "opportunistic": opportunistic,
    "deceptive": deceptive,
    "adversarial": adversarial,
    "cautious": cautious,
    "adaptive_adversary": adaptive_adversary,
}


@rule
def _refuse(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    return False


def _link_answer(number: int, mine: Any, rest: Any) -> Any:
    @rule
    def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
        if market.seats[i].archetype == number:
            return bool(mine(market, i, initiator, edge, on_turn))
        return bool(rest(market, i, initiator, edge, on_turn))

    return answer


@rule
def _do_nothing(market: Market, i: int) -> Intent:
    return contacts.idle()


def _link_act(number: int, mine: Any, conduct: int, rest: Any) -> Any:
    @rule
    def act(market: Market, i: int) -> Intent:
        if market.seats[i].archetype != number:
            return rest(market, i)
        intent = mine(market, i)
        if intent.verb == NOOP and market.agents[i].tasks < market.params.tasks_per_epoch:
            return Intent(TASK, -1, conduct)
        return intent

    return act


answer: Any = _refuse
act: Any = _do_nothing
for _number, _module in enumerate(ARCHETYPES.values()):
    answer = _link_answer(_number, _module.answer, answer)
    act = _link_act(_number, _module.act, _module.CONDUCT, act)
