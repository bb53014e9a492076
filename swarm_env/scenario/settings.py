"""Settings files other than scenarios, such as a trainer's: as strict, and with errors of the same kind."""

from __future__ import annotations

import os
from typing import TypeVar

from pydantic import ValidationError

from swarm_env.core.section import Section
from swarm_env.scenario import yaml_text
from swarm_env.scenario.data import Overrides, apply_overrides
from swarm_env.scenario.errors import Key, printable
from swarm_env.scenario.messages import Fault, faulty, scenario_error

__all__ = ["Fault", "Section", "faulty", "load_settings"]

S = TypeVar("S", bound=Section)


def load_settings(
    model: type[S], path: str | os.PathLike[str] | None, overrides: Overrides = (), example: str = "seed: 0"
) -> S:
    """The settings of a YAML file, with overrides applied.

    Args:
        model: the section that the file as a whole is.
        path: the file; None: nothing but defaults and overrides.
        overrides: "key=value" strings, the value in YAML, or a mapping; null goes back to the default.
        example: a line that such a file may hold, for the error of a file that is no mapping.

    Raises:
        ScenarioError: one line for each problem: file, line, key, value, what is allowed, the nearest known key.
    """
    lines: dict[Key, int] = {}
    data: dict[str, object] = {}
    file = "<defaults>"
    if path is not None:
        wanted = yaml_text.Wanted("settings", f"settings, as in '{example}'", example)
        data, lines = yaml_text.read_file(path, wanted)
        file = printable(os.fsdecode(path))
    apply_overrides(data, overrides, model, file, lines)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise scenario_error(error, model, data, file, lines) from None
