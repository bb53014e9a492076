"""The shipped scenarios do what they did: see `tests/golden.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_env.catalog import shipped
from tests.golden import FOLDER, playthrough


@pytest.mark.parametrize("scenario", sorted(shipped()))
def test_playthrough_is_as_recorded(scenario: str, tmp_path: Path) -> None:
    recorded = (FOLDER / f"{scenario}.txt").read_text(encoding="utf-8")
    assert playthrough(scenario, tmp_path) == recorded, (
        "behaviour changed; if that is meant: make golden, and a changelog line"
    )


def test_every_recording_belongs_to_a_scenario() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(shipped())
