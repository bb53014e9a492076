"""What the rules read and write: records (one C struct an entity), and `Market`, one environment as a rule sees it.

A record is declared as a class whose annotations give field and type (float, int, bool, an array of fixed length, or
another record); `record` turns it into a NumPy dtype (float64, int64, bool). Rules see `market.agents[i].reputation`:
machine code under Numba, plain attribute access without it. B environments, N agents, E directed contacts, L learners,
I inbox slots, P peer slots, W interactions remembered, K levers.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.compiled import JIT

WINDOW = 10  #: interactions in the circuit breaker's window (SWARM 4.2)
NUM_LEVERS = 9  #: K, room for every lever's costs in `Deal.costs`; a test holds it to len(LEVERS)
NUM_TRAITS = 5  #: most settings an archetype has; a test holds it to the archetypes' Configs
NUM_CONDUCTS = 4
HONEST, OPPORTUNISTIC, DECEPTIVE, ADVERSARIAL = range(NUM_CONDUCTS)
CONDUCTS: tuple[str, ...] = ("honest", "opportunistic", "deceptive", "adversarial")
NOOP, PROPOSE, POST, VOTE, TASK = range(5)
VERBS: tuple[str, ...] = ("noop", "propose", "post", "vote", "task")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ELEMENTS: dict[Any, type] = {np.uint64: np.uint64, np.int64: np.int64, Floats: np.float64, Ints: np.int64}


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


class Proposal:
    """What an agent has proposed, waiting for an answer in the next step. Its quality is fixed when it is made."""

    contact: int  # directed edge to the counterparty, -1 = none
    slot: int  # inbox slot of the counterparty, -1 = overflow
    next: int  # initiator of the next proposal in the same inbox
    conduct: int  # index into CONDUCTS
    progress: float  # observables (SWARM 1.1)
    rework: int
    rejections: int
    misuse: int
    engagement: float
    p: float  # latent quality, were it accepted
    signal: float  # its surface, seen by the counterparty
    reading: float  # an independent reading of v_hat, for the ledger view


class Scratch:
    """Working memory of a step; nothing in it survives the step. Index: agent."""

    verb: int  # intent of this step
    contact: int  # its target
    conduct: int
    answered: bool  # whether the proposal this agent made got an answer
    accepted: bool  # the answer


class Outcome:
    """What a step did to one agent."""

    reward: float  # what its resources would change by without the floor at 0
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
    """One interaction settled in a step, at its initiator's index; terms apply only if it was accepted."""

    settled: bool
    accepted: bool
    answered: bool  # False: expired without an answer
    counterparty: int
    conduct: int
    progress: float
    rework: int
    rejections: int
    misuse: int
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


class Agent:
    """One agent of one environment. Index: agent."""

    archetype: int  # index into ARCHETYPES; with the next four, as the scenario describes it
    learner: int  # row of the action array, -1 = scripted
    start: int  # its contacts are contacts[start..stop-1]
    stop: int
    traits: Annotated[Floats, (NUM_TRAITS,)]  # the archetype's settings, in the order of its Config
    reputation: float  # [-1, 1], starts 0
    resources: float  # >= 0, starts at market.initial_resources
    visibility: float  # >= 0: posts, halved every epoch
    gained: float  # sum of rewards in this episode
    heat: float  # [0, 1]: attention drawn by being caught; fades by a tenth a step
    frozen_until: int  # frozen while epoch < this
    quarantined_until: int  # quarantined (a freeze by security) while epoch < this
    judged: int  # what it initiated before this step counts no more: it was quarantined for it
    violations: int  # of the circuit breaker since the last freeze ended
    posts: int  # budgets used this epoch
    votes: int
    tasks: int
    actions: int  # verbs other than noop this epoch
    cooldown: int  # steps until a scripted adversary attacks again
    inbox: int  # proposals waiting in its inbox, 0..I: a list of initiators linked by `Proposal.next`,
    first: int  # from the oldest
    last: int  # to the newest
    arrivals: int  # proposals opened to it this step, overflow included
    recent: Annotated[Floats, (WINDOW,)]  # 1-p of its last initiated interactions, a ring
    initiated: int  # interactions initiated and settled in this episode
    initiated_p: float  # sum of their p
    failed_audits: int  # in this episode
    breaches: int  # breaker violations in this episode
    collusion_risk: float  # [0, 1], as of the last assessment
    threat: float  # [0, 1], as of the last assessment
    proposal: Proposal  # what it has proposed
    scratch: Scratch
    outcome: Outcome  # what the last step did to it
    deal: Deal  # what became, in the last step, of what it had proposed


class Contact:
    """What an agent remembers of one contact (a directed edge). Index: contact."""

    peer: int  # the other agent
    back: int  # the contact in the other direction
    slot: int  # at contacts[start + k]: the contact shown in peer slot k, -1 = none
    trust: float  # [0, 1], starts .5
    weight: float  # of the network's edge; 0 = severed
    voted: int  # epoch + 1 of its last vote on the contact, 0 = never
    met: int  # interactions with the contact, either way round
    met_p: float  # sum of their p
    won: float  # [0, 1], starts .5: standing won with the contact, +.1 an accepted interaction
    launders: int  # accepted interactions in this direction within the history window
    laundered: int  # step of the latest of them


class Pair:
    """Collusion control's record of a contact's dealings. Index: contact."""

    initiated: int  # interactions in this direction since the collusion history was cleared
    accepted: int  # of these, accepted
    initiated_p: float  # sum of their p
    count: int  # both directions, kept on the edge from the lower to the higher index; and:
    mean_x: float  # running mean of the lower agent's benefit
    mean_y: float  # of the higher agent's
    m2_x: float  # running sums of squared deviations and their product (Welford)
    m2_y: float
    m_xy: float


class Assessment:
    """Working memory of the levers' assessments; nothing in it survives one. Index: agent."""

    parent: int  # union-find of the collusion assessment
    members: int  # and its group sums
    n_in: float
    p_in: float
    n_out: float
    p_out: float
    queue: int  # breadth-first search of the security assessment
    depth: int
    mark: int
    tally: int  # and its counts
    hits: int
    chain: Annotated[Ints, (5,)]  # latest victims, a ring


class Past:
    """One interaction in the security lever's window."""

    contact: int  # directed edge initiator -> counterparty
    initiator: int
    counterparty: int
    accepted: bool
    p: float
    misuse: int
    rejections: int
    tau: float
    r_a: float
    step: int


class Market(NamedTuple):
    """One environment, as the rules see it."""

    params: Any  # the scenario's numbers: see compile.parameters
    row: Any  # Row
    agents: Any  # (N,) Agent
    contacts: Any  # (E,) Contact
    pairs: Any  # (E,) Pair, or (1,) without collusion control
    assessments: Any  # (N,) Assessment, or (1,) without collusion and security control
    history: Any  # (W,) Past, a ring; (1,) without security control


class State(NamedTuple):
    """B environments. Row b of every table is the whole of environment b: copy the tables, and you have a snapshot."""

    rows: NDArray[Any]  # (B,) Row
    agents: NDArray[Any]  # (B, N) Agent
    contacts: NDArray[Any]  # (B, E) Contact
    pairs: NDArray[Any]  # (B, E or 1) Pair
    assessments: NDArray[Any]  # (B, N or 1) Assessment
    history: NDArray[Any]  # (B, W or 1) Past


class View(NamedTuple):
    """What the learners are shown after a step."""

    observation: NDArray[np.float32]  # (B, L, F)
    mask: NDArray[np.int8]  # (B, L, M)
    info: NDArray[np.float64]  # (B, L, len(INFO) + 1): infos, reward; (B, 0, ...) if nobody asks for it


@cache  # one object a record: Numba tells equal but distinct dtypes apart field by field, at every call
def record(cls: type, plain: bool = not JIT) -> np.dtype[Any]:
    """The dtype of a record class, in the order of its annotations; `plain` as for `table`."""
    fields: list[tuple[Any, ...]] = []
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if get_origin(hint) is Annotated:
            base, shape = get_args(hint)
            fields.append((name, _ELEMENTS[base], shape))
        elif hint in (float, int, bool):
            fields.append((name, {float: np.float64, int: np.int64, bool: np.bool_}[hint]))
        else:
            fields.append((name, record(hint, plain)))
    dtype = np.dtype(fields, align=True)
    return np.dtype((np.record, dtype)) if plain else dtype


def table(cls: type | np.dtype[Any], *shape: int, plain: bool = not JIT) -> NDArray[Any]:
    """A zeroed table of records. `plain`: its elements have attributes in Python, which kernels do not need."""
    array = np.zeros(shape, cls if isinstance(cls, np.dtype) else record(cls, plain))
    return array.view(np.recarray) if plain else array
