"""The real command, end to end: what a user types, what they see, what is left on disk."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import swarm_env
from swarm_env.catalog import shipped
from swarm_env.recording import KEYS, RecordingError, number, read_events, replay
from swarm_env.tally import COLUMNS

ROOT = Path(__file__).resolve().parent.parent


def swarm(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "swarm_env", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def clean(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """Its output; no traceback whatever happened."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("scenario", sorted(shipped()))
def test_run_then_analyze_then_replay(scenario: str, tmp_path: Path) -> None:
    output = clean(swarm("run", str(shipped()[scenario]), cwd=tmp_path))
    log, table = tmp_path / f"logs/{scenario}_events.jsonl", tmp_path / f"logs/{scenario}_metrics.csv"
    assert f"wrote logs/{log.name}" in output
    criteria = swarm_env.load_scenario(scenario).success_criteria.model_dump(exclude_none=True)
    assert output.count("PASS") + output.count("FAIL") == len(criteria)

    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == KEYS + COLUMNS
    assert len(rows) == swarm_env.load_scenario(scenario).simulation.n_epochs
    (tally,) = replay(log)
    for row, again in zip(rows, tally.rows, strict=True):
        assert [row[name] for name in COLUMNS] == [number(again[name]) for name in COLUMNS]

    analysis = clean(swarm("analyze", str(table), "--metrics", "toxicity_rate,quality_gap,spread", cwd=tmp_path))
    assert all(name in analysis for name in ("toxicity_rate", "quality_gap", "spread", "slope", scenario))


def test_two_runs_differ_in_the_metadata_line_only(tmp_path: Path) -> None:
    texts = []
    for folder in ("a", "b"):
        clean(swarm("run", "macpo_weak_to_strong", "--epochs", "3", "--seed", "9", "--out", folder, cwd=tmp_path))
        log = (tmp_path / folder / "macpo_weak_to_strong_events.jsonl").read_text(encoding="utf-8")
        table = (tmp_path / folder / "macpo_weak_to_strong_metrics.csv").read_text(encoding="utf-8")
        first, rest = log.split("\n", 1)
        assert json.loads(first)["event"] == "run"
        assert json.loads(first)["seed"] == 9
        texts.append((rest, table))
    assert texts[0] == texts[1]


def test_seeds_give_a_row_each_and_mean_and_sd(tmp_path: Path) -> None:
    output = clean(swarm("run", "baseline", "--seeds", "3", "--seed", "7", cwd=tmp_path))
    lines = [line.split() for line in output.splitlines()]
    by_seed = {line[0]: line for line in lines if line and line[0] in ("7", "8", "9", "mean", "sd")}
    assert set(by_seed) == {"7", "8", "9", "mean", "sd"}
    counts = [float(by_seed[seed][1]) for seed in ("7", "8", "9")]
    assert float(by_seed["mean"][1]) == pytest.approx(sum(counts) / 3, abs=0.06)
    rows = list(csv.DictReader((tmp_path / "logs/baseline_metrics.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["seed"] for row in rows] == ["7"] * 10 + ["8"] * 10 + ["9"] * 10
    assert len(replay(tmp_path / "logs/baseline_events.jsonl")) == 3


def test_set_epochs_out_and_check(tmp_path: Path) -> None:
    strict = ("--set", "success_criteria.toxicity_threshold=0.01", "--epochs", "2", "--out", "here")
    output = clean(swarm("run", "baseline", *strict, cwd=tmp_path))
    assert "FAIL  toxicity_threshold 0.0100" in output
    assert len((tmp_path / "here/baseline_metrics.csv").read_text().splitlines()) == 3
    clean(swarm("run", "baseline", *strict, "--check", cwd=tmp_path), code=1)
    assert clean(swarm("run", "baseline", "--quiet", cwd=tmp_path)) == ""


BAD: list[tuple[list[str], list[str]]] = [
    (["run", "nothing.yaml"], ["nothing.yaml", "no such file"]),
    (
        ["run", "baseline", "--set", "governance.audit_probabilty=0.5"],
        ["audit_probabilty", "did you mean", "audit_probability"],
    ),
    (["run", "baseline", "--set", "payoff.theta=2"], ["payoff.theta", "2", "[0, 1]"]),
    (["run", "baseline", "--seeds", "0"], ["--seeds must be at least 1"]),
    (["run", "baseline", "--seed", "-1"], ["seed must be in 0..2**63-1"]),
    (["run", "baseline", "--epochs", "0"], ["simulation.n_epochs", "0"]),
    (["run", "baseline", "--out", "file.txt"], ["cannot be written"]),
    (["analyze", "logs/none_metrics.csv"], ["none_metrics.csv"]),
    (["list", "lever"], ["unknown topic 'lever'", "levers"]),
    (["validate", "broken.yaml"], ["broken.yaml:2", "agents"]),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else None)
def test_bad_input_is_one_clear_line_and_exit_code_2(arguments: list[str], said: list[str], tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("in the way")
    (tmp_path / "broken.yaml").write_text("scenario_id: x\nagents: 3\n")
    done = swarm(*arguments, cwd=tmp_path)
    clean(done, code=2)
    assert all(part in done.stderr for part in said), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "logs").exists()


def test_a_failed_run_loses_nothing(tmp_path: Path) -> None:
    clean(swarm("run", "baseline", "--epochs", "2", cwd=tmp_path))
    before = {path.name: path.read_bytes() for path in (tmp_path / "logs").iterdir()}
    clean(swarm("run", "baseline", "--seed", "-5", cwd=tmp_path), code=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "logs").iterdir()} == before


def test_validate_checks_many_files_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("scenario_id: x\n")
    files = [str(path) for path in shipped().values()]
    done = swarm("validate", *files[:2], "bad.yaml", *files[2:], cwd=tmp_path)
    assert clean(done, code=2).count(": ok (") == len(files)
    assert "bad.yaml" in done.stderr
    clean(swarm("validate", *files, cwd=tmp_path))


def test_list_shows_every_registry(tmp_path: Path) -> None:
    output = clean(swarm("list", cwd=tmp_path))
    for registry in (shipped(), swarm_env.LEVERS, swarm_env.ARCHETYPES, swarm_env.METRICS):
        assert all(name in output for name in registry)
    assert "toxicity_rate" not in clean(swarm("list", "levers", cwd=tmp_path))


def test_a_broken_log_is_named_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "x.jsonl"
    with pytest.raises(RecordingError, match="No such file"):
        replay(log)
    log.write_text('{"event":"run"}\nnonsense\n')
    with pytest.raises(RecordingError, match="line 2: not an event: 'nonsense"):
        list(read_events(log))
    log.write_text('{"event":"settlement"}\n')
    with pytest.raises(RecordingError, match="does not start with a run"):
        replay(log)
    log.write_text('{"event":"scenario","format":99,"agents":[]}\n')
    with pytest.raises(RecordingError, match="format 99"):
        replay(log)


def test_the_log_tells_everything_that_happened(tmp_path: Path) -> None:
    result = swarm_env.run("strict_governance", out=tmp_path)
    events = list(read_events(tmp_path / "strict_governance_events.jsonl"))
    kinds = {event["event"] for event in events}
    assert kinds >= {"run", "scenario", "proposal", "settlement", "audit", "violation", "freeze", "release", "epoch"}
    assert kinds >= {"post", "vote", "task", "penalty"}
    settled = [event for event in events if event["event"] == "settlement"]
    assert len(settled) == result.metrics["total_interactions"]
    for event in settled:
        assert event["c_a"] == pytest.approx(sum(a for a, _ in event["costs"].values()), abs=1e-12)
        assert event["c_b"] == pytest.approx(sum(b for _, b in event["costs"].values()), abs=1e-12)
    made = {(e["step"], e["agent"]): e for e in events if e["event"] == "proposal"}
    for event in settled:  # every settlement is of a proposal made in the step before
        offer = made[event["step"] - 1, event["initiator"]]
        assert (offer["target"], offer["p"]) == (event["counterparty"], event["p_offer"])


def test_run_returns_what_it_writes() -> None:
    first, again = (swarm_env.run("baseline", seed=11, out=None) for _ in range(2))
    assert [list(map(repr, row.items())) for row in first.epochs] == [list(map(repr, r.items())) for r in again.epochs]
    assert first.metrics["total_interactions"] == sum(row["total_interactions"] for row in first.epochs)
    assert first.metrics["total_welfare"] == pytest.approx(sum(row["total_welfare"] for row in first.epochs))
    other = swarm_env.run("baseline", seed=12, out=None)
    assert first.metrics["total_welfare"] != other.metrics["total_welfare"]


def test_public_names_load(tmp_path: Path) -> None:
    loaded: dict[str, Any] = {name: getattr(swarm_env, name) for name in swarm_env.__all__}
    assert callable(loaded["run"])
    assert set(swarm_env.__all__) <= set(dir(swarm_env))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = swarm_env.nothing
