"""What the rules read and write: records (one C struct an entity), and `Market`, one environment as a rule sees it.

A record is a class whose annotations give field and type; `tables.py` makes dtypes and tables of them. Rules see
`market.agents[i].reputation`: machine code under Numba, plain attribute access without it. S scenarios in a batch, B
environments, N agents, E directed contacts, L learners, I inbox slots, P peer slots, W interactions remembered, K
levers.

A large batch is bound by memory, so a table holds what is touched together: what every step reads in one (`Agent`,
`Contact`), what only a dealing or an epoch touches in others (`Book`, `Relation`), what never changes in a third, once
for all environments (`Seat`, `Edge`).
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.compiled import natural, shorthand
from swarm_env.core.tables import Floats, Short, Shorts, Tiny

DESK = 32  #: environments that share working memory, unless somebody will look at it: it then stays in the cache
#: What the future does not depend on: what the last step did, and working memory.
PASSING: tuple[str, ...] = ("outcomes", "deals", "shown", "assessments", "nodes", "places", "links")
WINDOW = 10  #: interactions in the circuit breaker's window (SWARM 4.2)
NUM_LEVERS = 9  #: K, room for every lever's costs in `Deal.costs`; a test holds it to len(LEVERS)
NUM_TRAITS = 5  #: most settings an archetype has; a test holds it to the archetypes' Configs
NUM_CONDUCTS = 4
HONEST, OPPORTUNISTIC, DECEPTIVE, ADVERSARIAL = range(NUM_CONDUCTS)
CONDUCTS: tuple[str, ...] = ("honest", "opportunistic", "deceptive", "adversarial")
NOOP, PROPOSE, POST, VOTE, TASK = range(5)
VERBS: tuple[str, ...] = ("noop", "propose", "post", "vote", "task")
AS_SCRIPTED = -1  #: as an answer or a verb of a learner: what its archetype would choose; never in a mask or a space


class Row:
    """One environment."""

    key: Annotated[np.uint64, ()]  # of the episode, see random.episode_key
    step_key: Annotated[np.uint64, ()]  # of the step being played
    seed: Annotated[np.int64, ()]  # >= 0
    episode: int  # episodes since the seed was set, from 0
    step: int  # steps played in this episode, 0..n_epochs*steps_per_epoch
    epoch: int  # 0..n_epochs-1
    params: int  # row of the parameter table
    toxicity: float  # running mean of 1-p over accepted interactions (exponential), [0, 1]
    mean_p: float  # running mean of p over all interactions (exponential), [0, 1]
    remembered: int  # interactions written to history since it was last cleared
    settled: int  # interactions settled in this episode; and of these:
    accepted: int
    p_sum: float  # sum of p
    p_accepted: float  # sum of p, accepted
    welfare: float  # sum of both payoffs, accepted
    social: float  # sum of S - E, accepted
    risky: int  # answered, latent p below market.safety_threshold
    attacks: int  # of these, accepted
    sound: int  # answered, latent p at the threshold or above
    refusals: int  # of these, rejected
    oldest: Short  # place in history of the next interaction: over the oldest, once it is full
    suspect: Short  # place in history of the first suspicious one on its list
    suspects: Short  # and their number


class Seat:
    """One agent as the scenario describes it. Index: agent."""

    archetype: int  # index into ARCHETYPES
    learner: int  # row of the action array, -1 = scripted
    start: int  # its contacts are start..stop-1
    stop: int
    traits: Annotated[Floats, (NUM_TRAITS,)]  # the archetype's settings, in the order of its Config


class Edge:
    """One contact as the scenario's network has it: a directed edge. Index: contact."""

    peer: Short  # the other agent
    back: Short  # the contact in the other direction
    pair: Short  # the number of the two, see `Pair`
    forward: Short  # of pair number k, at index k: the contact from the lower to the higher agent


class Shown:
    """An agent as its contacts see it. Index: agent.

    By itself, as these are read in no order: in a large market the rest of `Agent` would be fetched along with it.
    """

    present: Annotated[np.float32, ()]  # 1; in this order the four of a peer slot, but for its trust
    reputation: Annotated[np.float32, ()]
    visibility: Annotated[np.float32, ()]  # exact until posts of 24 epochs ago count
    frozen: Annotated[np.float32, ()]


class Scratch:
    """Working memory of a step; nothing in it survives the step."""

    contact: int  # target of the intent
    verb: Tiny  # intent of this step
    conduct: Tiny
    answered: bool  # whether the proposal this agent made got an answer
    accepted: bool  # the answer


class Agent:
    """One agent of one environment: what every step touches. Index: agent."""

    reputation: float  # [-1, 1], starts 0
    resources: float  # >= 0, starts at market.initial_resources
    visibility: float  # >= 0: posts, halved every epoch
    heat: float  # [0, 1]: attention drawn by being caught; fades by a tenth a step
    reward: float  # of the last step: what its resources would have changed by without the floor at 0
    gained: float  # sum of rewards in this episode
    proposed: int  # its open proposal: the contact it goes to, -1 = none
    first: Short  # its inbox: a list of initiators linked by `Proposal.next`, from the oldest
    last: Short  # to the newest
    inbox: Short  # proposals waiting there, 0..I
    arrivals: Short  # proposals opened to it this step, overflow included
    frozen_until: Short  # frozen while epoch < this
    quarantined_until: Short  # quarantined (a freeze by security) while epoch < this
    posts: Short  # budgets used this epoch: these four in this order, see `slots.put_shares`
    votes: Short
    tasks: Short
    actions: Short  # verbs other than noop this epoch
    cooldown: Short  # steps until a scripted adversary attacks again
    settled: bool  # what it had proposed was settled in the last step, see `Deal`
    scratch: Scratch


class Book:
    """What is on record of an agent: touched by its dealings and at epochs. Index: agent."""

    recent: Annotated[Floats, (WINDOW,)]  # 1-p of its last initiated interactions, a ring
    initiated_p: float  # sum of p of the interactions it initiated
    collusion_risk: float  # [0, 1], as of the last assessment
    threat: float  # [0, 1], as of the last assessment
    initiated: Short  # interactions initiated and settled in this episode
    failed_audits: Short  # in this episode
    breaches: Short  # breaker violations in this episode
    violations: Short  # of these, since the last freeze ended
    judged: Short  # what it initiated before this step counts no more: it was quarantined for it
    lapsed: Short  # of `initiated`, how many count no more: judged, or out of the security lever's window


class Proposal:
    """What an agent has proposed, waiting for an answer in the next step. Its quality is fixed when it is made."""

    progress: float  # observables (SWARM 1.1)
    engagement: float
    p: float  # latent quality, were it accepted
    signal: float  # its surface, seen by the counterparty
    rework: Short
    rejections: Short
    misuse: Short
    conduct: Short  # index into CONDUCTS
    slot: Short  # inbox slot of the counterparty, -1 = overflow
    next: Short  # initiator of the next proposal in the same inbox


class Outcome:
    """What a step did to one agent, for infos and logs: no rule reads it. Index: agent, or 0 if nobody looks."""

    payoff_initiator: float  # accepted interaction it initiated (effort paid)
    payoff_counterparty: float  # accepted interactions it was asked for
    task_pay: float
    cost: float  # governance costs levied on rejected interactions
    penalty: float  # resources taken by stake slashing and epoch penalties
    initiated: int  # interactions settled, as initiator
    initiated_accepted: int
    received: int  # as counterparty
    received_accepted: int
    expired: int  # initiated, nobody could answer
    illegal: int  # illegal choices turned into noops
    verb: int  # verb that took effect
    target: int  # of a proposal or vote, -1 = none
    direction: int  # of a vote: +1, -1, 0 = none
    weight: float  # of a vote
    bounced: bool  # the proposal found a full inbox and was never opened
    audited: bool  # failed an audit
    violation: bool  # breaker violation
    count: int  # breaker violations that stood then, this one included
    until: int  # epoch at which the freeze, or the quarantine, ends
    froze: bool
    quarantined: bool
    released: bool
    levers: Annotated[Floats, (NUM_LEVERS,)]  # governance costs of its interactions, by lever
    close_reputation: float  # at the close of an epoch, before the next one's rules
    close_resources: float
    close_frozen: bool
    close_quarantined: bool


class Deal:
    """One interaction settled in a step; terms hold if it was accepted. Index: initiator, or 0 if nobody looks."""

    accepted: bool
    answered: bool  # False: expired without an answer
    counterparty: int
    conduct: int
    progress: float
    rework: Short
    rejections: Short
    misuse: Short
    engagement: float  # after the clip that a rejection applies
    v_hat: float
    p: float
    p_offer: float  # before that clip
    signal: float
    tau: float
    effort: float
    c_a: float
    c_b: float
    r_a: float
    r_b: float
    payoff_a: float
    payoff_b: float
    v: float  # outcome drawn with P(v=+1) = p
    costs: Annotated[Floats, (NUM_LEVERS, 2)]  # c_a and c_b by lever, in the order of LEVERS


class Contact:
    """One contact (a directed edge) of one environment: what every step reads. Index: contact."""

    trust: float  # [0, 1], starts .5
    weight: float  # of the network's edge; 0 = severed


class Relation:
    """What else an agent has done with a contact, in this direction. Index: contact."""

    initiated_p: float  # sum of p of what it initiated since the collusion history was cleared
    initiated: Short  # their number
    accepted: Short  # of these, accepted
    voted: Short  # epoch + 1 of its last vote on the contact, 0 = never
    launders: Short  # accepted interactions in this direction within the history window
    laundered: Short  # step of the latest of them


class Slot:
    """What is in a peer slot of an agent with more contacts than slots. Index: `Seat.start` + slot."""

    contact: Short  # -1 = none


class Pair:
    """What two agents in contact have had to do with each other, either way round. Index: `Edge.pair`.

    All of it lies on one cache line, as pairs deal in no order.
    """

    met_p: float  # sum of p of their interactions
    won: float  # [0, 1], starts .5: the standing that they have won with each other, +.1 an accepted interaction
    met: Short  # their interactions
    count: Short  # for collusion control: interactions since its history was cleared; and of these:
    mean_x: float  # running mean of the lower agent's benefit
    mean_y: float  # of the higher agent's
    m2_x: float  # running sums of squared deviations and their product (Welford)
    m2_y: float
    m_xy: float


class Assessment:
    """Working memory of the levers' assessments; nothing in it survives one. Index: agent."""

    parent: Short  # union-find of the collusion assessment
    members: Short  # and its group sums
    n_in: float
    p_in: float
    n_out: float
    p_out: float
    near: bool  # in a group of several, or in contact with one
    onto: Annotated[np.uint64, ()]  # who accepted from it, a bit an agent: laundering in small markets
    risk: float  # of the security assessment: its manipulation
    tally: Short  # and counts
    hits: Short
    chain: Annotated[Shorts, (5,)]  # latest victims, a ring


class Node:
    """Working memory of the search for laundering. Index: agent.

    All of it lies on one cache line, as a search meets agents in no order.
    """

    reputation: float
    reached: Annotated[np.uint64, ()]  # a bit a root: has its search been here
    fresh: Annotated[np.uint64, ()]  # will it be next
    deep: Annotated[np.uint64, ()]  # has it come by a chain that is long enough
    start: Short  # its links are start..start+outs-1 and, the other way round, start..start+ins-1
    own: Short  # the first of the former, that count against it
    outs: Short
    ins: Short
    mark: Short  # the last search that came by
    level: Short  # links that it had followed
    via: Short  # and the agent that it came from
    visits: Tiny  # how many have come by
    state: Tiny  # whether the agent is decided, see `extremes`
    sought: bool  # whether it must be searched from


class Place:
    """Lists of the search for laundering. Index: rank or place in a list."""

    reputation: float  # of the agent at this rank of reputation
    order: Short  # and which it is
    listed: Short  # agent to search from
    queue: Short  # agent that a search goes on from
    next: Short  # and then; while they are ranked, where the next one of this bin goes
    front: Annotated[np.uint64, ()]  # and which searches do


class Link:
    """Accepted interactions within the security lever's window, as lists of an agent: see `chains.link`.

    Index: contact.
    """

    onto: Short  # agent that accepted from i
    by: Short  # agent that i accepted from


class Past:
    """One interaction in the security lever's window; and, at a place of its own, one on the list of suspicious ones.

    Few are suspicious: an assessment reads their list alone, a ring as the window is, from the oldest to the newest.
    """

    contact: Short  # directed edge initiator -> counterparty
    step: Short
    listed: Short  # of the suspicious one: its contact
    listed_step: Short  # and its step
    risk: float  # what it adds to its initiator's threat by itself
    success: bool  # its initiator gained from poor quality
    harm: bool  # it was accepted, and of very poor quality
    accepted: bool  # of the interaction
    suspicious: bool  # whether it is on the list: a risk, a success or a harm


class Scene(NamedTuple):
    """What the scenarios of a batch fix; `Row.params` says which of them an environment plays."""

    params: NDArray[Any]  # (S,): see compile.parameters
    seats: NDArray[Any]  # (S, N) Seat
    edges: NDArray[Any]  # (S, E) Edge


class State(NamedTuple):
    """B environments. Row b of every table is the whole of environment b: copy the tables, and you have a snapshot.

    Of `PASSING` there are as many rows as there are desks (B/DESK rounded up), if nobody looks at what a step did.
    """

    rows: NDArray[Any]  # (B,) Row
    agents: NDArray[Any]  # (B, N) Agent
    shown: NDArray[Any]  # (B, N) Shown
    books: NDArray[Any]  # (B, N) Book
    proposals: NDArray[Any]  # (B, N) Proposal
    outcomes: NDArray[Any]  # (B, N) Outcome, or (desks, 1) if nobody looks
    deals: NDArray[Any]  # (B, N) Deal, likewise
    contacts: NDArray[Any]  # (B, E) Contact
    relations: NDArray[Any]  # (B, E) Relation
    slots: NDArray[Any]  # (B, E) Slot, or (B, 1) if everybody has room for all others
    pairs: NDArray[Any]  # (B, E/2) Pair
    assessments: NDArray[Any]  # (B, N) Assessment, or (B, 1) without collusion and security control
    nodes: NDArray[Any]  # (B, N) Node, or (B, 1) without security control
    places: NDArray[Any]  # (B, N) Place, likewise
    links: NDArray[Any]  # (B, E) Link, or (B, 1) without security control
    history: NDArray[Any]  # (B, W) Past, a ring; (B, 1) without security control


class Market(NamedTuple):
    """One environment, as the rules see it: its scenario's row of `Scene`, its own of `State`."""

    params: Any
    seats: Any  # (N,)
    edges: Any  # (E,)
    row: Any
    agents: Any  # (N,); and so on, as in State
    shown: Any
    books: Any
    proposals: Any
    outcomes: Any
    deals: Any
    contacts: Any
    relations: Any
    slots: Any
    pairs: Any
    assessments: Any
    nodes: Any
    places: Any
    links: Any
    history: Any
    next_row: Any  # of the environment that is played next, to read ahead; and
    next_agents: Any  # (N,) its agents
    next_history: Any  # (W,) its history
    sizes: Any  # what its code knows of the batch beforehand, see `sizes.Sizes`


class View(NamedTuple):
    """What the learners are shown after a step."""

    observation: NDArray[np.float32]  # (B, L, F)
    mask: NDArray[np.int8]  # (B, L, M)
    reward: NDArray[np.float64]  # (B, L)
    info: NDArray[np.float64]  # (B, L, len(INFO)), or (B, 0, len(INFO)) if nobody asks for it


@shorthand
def entry_of(table: Any, index: int) -> Any:
    """A row of a table."""
    return table[index]


@shorthand
def nested_entry_of(table: Any, index: int) -> Any:
    """The same of a table that is `tables.nested`."""
    return table[natural(index)].of


def _market_maker(entry_of: Any) -> Any:
    """`market_of`, given how to take a row of a table."""

    @shorthand
    def market_of(scene: Scene, state: State, b: int, sizes: Any) -> Market:
        row, desk = state.rows[b], b if len(state.outcomes) == len(state.rows) else b // DESK
        following = min(b + 1, len(state.rows) - 1)
        return Market(
            scene.params[row.params],
            entry_of(scene.seats, row.params),
            entry_of(scene.edges, row.params),
            row,
            entry_of(state.agents, b),
            entry_of(state.shown, desk),
            entry_of(state.books, b),
            entry_of(state.proposals, b),
            entry_of(state.outcomes, desk),
            entry_of(state.deals, desk),
            entry_of(state.contacts, b),
            entry_of(state.relations, b),
            entry_of(state.slots, b),
            entry_of(state.pairs, b),
            entry_of(state.assessments, desk),
            entry_of(state.nodes, desk),
            entry_of(state.places, desk),
            entry_of(state.links, desk),
            entry_of(state.history, b),
            state.rows[following],
            entry_of(state.agents, following),
            entry_of(state.history, following),
            sizes,
        )

    return market_of


#: Environment b. sizes: see `sizes.Sizes`. The second one is for tables that are `tables.nested`.
market_of, nested_market_of = _market_maker(entry_of), _market_maker(nested_entry_of)
