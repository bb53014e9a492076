"""Studies: an annotated paper becomes scenarios, paired runs, tested claims and a note.

`swarm study` on the command line; docs/studies.md has the annotation's keys, the arms and the rules of the verdicts.
"""

from __future__ import annotations

from swarm_env.study.annotation import Annotation, load_annotation
from swarm_env.study.plan import SCHEMA, Found, Study

__all__ = ["SCHEMA", "Annotation", "Found", "Study", "load_annotation"]
