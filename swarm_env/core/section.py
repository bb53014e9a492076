"""The base of every scenario section: strict, frozen, and each number in one place.

A section is a pydantic model that stands beside the rules it feeds (a lever's in its lever file, the payoff's in
``payoff.py``). Its fields carry default, range and meaning; `swarm_env.compile` copies every numeric field into
the parameter record that the kernels read, under the field's own name.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Strict: unknown keys, numeric strings and out-of-range values are errors; integers pass for floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True)
