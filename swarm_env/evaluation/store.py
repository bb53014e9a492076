"""What an evaluation is called where it is kept; how it is kept is `swarm_env.engine.store`'s."""

from __future__ import annotations

from swarm_env.engine.journal import Kind

SCHEMA = "swarm-evaluation/2"
EVALUATION = Kind("evaluation", SCHEMA, ("policy", "scenario", "seed"))


class EvaluationError(ValueError):
    """An evaluation that cannot be made; one line."""
