"""Sweeps: a grid of settings, played by the scripts on paired seeds, with heat maps.

`swarm sweep` on the command line; docs/studies.md has the grid's grammar and the schema.
"""

from __future__ import annotations

from swarm_env.sweep.grid import Axis, GridError, parse_grid
from swarm_env.sweep.plan import SCHEMA, Found, Sweep

__all__ = ["SCHEMA", "Axis", "Found", "GridError", "Sweep", "parse_grid"]
