"""The ``network:`` section: who can deal with whom."""

from __future__ import annotations

from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from swarm_env.scenario.errors import Key, show
from swarm_env.scenario.messages import Fault, faulty
from swarm_env.scenario.spelling import Spelled

Topology = Literal["complete", "ring", "star", "random_erdos_renyi", "small_world", "scale_free"]

#: Topology -> the parameters that shape it. Any other parameter would be inert, so it is an error.
PARAMETERS: dict[Topology, tuple[str, ...]] = {
    "complete": (),
    "ring": (),
    "star": (),
    "random_erdos_renyi": ("edge_probability",),
    "small_world": ("k_neighbors", "rewire_probability"),
    "scale_free": ("m_edges",),
}

#: Keys that only a dynamic network uses.
DYNAMIC = ("edge_strengthen_rate", "edge_decay_rate", "min_edge_weight", "max_edge_weight")


class Network(Spelled):
    """``network:`` section. Edge weights start at min(1, max_edge_weight)."""

    SPELLINGS: ClassVar[dict[str, tuple[Key, ...]]] = {
        "k_neighbors": (("params", "k_neighbors"), ("params", "k")),
        "rewire_probability": (("params", "rewire_probability"), ("params", "p")),
        "m_edges": (("params", "m_edges"), ("params", "m")),
        "edge_probability": (("params", "edge_probability"),),
    }

    enabled: bool = Field(default=True, description="whether contacts are limited to neighbours")
    topology: Topology = Field(default="complete", description="shape of the network")
    k_neighbors: int = Field(
        default=4, ge=2, le=1_000_000, multiple_of=2, description="small_world: nearest neighbours of a node, even"
    )
    rewire_probability: float = Field(default=0.1, ge=0, le=1, description="small_world: chance of rewiring an edge")
    m_edges: int = Field(default=2, ge=1, le=1_000_000, description="scale_free: edges that a new node brings")
    edge_probability: float = Field(default=0.5, ge=0, le=1, description="random_erdos_renyi: chance of each edge")
    dynamic: bool = Field(default=False, description="whether edges strengthen with use, decay and break")
    edge_strengthen_rate: float = Field(default=0.1, ge=0, le=1e6, description="added by an accepted interaction")
    edge_decay_rate: float = Field(default=0.05, ge=0, le=1, description="share of its weight lost each epoch")
    min_edge_weight: float = Field(default=0.1, ge=0, le=1e6, description="weight below which an edge breaks")
    max_edge_weight: float = Field(default=1.0, gt=0, le=1e6, description="weight that an edge cannot exceed")
    reputation_disconnect_threshold: float | None = Field(
        default=None, ge=-1, le=1, description="reputation below which an agent loses its edges; absent: none"
    )

    @model_validator(mode="after")
    def nothing_inert(self) -> Self:
        """Refuse parameters that the chosen network would not use."""
        used = PARAMETERS[self.topology]
        known = {name for names in PARAMETERS.values() for name in names}
        faults = [
            self._inert(name, f"topology {self.topology}", used)
            for name in sorted(self.model_fields_set & (known - set(used)))
        ]
        if not self.dynamic:
            static = (*used, "reputation_disconnect_threshold")
            faults += [
                self._inert(name, "a network with dynamic: false", static)
                for name in DYNAMIC
                if name in self.model_fields_set
            ]
        if self.dynamic and self.min_edge_weight > self.max_edge_weight:
            what = f"{show(self.min_edge_weight)} is above max_edge_weight, so that every edge would break"
            faults.append(Fault(("min_edge_weight",), what, f"at most {show(self.max_edge_weight)}"))
        if faults:
            raise faulty(*faults)
        return self

    def _inert(self, name: str, where: str, used: tuple[str, ...]) -> Fault:
        what = f"{show(getattr(self, name))} would have no effect in {where}"
        return Fault((name,), what, ", ".join(used) or "no parameters here", "leave it out")

    def mean_contacts(self, num_agents: int) -> float:
        """Expected number of contacts of an agent."""
        others = num_agents - 1
        mean = {
            "complete": others,
            "ring": 2,
            "star": 2,
            "random_erdos_renyi": self.edge_probability * others,
            "small_world": self.k_neighbors,
            "scale_free": 2 * self.m_edges,
        }[self.topology]
        return float(min(others, mean))


assert set(PARAMETERS) == set(get_args(Topology))
