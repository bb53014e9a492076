"""One moment of the market: what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Deal(NamedTuple):
    """One dealing of the step: p in [0, 1] (NaN: unknown); an expired one was never answered."""

    initiator: int
    counterparty: int
    p: float
    accepted: bool
    expired: bool = False

    @property
    def status(self) -> str:
        """accepted, rejected or expired."""
        return "accepted" if self.accepted else "expired" if self.expired else "rejected"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One environment after one step; N agents. A wrong shape or an unknown agent is a ValueError."""

    scenario_id: str
    epoch: int  # epoch and step (within it) are shown as given
    step: int
    num_epochs: int
    steps_per_epoch: int
    names: tuple[str, ...]  # N
    archetypes: tuple[str, ...]  # N
    reputation: Floats  # (N,) in [-1, 1]
    resources: Floats  # (N,) >= 0
    frozen: NDArray[np.bool_]  # (N,)
    quarantined: NDArray[np.bool_]  # (N,)
    rewards: Floats  # (N,) of this step
    toxicity: float  # running, in [0, 1]; NaN while undefined
    mean_p: float  # likewise
    deals: tuple[Deal, ...] | list[Deal] = ()
    contacts: NDArray[np.integer] | None = None  # (E, 2); None: everybody deals with everybody, no lines

    def __post_init__(self) -> None:
        n = len(self.names)
        for field in ("archetypes", "reputation", "resources", "frozen", "quarantined", "rewards"):
            if (shape := np.shape(getattr(self, field))) != (n,) or n == 0:
                raise ValueError(f"Snapshot.{field} has shape {shape} for {n} agents")
        deals = np.array([deal[:2] for deal in self.deals], int).reshape(-1, 2)
        for edges in (deals, deals if self.contacts is None else np.asarray(self.contacts)):
            if edges.ndim != 2 or edges.shape[1] != 2 or not np.all((edges >= 0) & (edges < n)):
                raise ValueError(f"Snapshot: deals and contacts must be pairs of indices in 0..{n - 1}")


def number(value: float, spec: str = ".3f") -> str:
    """A number as it is shown; "-" for undefined."""
    return format(value, spec) if np.isfinite(value) else "-"
