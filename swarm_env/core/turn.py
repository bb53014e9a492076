"""Turn: at the last step of an epoch, close it; unless the episode is over, open the next and let the levers at it."""

from __future__ import annotations

from swarm_env.core import governance
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import is_frozen
from swarm_env.core.effect import Effect
from swarm_env.core.respond import penalise
from swarm_env.core.types import Market, seen


@rule
def turn(market: Market) -> None:
    """Count the step; turn the epoch if it is over."""
    row, params = market.row, market.params
    row.step += 1
    if row.step % params.steps_per_epoch != 0:
        return
    for i in range(len(market.agents)):
        _close(market, i)
    _fade_network(market)
    if row.step < params.n_epochs * params.steps_per_epoch:
        row.epoch += 1
        for i in range(len(market.agents)):
            _open(market, i)
        _apply_levers(market)


@rule
def _close(market: Market, i: int) -> None:
    agent, outcome, epoch = market.agents[i], seen(market.outcomes, i), market.row.epoch
    outcome.close_reputation, outcome.close_resources = agent.reputation, agent.resources
    outcome.close_frozen = is_frozen(agent, epoch)
    outcome.close_quarantined = epoch < agent.quarantined_until
    agent.visibility *= 0.5


@rule
def _fade_network(market: Market) -> None:
    """Contacts fade and break; agents in disrepute lose theirs."""
    params = market.params
    cut = params.reputation_disconnect_threshold > -1.0  # no reputation is lower
    for i in range(len(market.agents) if cut or params.dynamic else 0):
        for k in range(market.seats[i].start, market.seats[i].stop):
            contact = market.contacts[k]
            if params.dynamic:
                contact.weight *= 1.0 - params.edge_decay_rate
                if contact.weight < params.min_edge_weight:
                    contact.weight = 0.0
            if cut:
                least = min(market.agents[i].reputation, market.agents[market.edges[k].peer].reputation)
                if least < params.reputation_disconnect_threshold:
                    contact.weight = 0.0


@rule
def _open(market: Market, i: int) -> None:
    agent, epoch = market.agents[i], market.row.epoch
    agent.posts, agent.votes, agent.tasks, agent.actions = 0, 0, 0, 0
    seen(market.outcomes, i).released = is_frozen(agent, epoch - 1) and not is_frozen(agent, epoch)


@rule
def _apply(market: Market, i: int, effect: Effect) -> None:
    """Write what a lever's epoch rule asks for."""
    agent, book, epoch = market.agents[i], market.books[i], market.row.epoch
    if effect.reputation != 0.0 or effect.resources != 0.0:
        penalise(market, i, effect)
    if effect.pardon > 0:
        book.violations, agent.frozen_until = 0, 0
    if effect.quarantine > 0:
        outcome = seen(market.outcomes, i)
        outcome.quarantined, outcome.released = epoch >= agent.quarantined_until, False
        agent.quarantined_until = epoch + effect.quarantine
        book.judged, book.lapsed = market.row.step, book.initiated


_apply_levers = governance.epoch_rules(_apply)
