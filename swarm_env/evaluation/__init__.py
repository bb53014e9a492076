"""Evaluation: policies in chosen seats of scenarios, on paired seeds, by the whole metric suite.

`evaluate` is the way in, and `swarm evaluate` on the command line; docs/evaluation.md has protocol, formulas, schema.
"""

from __future__ import annotations

from swarm_env import statistics
from swarm_env.evaluation.found import Evaluation
from swarm_env.evaluation.plan import FIRST_SEED, PRIMARY, Plan, evaluate
from swarm_env.evaluation.protocol import Governing, PolicyError, Setting, governs
from swarm_env.evaluation.store import SCHEMA, EvaluationError
from swarm_env.evaluation.trained import TRAINED, Kind, Layout, Trained
from swarm_env.evaluation.units import MODES

__all__ = [
    "FIRST_SEED",
    "MODES",
    "PRIMARY",
    "SCHEMA",
    "TRAINED",
    "Evaluation",
    "EvaluationError",
    "Governing",
    "Kind",
    "Layout",
    "Plan",
    "PolicyError",
    "Setting",
    "Trained",
    "evaluate",
    "governs",
    "statistics",
]
