"""`swarm sweep`: a grid by the command that a user types; its files, its pictures, after a kill and a mistake."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env import cli
from swarm_env.evaluation import statistics
from swarm_env.sweep.grid import parse_grid
from swarm_env.sweep.heatmap import _over_the_rest, draw
from swarm_env.sweep.plan import REFERENCE, Sweep
from tests.study_files import contents
from tests.test_study_command import killed

WALTZ = "alignment_waltz_targeted_feedback"
SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=6"]
BASE = ["sweep", "--scenario", WALTZ, *(part for each in SHORT for part in ("--set", each))]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.chdir(tmp_path)


def sweep(*grid: str, seeds: int = 1, metrics: Any = ("toxicity_rate",)) -> Sweep:
    return Sweep(WALTZ, parse_grid(grid), seeds, 1, metrics, SHORT)


def test_a_sweep_end_to_end_and_after_a_kill_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [*BASE, "--grid", "governance.audit_probability=0:1:2", "--grid", "governance.audit_threshold_p=.5,1"]
    line += ["--metrics", "governance_cost", "--seeds", "3", "--episodes", "2"]
    assert cli.main([*line, "--out", "whole"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("as it is", "audit_threshold_p", "wrote whole/results.json"))
    assert killed(7, *line, "--out", "again") == -9
    assert set(contents(tmp_path / "again")) == {"units.jsonl"}
    assert cli.main([*line, "--out", "again"]) == 2
    assert "--resume goes on with this sweep" in capsys.readouterr().err
    assert cli.main([*line, "--out", "again", "--resume", "--quiet"]) == 0
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "again") == whole
    assert {"governance_cost.png", "runs.csv", "results.json"} <= set(whole)
    assert whole["governance_cost.png"].startswith(b"\x89PNG")
    _check_document(tmp_path / "whole")


def _check_document(folder: Path) -> None:
    document = json.loads((folder / "results.json").read_text())
    assert document["schema"] == "swarm-sweep/1"
    assert document["axes"][0] == {"key": "governance.audit_probability", "values": [0, 1]}
    assert [cell["cell"] for cell in document["cells"]] == [REFERENCE, "0", "1", "2", "3"]
    assert document["cells"][2]["settings"] == {"governance.audit_probability": 0, "governance.audit_threshold_p": 1}
    rows = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
    costs: dict[str, list[float]] = {}
    for row in rows:
        if row["metric"] == "governance_cost":
            costs.setdefault(row["cell"], []).append(float(row["value"]))
    assert {row["governance.audit_threshold_p"] for row in rows if row["cell"] == REFERENCE} == {""}
    assert costs["0"] == costs["1"]  # nothing is audited: the threshold reads nothing
    assert all(low < high for low, high in zip(costs["2"], costs["3"], strict=True))
    means = {(row["cell"], row["metric"]): row["mean"] for row in document["summary"]}
    assert means["3", "governance_cost"] == pytest.approx(np.mean(costs["3"]))
    (compared,) = [r for r in document["comparisons"] if (r["cell"], r["metric"]) == ("3", "governance_cost")]
    assert compared["difference"] == pytest.approx(np.mean(costs["3"]) - np.mean(costs[REFERENCE]))


def test_cells_are_the_scenarios_that_their_settings_make() -> None:
    made = sweep("governance.audit_probability=.2,.4", "agents.honest.count=2,3")
    cell = swarm_env.load_scenario(WALTZ, [*SHORT, "governance.audit_probability=.4", "agents.honest.count=2"])
    assert made.cells["2"].content_hash == cell.content_hash
    assert made.cells["1"].content_hash == made.base.content_hash
    found = made.run(None)
    assert found.files == ()
    assert found.row("comparisons", "1", "toxicity_rate")["difference"] == 0.0


GRIDS: list[tuple[str, list[str], list[str]]] = [
    (
        "svg",
        ["governance.audit_probability=0,1"],
        ["governance.audit_probability", "95 % interval", "scenario as it is"],
    ),
    ("svg", ["governance.audit_enabled=true,false"], ["true", "false"]),
    ("png", ["payoff.h=2"], []),
    ("pdf", ["payoff.h=1,2", "payoff.theta=.4", "governance.audit_enabled=true"], []),
    ("svg", ["payoff.h=1,2", "payoff.theta=.4,.5", "governance.audit_enabled=true,false"], ["mean over payoff.h"]),
]


@pytest.mark.parametrize(("suffix", "grid", "shown"), GRIDS, ids=lambda v: str(len(v)))
def test_pictures_of_one_two_and_three_axes(suffix: str, grid: list[str], shown: list[str], tmp_path: Path) -> None:
    made = sweep(*grid)
    found = made.run(None)
    (file,) = draw(made, found, tmp_path, suffix)
    assert file.name == f"toxicity_rate.{suffix}"
    first = file.read_bytes()
    assert all(f"<!-- {word}" in first.decode(errors="replace") for word in shown)  # how matplotlib's SVG names a text
    if suffix == "svg":
        draw(made, found, tmp_path, suffix)
        assert file.read_bytes() == first


def test_a_metric_without_a_value_is_drawn_as_such(tmp_path: Path) -> None:
    made = sweep("payoff.h=1,2", "payoff.theta=.4,.5", metrics=["quality_gap"])
    found = made.run(None)
    for row in found.document["summary"]:
        row["mean"] = float("nan")
    assert draw(made, found, tmp_path, "svg")
    assert "undefined" in (tmp_path / "quality_gap.svg").read_text()


def test_other_axes_are_averaged_over_what_is_defined() -> None:
    grid = np.arange(8.0).reshape(2, 2, 2)
    grid[0, 0, 0] = grid[1, 1, 0] = grid[1, 1, 1] = np.nan
    # axes 0 and 1, over the last: means of (nan, 1), (2, 3), (4, 5), (nan, nan)
    assert np.array_equal(_over_the_rest(grid, 0, 1), [[1.0, 2.5], [4.5, np.nan]], equal_nan=True)
    # axes 0 and 2, over the middle: (nan, 2), (1, 3), (4, nan), (5, nan)
    assert np.array_equal(_over_the_rest(grid, 0, 2), [[2.0, 2.0], [4.0, 5.0]])


def test_without_matplotlib_the_numbers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    line = [*BASE, "--grid", "payoff.h=1", "--seeds", "1", "--episodes", "1", "--out", "bare"]
    assert cli.main(line) == 0
    assert 'no pictures: drawing needs matplotlib, which is not installed: pip install "swarm-env[plot]"' in (
        capsys.readouterr().out
    )
    assert "results.json" in contents(tmp_path / "bare")


BAD: list[tuple[list[str], list[str]]] = [
    ([], ["--grid", "none given"]),
    (["--grid", "governance.audit_probabilty=0:.5:6"], ["audit_probabilty", "unknown key", "audit_probability"]),
    (["--grid", "audit_probability=0:.5:6"], ["audit_probability", 'it belongs under "governance"']),
    (
        ["--grid", "governance.audit_probability=0:2:3"],
        ["governance.audit_probability", "2 is out of range", "[0, 1]"],
    ),
    (["--grid", "rate_limits.votes_per_epoch=1:2:3"], ["votes_per_epoch", "1.5", "whole number"]),
    (["--grid", "agents.martian.count=1,2"], ["agents.martian", "is no group", "honest"]),
    (["--grid", "payoff.h="], ["payoff.h", "no values"]),
    (["--grid", "payoff.h=1", "--metrics", "toxicity"], ["metrics", "'toxicity'", "toxicity_rate"]),
    (["--grid", "payoff.h=1", "--metrics", "return.cautious"], ["metrics", "'return.cautious'"]),
    (["--grid", "payoff.h=1", "--metrics", ","], ["metrics", "none given"]),
    (["--grid", "payoff.h=1", "--seeds", "0"], ["seeds", "1..1024", "0"]),
    (["--grid", "payoff.h=1", "--episodes", "0"], ["episodes", "0"]),
    (["--grid", "payoff.h=1", "--format", "gif"], ["format", "'gif'", "png, svg, pdf"]),
    (["--grid", "payoff.h=1", "--set", "payoff.k=1"], ["payoff.k", "unknown key"]),
    (["--grid", "payoff.h=1", "--scenario", "nothing"], ["nothing", "no such file"]),
    (["--grid", "payoff.h=1", "--out", "full"], ["full", "not empty and holds no sweep"]),
    (["--grid", "payoff.h=1", "--out", "kept"], ["kept", "holds earlier results", "--resume"]),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda v: " ".join(v)[:60])
def test_bad_input_is_one_clear_line_and_leaves_what_was_there(
    arguments: list[str], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, file in (("full", "thesis.txt"), ("kept", "units.jsonl")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("mine")
    before = contents(tmp_path)
    assert cli.main([*BASE, *arguments]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in said), error
    assert error.startswith("swarm: ")
    assert len(error.strip().splitlines()) == 1
    assert contents(tmp_path) == before
