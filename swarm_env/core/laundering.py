"""Laundering, a threat that security control looks for: reputation gained along chains of accepted interactions.

Every agent's threat follows from two agents: the most reputed one that its chains reach far enough, and the least
reputed one whose chains reach it. A market of up to 64 agents holds sets of them in machine words (`reach.find`); one
of some hundred searches from all of them, 64 at once (`chains.search`). That is quadratic; larger markets look for the
two directly (`extremes.find`), in time linear in agents and dealings, and search only from the few that this leaves
undecided. All three ways find the same threats.
"""

from __future__ import annotations

from swarm_env.core import chains, extremes, reach
from swarm_env.core.compiled import rule
from swarm_env.core.sizes import agents_in
from swarm_env.core.types import Market

FEW = 256  #: agents up to which a search from each of them is the quicker way


@rule
def find_laundering(market: Market) -> None:
    """Raise the threat of both ends of every chain that is long enough and gains enough reputation."""
    places, num_agents = market.places, agents_in(market)
    if num_agents <= reach.MOST:
        reach.find(market)
        return
    chains.rank(market)
    if not chains.gains(market, places[0].reputation, places[num_agents - 1].reputation):
        return  # nobody to launder towards
    chains.link(market)
    count = num_agents
    if num_agents > FEW:
        count = extremes.find(market)
    else:
        for k in range(num_agents):
            places[k].listed = places[k].order
    chains.search(market, count)
