"""One recorded episode as columns: what the player shows, and what the figures add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from swarm_env.events import TERMS, Event
from swarm_env.tally import Tally

STATUSES = ("accepted", "rejected", "expired")
#: Kinds of event beside settlements and epochs: kind -> the field shown with it.
MARKS: dict[str, str | None] = {
    "audit": None, "violation": "count", "freeze": "until_epoch", "quarantine": "until_epoch", "release": None,
    "penalty": "resources", "proposal": "p", "bounce": None, "vote": "direction", "post": None, "task": "pay",
}  # fmt: skip
KINDS = tuple(MARKS)
LARGEST = 2**53  #: of whole numbers


class Broken(ValueError):
    """An event that is not what the log's format says."""


def finite(event: Event, key: str) -> float:
    """A field that must be a finite number."""
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        raise Broken(f"{key} is {str(value)[:40]!r}, not a finite number")
    return float(value)


def whole(event: Event, key: str) -> int:
    """A field that must be a whole number from 0 on."""
    value = event.get(key)
    if type(value) is not int or not 0 <= value < LARGEST:
        raise Broken(f"{key} is {str(value)[:40]!r}, not a whole number")
    return value


def digits(value: float) -> float:
    """Six significant digits: what is shown, in a third of the room."""
    return float(f"{value:.6g}")


@dataclass
class Episode:
    """A run of one seed, event by event; `add` raises Broken."""

    opening: Event
    number: int  # of the run in its log
    tally: Tally = field(default_factory=Tally)
    settled: dict[str, list[Any]] = field(default_factory=dict)  # columns, a row each settlement
    costs: dict[str, list[list[float]]] = field(default_factory=dict)  # lever -> rows, c_a, c_b
    marks: dict[str, list[Any]] = field(default_factory=dict)  # columns, a row each other event
    held: list[list[Any]] = field(default_factory=list)  # agent, 0 frozen or 1 quarantined, first and last step
    closes: list[dict[str, Any]] = field(default_factory=list)  # standings when each epoch closed
    payoffs: dict[tuple[str, int], float] = field(default_factory=dict)  # (agent, epoch) -> earned in it
    last: int = -1  # step

    def __post_init__(self) -> None:
        event = self.opening
        self.seed = whole(event, "seed")
        agents = event.get("agents")
        if not isinstance(agents, list) or not agents or not all(isinstance(agent, dict) for agent in agents):
            raise Broken("agents is no list of agents")
        self.names = [agent.get("name") for agent in agents]
        self.archetypes = [agent.get("archetype") for agent in agents]
        if not all(isinstance(text, str) for text in self.names + self.archetypes):
            raise Broken("an agent without a name or an archetype")
        self.place = {name: i for i, name in enumerate(self.names)}
        if len(self.place) < len(self.names):
            raise Broken("two agents of one name")
        scenario = event.get("scenario")
        simulation = scenario.get("simulation") if isinstance(scenario, dict) else None
        if not isinstance(simulation, dict) or not isinstance(scenario, dict):
            raise Broken("scenario holds no simulation")
        if not isinstance(scenario.get("scenario_id"), str):
            raise Broken("scenario has no scenario_id")
        self.scenario_id: str = scenario["scenario_id"]
        self.num_epochs, self.steps_per_epoch = whole(simulation, "n_epochs"), whole(simulation, "steps_per_epoch")
        if not self.num_epochs or not self.steps_per_epoch:
            raise Broken("simulation has no steps")
        self.settled = {name: [] for name in ("step", "a", "b", "conduct", "status", *TERMS)}
        self.marks = {name: [] for name in ("step", "kind", "agent", "target", "value")}
        self._open: dict[tuple[int, int], list[Any]] = {}
        self.tally.add(event)

    @property
    def complete(self) -> bool:
        """Every epoch of the scenario has closed."""
        return len(self.closes) == self.num_epochs

    @property
    def num_events(self) -> int:
        """Settlements and marks: what an embedded episode costs."""
        return len(self.settled["step"]) + len(self.marks["step"])

    def add(self, event: Event) -> None:
        """Take the next event."""
        kind, step, epoch = event["event"], whole(event, "step"), whole(event, "epoch")
        if step < self.last or step >= self.num_epochs * self.steps_per_epoch:
            raise Broken(f"step {step} after step {self.last} of {self.num_epochs * self.steps_per_epoch}")
        if epoch != step // self.steps_per_epoch:
            raise Broken(f"step {step} is not in epoch {epoch}")
        self.last = step
        if kind == "settlement":
            self._settle(event, step, epoch)
        elif kind == "epoch":
            self._close(event, step, epoch)
        elif kind in MARKS:
            self._mark(event, kind, step, epoch)
        else:
            raise Broken("no such kind of event")
        self.tally.add(event)

    def agent(self, event: Event, key: str) -> int:
        """The number of the agent that a field names."""
        name = event.get(key)
        if not isinstance(name, str) or name not in self.place:
            raise Broken(f"{key} is {str(name)[:40]!r}, not an agent of the run")
        return self.place[name]

    def _earn(self, agent: int, epoch: int, amount: float) -> None:
        key = (self.names[agent], epoch)
        self.payoffs[key] = self.payoffs.get(key, 0.0) + amount

    def _settle(self, event: Event, step: int, epoch: int) -> None:
        a, b, row = self.agent(event, "initiator"), self.agent(event, "counterparty"), self.settled
        accepted, answered, conduct = event.get("accepted"), event.get("answered"), event.get("conduct")
        if type(accepted) is not bool or type(answered) is not bool or not isinstance(conduct, str):
            raise Broken("accepted, answered or conduct is missing")
        status = 0 if accepted else 1 if answered else 2
        values = {name: finite(event, name) for name in TERMS}
        for name, value in (("step", step), ("a", a), ("b", b), ("conduct", conduct), ("status", status)):
            row[name].append(value)
        for name, amount in values.items():
            row[name].append(digits(amount))
        levers = event.get("costs")
        if not isinstance(levers, dict):
            raise Broken("costs is no table of levers")
        for lever, pair in levers.items():
            if not isinstance(pair, list) or len(pair) != 2:
                raise Broken("a cost is no pair")
            two = [digits(finite({"cost": amount}, "cost")) for amount in pair]
            columns = self.costs.setdefault(lever, [[], [], []])
            for column, amount in zip(columns, (len(row["step"]) - 1, *two), strict=True):
                column.append(amount)
        self._earn(a, epoch, values["payoff_a"] if accepted else -values["c_a"])
        self._earn(b, epoch, values["payoff_b"] if accepted else -values["c_b"])

    def _mark(self, event: Event, kind: str, step: int, epoch: int) -> None:
        agent, shown = self.agent(event, "agent"), MARKS[kind]
        value = None if shown is None else digits(finite(event, shown))
        target = self.agent(event, "target") if kind in ("proposal", "bounce", "vote") else -1
        if kind == "proposal" and not isinstance(event.get("conduct"), str):
            raise Broken("conduct is missing")
        for name, item in (
            ("step", step), ("kind", KINDS.index(kind)), ("agent", agent), ("target", target), ("value", value),
        ):  # fmt: skip
            self.marks[name].append(item)
        if kind == "freeze":
            until = whole(event, "until_epoch") * self.steps_per_epoch - 1
            interval = self._open.setdefault((agent, 0), [agent, 0, step, until])
            interval[3] = max(interval[3], until)
        elif kind == "quarantine":  # it begins as the next epoch opens
            self._open.setdefault((agent, 1), [agent, 1, step + 1, LARGEST])
        elif kind == "release":
            self._end(agent, 0, step)
            self._end(agent, 1, step)
        elif kind == "penalty":
            self._earn(agent, epoch, -finite(event, "resources"))
        elif kind == "task":
            self._earn(agent, epoch, finite(event, "pay"))

    def _end(self, agent: int, kind: int, step: int) -> None:
        interval = self._open.pop((agent, kind), None)
        if interval is not None:
            self.held.append([*interval[:3], min(step, interval[3])])

    def _close(self, event: Event, step: int, epoch: int) -> None:
        if epoch != len(self.closes) or (step + 1) % self.steps_per_epoch:
            raise Broken(f"epoch {epoch} closes at step {step} after {len(self.closes)} others")
        kept: dict[str, Any] = {}
        for name in ("reputation", "resources", "frozen", "quarantined", "collusion_risk", "threat"):
            values = event.get(name)
            if not isinstance(values, list) or len(values) != len(self.names):
                raise Broken(f"{name} is no list over {len(self.names)} agents")
            kept[name] = [digits(finite({name: int(v) if type(v) is bool else v}, name)) for v in values]
        for agent, standing in enumerate(kept["quarantined"]):  # a quarantine can end while a freeze goes on
            interval = self._open.get((agent, 1))
            if not standing and interval is not None and interval[2] <= step:
                self._end(agent, 1, step)
        self.closes.append(kept)

    def finish(self) -> None:
        """No event is to come: who is held stays so to the last step seen."""
        for agent, kind in list(self._open):
            self._end(agent, kind, self.last)
        self.held = sorted(interval for interval in self.held if interval[3] >= interval[2])
