"""From a row of State to what `render` draws."""

from __future__ import annotations

import numpy as np

from swarm_env.compile import Compiled
from swarm_env.core.types import State
from swarm_env.render import Deal, Snapshot


def snapshot(compiled: Compiled, state: State, b: int = 0) -> Snapshot:
    """Environment b after its last step."""
    scenario, row, agents = compiled.scenario, state.rows[b], state.agents[b]
    epoch, played = int(row["epoch"]), int(row["step"])
    until = np.maximum(agents["frozen_until"], agents["quarantined_until"])
    deals, contacts, scene = state.deals[b], None, compiled.scene
    if scenario.network is not None and scenario.network.enabled and scenario.network.topology != "complete":
        owner = np.repeat(np.arange(compiled.num_agents), scene.seats["stop"][0] - scene.seats["start"][0])
        peer, stands = scene.edges["peer"][0], state.contacts["weight"][b] > 0
        keep = stands & (owner < peer)
        contacts = np.stack([owner[keep], peer[keep]], axis=1)
    return Snapshot(
        scenario_id=scenario.scenario_id,
        epoch=epoch,
        step=played - epoch * scenario.simulation.steps_per_epoch,
        num_epochs=scenario.simulation.n_epochs,
        steps_per_epoch=scenario.simulation.steps_per_epoch,
        names=compiled.names,
        archetypes=tuple(scenario.archetypes),
        reputation=np.array(agents["reputation"]),
        resources=np.array(agents["resources"]),
        frozen=epoch < until,
        quarantined=epoch < np.array(agents["quarantined_until"]),
        rewards=np.array(agents["reward"]),
        toxicity=float(row["toxicity"]),
        mean_p=float(row["mean_p"]),
        deals=[
            Deal(int(i), int(d["counterparty"]), float(d["p"]), bool(d["accepted"]), not bool(d["answered"]))
            for i, d in ((i, deals[i]) for i in np.flatnonzero(agents["settled"]))
        ],
        contacts=contacts,
    )
