"""The `judge:` part of configs."""

from __future__ import annotations

from pydantic import Field

from swarm_env.scenario.settings import Section
from trainers.checkpoint import RunError
from trainers.language.judges import Judge


class JudgeSettings(Section):
    """``judge:``."""

    kind: str = Field(default="exact", description="exact: of the built-in language")


def open_judge(settings: JudgeSettings, exact: Judge | None) -> Judge:
    """The judge that settings name."""
    if exact is None:
        raise RunError("judge.kind: exact judges the built-in language alone")
    return exact
