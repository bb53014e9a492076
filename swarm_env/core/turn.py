"""Turn: at the last step of an epoch, close it; unless the episode is over, open the next and let the levers at it."""

from __future__ import annotations

from swarm_env.core import governance
from swarm_env.core.compiled import natural, rule
from swarm_env.core.contacts import is_frozen
from swarm_env.core.effect import Effect
from swarm_env.core.prefetch import ask_for_epoch, ask_for_forgotten
from swarm_env.core.respond import penalise
from swarm_env.core.sizes import agents_in, contacts_of, is_watched
from swarm_env.core.types import Market


@rule
def turn(market: Market) -> None:
    """Count the step; turn the epoch if it is over."""
    row, params = market.row, market.params
    ask_for_forgotten(market)
    row.step += 1
    if row.step != (row.epoch + 1) * params.steps_per_epoch:  # a division is dear
        return
    ask_for_epoch(market)
    for i in range(agents_in(market)):
        _close(market, i)
    _fade_network(market)
    if row.step < params.n_epochs * params.steps_per_epoch:
        row.epoch += 1
        for i in range(agents_in(market)):
            _open(market, i)
        _apply_levers(market)


@rule
def _close(market: Market, i: int) -> None:
    agent, epoch = market.agents[i], market.row.epoch
    agent.visibility *= 0.5
    if is_watched(market):
        outcome = market.outcomes[i]
        outcome.close_reputation, outcome.close_resources = agent.reputation, agent.resources
        outcome.close_frozen = is_frozen(agent, epoch)
        outcome.close_quarantined = epoch < agent.quarantined_until


@rule
def _fade_network(market: Market) -> None:
    """Contacts fade and break; agents in disrepute lose theirs."""
    params = market.params
    dynamic, kept, faint = params.dynamic, 1.0 - params.edge_decay_rate, params.min_edge_weight
    threshold = params.reputation_disconnect_threshold
    cut = threshold > -1.0  # no reputation is lower
    for i in range(agents_in(market) if cut or dynamic else 0):
        alone = market.agents[i].reputation < threshold
        for k in contacts_of(market, i):
            edge = natural(k)
            weight = market.contacts[edge].weight
            if dynamic:
                weight *= kept
                if weight < faint:
                    weight = 0.0
            if alone or (cut and market.agents[natural(market.edges[edge].peer)].reputation < threshold):
                weight = 0.0
            market.contacts[edge].weight = weight


@rule
def _open(market: Market, i: int) -> None:
    agent, epoch = market.agents[i], market.row.epoch
    agent.posts, agent.votes, agent.tasks, agent.actions = 0, 0, 0, 0
    if is_watched(market):
        market.outcomes[i].released = is_frozen(agent, epoch - 1) and not is_frozen(agent, epoch)


@rule
def _apply(market: Market, i: int, effect: Effect) -> None:
    """Write what a lever's epoch rule asks for."""
    agent, book, epoch = market.agents[i], market.books[i], market.row.epoch
    if effect.reputation != 0.0 or effect.resources != 0.0:
        penalise(market, i, effect)
    if effect.pardon > 0:
        book.violations, agent.frozen_until = 0, 0
    if effect.quarantine > 0:
        if is_watched(market):
            outcome = market.outcomes[i]
            outcome.quarantined, outcome.released = epoch >= agent.quarantined_until, False
        agent.quarantined_until = epoch + effect.quarantine
        book.judged, book.lapsed = market.row.step, book.initiated


_apply_levers = governance.epoch_rules(_apply)
