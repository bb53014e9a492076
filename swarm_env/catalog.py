"""The scenarios that ship with the project, by their id; and `load_scenario`, which also takes such an id."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarm_env import scenario
from swarm_env.scenario import Scenario

_PACKAGE = Path(__file__).resolve().parent

DEFAULT = "alignment_waltz_targeted_feedback"  #: what the constructors play unless told otherwise

Source = Scenario | str | os.PathLike[str] | Mapping[str, Any]


def shipped() -> dict[str, Path]:
    """Scenario id -> file: those beside the package in a checkout, else those installed with it (pyproject.toml)."""
    installed = Path(sysconfig.get_path("data")) / "share" / "swarm_env" / "scenarios"
    for folder in (_PACKAGE.parent / "scenarios", installed):
        files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if DEFAULT in files:
            return files
    return {}


def load_scenario(source: Source, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Scenario:
    """Load and check a scenario.

    Args:
        source: a YAML file, the id of a shipped scenario, a mapping, or a Scenario.
        overrides: "key.path=value" strings or a mapping of them, applied before checking.

    Raises:
        ScenarioError: naming file, key path, value, what is allowed and the nearest known key.
    """
    if isinstance(source, str) and not os.path.exists(source):
        source = shipped().get(source, source)
    return scenario.load_scenario(source, overrides)
