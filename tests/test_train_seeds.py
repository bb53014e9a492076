"""`swarm train ALGORITHM --seeds N`: a run folder each, the same bytes as one by one, finished ones kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm_env import cli
from tests.test_reproduce_jobs import SMALL, contents

LINE = ["train", "ppo", "--quiet", *(part for override in SMALL for part in ("--set", override))]


def test_seeds_are_trained_by_workers_as_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*LINE, "--seed", "4", "--seeds", "2", "--workers", "2", "--out", str(tmp_path / "many")]) == 0
    folders = sorted(path for path in (tmp_path / "many").iterdir())
    assert [path.name[-6:] for path in folders] == ["_seed4", "_seed5"]
    assert cli.main([*LINE, "--seed", "5", "--out", str(tmp_path / "one")]) == 0
    assert contents(folders[1]) == contents(tmp_path / "one")
    assert contents(folders[0]) != contents(tmp_path / "one")
    capsys.readouterr()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").rglob("*")}
    again = [part for part in LINE if part != "--quiet"]
    assert cli.main([*again, "--seed", "4", "--seeds", "2", "--out", str(tmp_path / "many")]) == 0
    said = capsys.readouterr()
    assert "2 of 2 trainings are there" in said.err
    assert said.out.count("wrote ") == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "many").rglob("*")} == before


def test_what_cannot_be_trained_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [*LINE, "--seeds", "2", "--set", "learners=[honest_9]", "--out", str(tmp_path)]
    assert cli.main(line) == 3
    assert "2 of 2 jobs could not be done, the first: ppo_" in capsys.readouterr().err
    failures = json.loads((tmp_path / "failures.json").read_text())["failures"]
    assert [failure["kind"] for failure in failures] == ["train", "train"]
    assert all("honest_9" in failure["why"] for failure in failures)
    for wrong, said in (
        (["--seeds", "0"], "--seeds 0 is out of range"),
        (["--resume", "x", "--seeds", "2"], "--resume"),
    ):
        assert cli.main([*LINE, *wrong]) == 2
        assert said in capsys.readouterr().err
