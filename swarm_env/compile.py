"""Scenario -> Compiled: the tables that the kernels read, the layout of observations and actions, room for both.

Nothing here is a rule of the market; it is where names and sections become numbers and indices.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.contact_graph import contact_pairs, directed
from swarm_env.core import features, observe, propose, step, types
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.claims import ALONE
from swarm_env.core.proxy import count_signal
from swarm_env.core.tables import table, tables
from swarm_env.core.types import CONDUCTS, NUM_CONDUCTS, NUM_TRAITS, VERBS, Scene, State, View
from swarm_env.scenario import Scenario

DEFAULT_PEERS = 16  #: peer slots unless `view.peers` says otherwise
NO_CAP, NO_THRESHOLD = -1, -2.0  #: what the kernels read for an absent bandwidth cap or disconnect threshold
WITHOUT_END, NEVER_REACHED = 1e30, 2**31 - 1  #: a budget of which some is never less, and a number of actions
RUNNING_START = 0.5  #: the market's running means before anything has happened

Learners = str | Sequence[str]


@dataclass(frozen=True)
class Compiled:
    """A compiled scenario. Immutable; the same object serves any number of environments."""

    scenario: Scenario
    names: tuple[str, ...]  # of all agents
    learner_names: tuple[str, ...]
    scene: Scene  # S = 1
    initial: State  # one environment before its first step, which `reset` copies
    inbox: int  # inbox slots
    peers: int  # peer slots

    @property
    def num_agents(self) -> int:
        """N."""
        return len(self.names)

    @property
    def num_learners(self) -> int:
        """L."""
        return len(self.learner_names)

    @cached_property
    def nvec(self) -> NDArray[np.int64]:
        """Choices of each action head: inbox slots (refuse, accept), verb, peer slot, conduct."""
        return np.array([2] * self.inbox + [len(VERBS), self.peers, NUM_CONDUCTS], dtype=np.int64)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Name of every entry of an observation."""
        inbox = [f"inbox_{k}.{name}" for k in range(self.inbox) for name in features.INBOX]
        peers = [f"peer_{k}.{name}" for k in range(self.peers) for name in features.PEER]
        return (*(f"own.{name}" for name in features.OWN), *inbox, *peers)

    @cached_property
    def feature_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest value of every entry of an observation."""
        scopes = [features.OWN] + [features.INBOX] * self.inbox + [features.PEER] * self.peers
        seen = [feature for scope in scopes for feature in scope.values()]
        low, high = ([f[k] for f in seen] for k in (0, 1))
        return np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)

    @cached_property
    def state_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest value of every entry of `state()`."""
        seen = list(features.STATE_ROW.values()) + list(features.STATE_AGENT.values()) * self.num_agents
        low, high = ([f[k] for f in seen] for k in (0, 1))
        return np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)

    def allocate(self, num_envs: int, infos: bool = True, watched: bool = True) -> tuple[State, View]:
        """Room for that many environments; `reset` starts their episodes.

        Args:
            num_envs: B.
            infos: whether `View.info` is filled.
            watched: whether anybody will look at what a step did (`types.PASSING`; infos do).
        """
        shown = (num_envs, self.num_learners)
        shapes = {name: (num_envs, *part.shape[1:]) for name, part in self.initial._asdict().items()}
        if not (infos or watched):
            desks = -(-num_envs // types.DESK)
            shapes |= {name: (desks, *shapes[name][1:]) for name in types.PASSING}
            shapes["outcomes"] = shapes["deals"] = (desks, 1)
        layout = [(part.dtype, shapes[name]) for name, part in self.initial._asdict().items()]
        layout += [
            (np.dtype(np.float32), (*shown, len(self.feature_names))),
            (np.dtype(np.int8), (*shown, int(self.nvec.sum()))),
            (np.dtype(np.float64), shown),
            (np.dtype(np.float64), (num_envs, self.num_learners if infos else 0, len(features.INFO))),
        ]
        made = tables(layout)
        return State(*made[: len(State._fields)]), View(*made[len(State._fields) :])

    def global_state(self, state: State) -> NDArray[np.float32]:
        """(B, S): the market as a whole, for centralised critics; a fresh array."""
        out = np.zeros((len(state.rows), len(self.state_bounds[0])), dtype=np.float32)
        observe.global_state(self.scene, state, out, 0, len(out))
        return out

    def ledger(self, state: State) -> NDArray[np.float32]:
        """(B, N, I, len(LEDGER)): the overseers' view of every inbox; a fresh array."""
        shape = (len(state.rows), self.num_agents, self.inbox, len(features.LEDGER))
        out = np.zeros(shape, dtype=np.float32)
        observe.ledger(self.scene, state, out, 0, len(out))
        return out

    def reset(self, state: State, view: View, lo: int, hi: int) -> None:
        """Start the episodes that `rows.seed` and `rows.episode` name in rows lo..hi-1."""
        step.reset(self.scene, self.initial, state, view, lo, hi)

    def advance(self, state: State, view: View, actions: NDArray[np.int64], lo: int, hi: int) -> None:
        """Play a step in rows lo..hi-1; actions int64 (B, L, len(nvec))."""
        step.advance(self.scene, state, view, actions, lo, hi, *ALONE)


def compile_scenario(scenario: Scenario, learners: Learners = ()) -> Compiled:
    """Compile a scenario for the given learners (see `select`)."""
    names = tuple(scenario.agent_names)
    chosen = select(names, learners)
    others, limits, view = len(names) - 1, scenario.rate_limits, scenario.view
    inbox = min(others, limits.interactions_per_step) if view.inbox is None else view.inbox
    peers = min(others, DEFAULT_PEERS) if view.peers is None else view.peers
    scene = _scene(scenario, names, chosen, parameters(scenario, inbox, peers))
    return Compiled(scenario, names, chosen, scene, _initial(scenario, scene, peers), inbox, peers)


def _scene(scenario: Scenario, names: tuple[str, ...], chosen: tuple[str, ...], params: NDArray[Any]) -> Scene:
    """What never changes: parameters, seats and edges."""
    start, peer, back = directed(contact_pairs(scenario), len(names))
    scene = Scene(params, table(types.Seat, 1, len(names)), table(types.Edge, 1, len(peer)))
    rows, seats, edges = {name: k for k, name in enumerate(chosen)}, scene.seats[0], scene.edges[0]
    seats["archetype"] = [list(ARCHETYPES).index(name) for name in scenario.archetypes]
    seats["learner"] = [rows.get(name, -1) for name in names]
    seats["start"], seats["stop"] = start[:-1], start[1:]
    seats["traits"] = _traits(scenario)
    edges["peer"], edges["back"] = peer, back
    forward = np.flatnonzero(np.arange(len(back)) < back)  # a lower agent's contacts come before a higher one's
    edges["pair"][forward] = edges["pair"][back[forward]] = np.arange(len(forward))
    edges["forward"][: len(forward)] = forward
    return scene


def _initial(scenario: Scenario, scene: Scene, peers: int) -> State:
    """One environment as the scenario describes it, before its first step."""
    num_agents, num_edges = scene.seats.shape[1], scene.edges.shape[1]
    governance: Any = scenario.governance
    collusion, security = governance.collusion_detection_enabled, governance.security_enabled
    remembered = scenario.market.history_per_agent * num_agents if security else 1
    state = State(
        rows=table(types.Row, 1),
        agents=table(types.Agent, 1, num_agents),
        shown=table(types.Shown, 1, num_agents),
        books=table(types.Book, 1, num_agents),
        proposals=table(types.Proposal, 1, num_agents),
        outcomes=table(types.Outcome, 1, num_agents),
        deals=table(types.Deal, 1, num_agents),
        contacts=table(types.Contact, 1, num_edges),
        relations=table(types.Relation, 1, num_edges),
        slots=table(types.Slot, 1, num_edges if peers < num_agents - 1 else 1),
        pairs=table(types.Pair, 1, num_edges // 2),
        assessments=table(types.Assessment, 1, num_agents if collusion or security else 1),
        nodes=table(types.Node, 1, num_agents if security else 1),
        places=table(types.Place, 1, num_agents if security else 1),
        links=table(types.Link, 1, num_edges if security else 1),
        history=table(types.Past, 1, remembered),
    )
    state.rows["toxicity"] = state.rows["mean_p"] = RUNNING_START
    agents, seats = state.agents[0], scene.seats[0]
    agents["first"] = agents["last"] = agents["proposed"] = -1
    agents["scratch"]["contact"] = -1
    state.outcomes["target"] = -1
    state.contacts["trust"] = state.pairs["won"] = 0.5
    if state.slots.shape[1] == num_edges:
        place = np.arange(num_edges) - np.repeat(seats["start"], seats["stop"] - seats["start"])
        state.slots["contact"] = np.where(place < peers, np.arange(num_edges), -1)
    return state


def select(names: Sequence[str], learners: Learners) -> tuple[str, ...]:
    """Agents that are driven from outside, in the scenario's order.

    Args:
        names: all agents.
        learners: "all", a name, a shell pattern such as ``honest_*``, or a sequence of these; () for none.

    Raises:
        ValueError: a name or pattern that fits no agent.
    """
    patterns = [learners] if isinstance(learners, str) else list(learners)
    chosen: set[str] = set()
    known = set(names)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"learners must be agent names or patterns, got {pattern!r}")
        if pattern in known:  # no name has a wildcard in it
            chosen.add(pattern)
            continue
        fits = set(names) if pattern == "all" else {name for name in names if fnmatchcase(name, pattern)}
        if not fits:
            near = difflib.get_close_matches(pattern, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise ValueError(f"learners: {pattern!r} fits no agent{hint} Agents: {shown}")
        chosen |= fits
    return tuple(name for name in names if name in chosen)


def _traits(scenario: Scenario) -> NDArray[np.float64]:
    """(N, NUM_TRAITS): each agent's archetype settings in the order of its Config."""
    rows = []
    for group in scenario.agents:
        values = [float(getattr(group.config, name)) for name in type(group.config).model_fields]
        rows += [values + [0.0] * (NUM_TRAITS - len(values))] * group.count
    return np.array(rows, dtype=np.float64).reshape(-1, NUM_TRAITS)


def parameters(scenario: Scenario, inbox: int, peers: int) -> NDArray[Any]:
    """The parameter record: every number of the scenario's sections under its own name, plus what follows from them."""
    fields = dict(_numbers(scenario), inbox=inbox, peers=peers)
    fields["expected_p"] = _expected_p(fields)
    columns = tuple((name, np.asarray(value).dtype.str, np.shape(value)) for name, value in fields.items())
    params = table(_record_of(columns), 1)
    for name, value in fields.items():
        params[name] = value
    return params


@cache  # one object for all scenarios, see tables.record
def _record_of(columns: tuple[tuple[str, str, tuple[int, ...]], ...]) -> np.dtype[Any]:
    return np.dtype(list(columns), align=True)


def _numbers(scenario: Scenario) -> Iterator[tuple[str, Any]]:
    sections = (
        scenario.governance, scenario.payoff, scenario.rate_limits, scenario.simulation, scenario.market
    )  # fmt: skip
    for section in sections:
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, bool | int | float) and name != "bandwidth_cap":
                yield name, value
    yield "bandwidth_cap", _or(scenario.governance.bandwidth_cap, NO_CAP)
    network = scenario.network
    on = network is not None and network.enabled
    limits, actions = scenario.rate_limits, _or(scenario.governance.bandwidth_cap, WITHOUT_END)
    yield "budgets", np.array([limits.posts_per_epoch, limits.votes_per_epoch, limits.tasks_per_epoch, actions], "f4")
    staking = scenario.governance.staking_enabled
    yield "most_actions", _or(scenario.governance.bandwidth_cap, NEVER_REACHED)  # one comparison each, lever on or off
    yield "least_stake", scenario.governance.min_stake_to_participate if staking else -math.inf
    yield "dynamic", bool(on and network is not None and network.dynamic)
    for name, off in (
        ("edge_strengthen_rate", 0.0), ("edge_decay_rate", 0.0), ("min_edge_weight", 0.0),
        ("max_edge_weight", 1.0), ("reputation_disconnect_threshold", NO_THRESHOLD),
    ):  # fmt: skip
        yield name, float(_or(getattr(network, name), off)) if on else off
    for name in ("effort", "extraction"):
        prices = getattr(scenario.conduct, name)
        yield name, np.array([getattr(prices, conduct) for conduct in CONDUCTS])
    weights, decays = scenario.market.weights, scenario.market.decays
    shares = np.array([weights.task_progress, weights.rework, weights.verifier, weights.engagement])
    yield "weights", shares / shares.sum()
    yield "count_signals", _count_signals(np.array([decays.rework, decays.rejections, decays.misuse]))


def _count_signals(decays: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, most + 1): the signals of rework, rejections and misuse by their number, up to the most there can be."""
    most = max(int(counts.max()) for counts in (propose.REWORK, propose.REJECTIONS, propose.MISUSE))
    return np.array([[count_signal(n, decay) for n in range(most + 1)] for decay in decays])


def _or(value: Any, absent: Any) -> Any:
    return absent if value is None else value


def _expected_p(fields: dict[str, Any]) -> NDArray[np.float64]:
    """E[p | conduct] at reputation 0: sums over the counts, Gauss-Legendre over progress and engagement."""
    nodes, node_weights = np.polynomial.legendre.leggauss(16)
    unit, half = (nodes + 1.0) / 2.0, node_weights / 2.0
    factor = propose.reputation_factor(0.0)
    weights, signals, expected = fields["weights"], fields["count_signals"], np.zeros(NUM_CONDUCTS)
    for c in range(NUM_CONDUCTS):
        low, high = propose.PROGRESS[c]
        progress = factor * (low + (high - low) * unit)
        low, high = propose.ENGAGEMENT[c]
        engagement = factor * (low + (high - low) * unit)
        smooth = weights[0] * progress[:, None] + weights[3] * engagement[None, :]
        ranges = [range(r[c, 0], r[c, 1] + 1) for r in (propose.REWORK, propose.REJECTIONS, propose.MISUSE)]
        cases = list(product(*ranges))
        for rework, rejections, misuse in cases:
            verifier = 0.5 * (signals[1, rejections] + signals[2, misuse])
            value = smooth + weights[1] * signals[0, rework] + weights[2] * verifier
            p = 1.0 / (1.0 + np.exp(-fields["sigmoid_k"] * value))
            expected[c] += float(half @ p @ half) / len(cases)
    return expected
