"""`swarm reproduce compare`: both methods in the same markets, from what their studies have trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import swarm_env
from swarm_env import cli
from swarm_env.engine.run import HERE
from trainers.reproduce import compare, markets


def test_a_training_that_is_not_there_is_named_with_what_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reproduce", "compare", "--out", str(tmp_path / "mine"), "--seeds", "1"]) == 2
    said = capsys.readouterr().err
    assert "waltz_seed0: no finished training there; run 'swarm reproduce waltz' first" in said


def test_everybody_governs_the_same_markets_and_the_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = swarm_env.load_scenario("baseline", ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"])
    monkeypatch.setattr(compare, "SCENARIOS", ("baseline",))
    monkeypatch.setattr(swarm_env, "load_scenario", lambda name: scenario)
    answers = {"scripts": "scripts", "everybody refuses": "cautious", "scripts again": "scripts"}
    monkeypatch.setattr(compare, "ANSWERS", dict.fromkeys(answers))
    monkeypatch.setattr(compare, "specs", lambda folder, seed: answers)
    written = compare.study(tmp_path / "mine", 2, HERE, quick=True)
    text = written[0].read_text()
    assert text.count("| scripts") == 2
    assert "#### `baseline`" in text
    scores = json.loads((tmp_path / "mine" / "scores" / "seed1.json").read_text())["baseline"]
    assert scores["scripts"] == scores["scripts again"] != scores["everybody refuses"]
    assert set(scores["scripts"]) == {metric for _, metric, _ in markets.COLUMNS}
    assert scores["scripts"]["feedback_trigger_rate"] is None
    before = (tmp_path / "mine" / "scores" / "seed1.json").stat().st_mtime_ns
    assert compare.study(tmp_path / "mine", 2, HERE, quick=True)[0].read_text() == text
    assert (tmp_path / "mine" / "scores" / "seed1.json").stat().st_mtime_ns == before
