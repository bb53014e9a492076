"""The levers in their order, in plain sight. To add one: write its file, add its line to LEVERS.

A lever may define any of these rules; what it leaves out has no effect.

    may_act(params, agent) -> bool            may the agent act at all
    vote_weight(params, agent) -> float       factor on the weight of its vote
    on_interaction(market, i, deal) -> Effect an interaction that agent i initiated is being settled
    on_sanction(params, agent) -> Effect      the agent failed an audit or tripped the breaker
    remember(market, i, deal)                 the interaction is settled, its costs are known
    assess(market)                            epoch start: score everybody (writes its own memory)
    epoch_start(market, i) -> Effect          epoch start, for agent i

Levers see the interaction, `deal` (a `terms.Terms`), as it was before any lever charged for it; effects add up
(`effect.add`). A lever writes nothing but its own memory, and that only in `remember` and `assess`. One that says
`CHARGES = True` has its costs in a column of infos.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, add, nothing
from swarm_env.core.levers import (
    audit,
    bandwidth,
    circuit_breaker,
    collusion,
    reputation_decay,
    security,
    staking,
    transaction_tax,
    vote_normalization,
)
from swarm_env.core.sizes import agents_in, is_watched
from swarm_env.core.types import Market

#: Name -> module with `Config` and any of the rules above. The order is the order in which they act.
LEVERS: dict[str, ModuleType] = {
    "reputation_decay": reputation_decay,
    "vote_normalization": vote_normalization,
    "bandwidth": bandwidth,
    "staking": staking,
    "transaction_tax": transaction_tax,
    "audit": audit,
    "circuit_breaker": circuit_breaker,
    "collusion": collusion,
    "security": security,
}


def _rules(hook: str) -> list[tuple[int, Any]]:
    """(position, rule) of every lever that defines the hook, in order."""
    levers = enumerate(LEVERS.values())
    return [(k, getattr(lever, hook)) for k, lever in levers if hasattr(lever, hook)]


def _chain(hook: str, end: Any, link: Callable[[int, Any, Any], Any]) -> Any:
    """One compiled rule that calls every lever's hook in order: link(position, lever's rule, rest of the chain)."""
    chain = end
    for k, lever_rule in reversed(_rules(hook)):
        chain = link(k, lever_rule, chain)
    return chain


@rule
def _yes(params: Any, agent: Any) -> bool:
    return True


def _link_may_act(k: int, first: Any, rest: Any) -> Any:
    @rule
    def may_act(params: Any, agent: Any) -> bool:
        return bool(first(params, agent) & rest(params, agent))  # no branch, see `picks`

    return may_act


@rule
def _one(params: Any, agent: Any) -> float:
    return 1.0


def _link_vote_weight(k: int, first: Any, rest: Any) -> Any:
    @rule
    def vote_weight(params: Any, agent: Any) -> float:
        return float(first(params, agent) * rest(params, agent))

    return vote_weight


@rule
def _no_sanction(params: Any, agent: Any) -> Effect:
    return nothing()


def _link_on_sanction(k: int, first: Any, rest: Any) -> Any:
    @rule
    def on_sanction(params: Any, agent: Any) -> Effect:
        return add(first(params, agent), rest(params, agent))

    return on_sanction


@rule
def _total(market: Market, i: int, deal: Any, total: Effect) -> Effect:
    return total


def _link_on_interaction(k: int, first: Any, rest: Any) -> Any:
    @rule
    def on_interaction(market: Market, i: int, deal: Any, total: Effect) -> Effect:
        effect = first(market, i, deal)
        total = rest(market, i, deal, add(total, effect))
        if is_watched(market):  # what each lever cost whom: the breakdown in infos and in the log
            costs = market.deals[i].costs
            costs[k, 0], costs[k, 1] = effect.c_a, effect.c_b
        return total

    return on_interaction


@rule
def _end(market: Market, i: int, deal: Any) -> None:
    return


def _link_remember(k: int, first: Any, rest: Any) -> Any:
    @rule
    def remember(market: Market, i: int, deal: Any) -> None:
        first(market, i, deal)
        rest(market, i, deal)

    return remember


def epoch_rules(apply: Callable[..., None]) -> Any:
    """Epoch start of all levers in order: each assesses, then its effect on every agent goes to `apply`.

    Args:
        apply: rule (market, i, effect) -> None, the writer that `step` passes.
    """

    @rule
    def end(market: Market) -> None:
        return

    chain: Any = end
    for lever in reversed(LEVERS.values()):
        if hasattr(lever, "epoch_start"):
            chain = _link_epoch(getattr(lever, "assess", _no_assessment), lever.epoch_start, apply, chain)
    return chain


@rule
def _no_assessment(market: Market) -> None:
    return


def _link_epoch(assess: Any, epoch_start: Any, apply: Any, rest: Any) -> Any:
    @rule
    def epoch(market: Market) -> None:
        assess(market)
        for i in range(agents_in(market)):
            apply(market, i, epoch_start(market, i))
        rest(market)

    return epoch


may_act = _chain("may_act", _yes, _link_may_act)
vote_weight = _chain("vote_weight", _one, _link_vote_weight)
on_sanction = _chain("on_sanction", _no_sanction, _link_on_sanction)
on_interaction = _chain("on_interaction", _total, _link_on_interaction)
remember = _chain("remember", _end, _link_remember)
