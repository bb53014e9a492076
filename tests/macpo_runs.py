"""A MACPO run of seconds, for tests."""

from __future__ import annotations

from pathlib import Path

SMALL = (
    "overrides=[simulation.n_epochs=2,simulation.steps_per_epoch=10]", "populations=2", "num_envs=16", "contexts=96",
    "held_out=64", "supervision.labels=40", "teachers.epochs=10", "teachers.negative_epochs=4", "teachers.hidden=[8]",
    "student.hidden=[16]", "student.epochs=2", "rounds=2", "round_episodes=2", "eval_episodes=2",
)  # fmt: skip
#: What a whole and a resumed run must leave alike.
SAME = ("policy.safetensors", "metrics.csv", "evaluation.json", "config.yaml")


def arguments(*more: str) -> list[str]:
    return ["train", "macpo", *(part for value in SMALL for part in ("--set", value)), *more]


def contents(folder: Path) -> dict[str, bytes]:
    """What a run leaves, apart from clocks and machines."""
    files = [folder / name for name in SAME] + sorted((folder / "sets").iterdir())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.exists()}
