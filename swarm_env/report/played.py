"""The scenario that a log was played in, as this version loads it."""

from __future__ import annotations

from swarm_env.catalog import load_scenario
from swarm_env.events import Event
from swarm_env.scenario import Scenario
from swarm_env.scenario.network import DYNAMIC, PARAMETERS


def played(opening: Event) -> Scenario:
    """Of a log's `scenario` event.

    The log states every setting, those of other topologies included, which a file may not say: they go.

    Raises:
        ValueError: a scenario that this version does not load (a ScenarioError).
    """
    settings = dict(opening["scenario"])
    network = settings.get("network")
    if isinstance(network, dict):
        topology = network.get("topology")
        used = next((names for name, names in PARAMETERS.items() if name == topology), ())
        inert = {name for names in PARAMETERS.values() for name in names} - set(used)
        inert |= set() if network.get("dynamic") else set(DYNAMIC)
        settings["network"] = {name: value for name, value in network.items() if name not in inert}
    return load_scenario(settings)
