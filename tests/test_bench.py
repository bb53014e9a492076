"""The benchmark's results, ratios, bars and tables, from made-up numbers; and the smallest of real measurements."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import plan, report, run
from benchmarks.bars import BARS
from benchmarks.figures import Figures
from benchmarks.phase_runs import CALL, prefixes
from benchmarks.plan import PLAN, Measurement
from benchmarks.populations import scenario
from swarm_env.compile import compile_scenario
from swarm_env.core.claims import ALONE

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
VERDICTS = {True: "met", False: "**not met**", None: "not measured"}


def record(id: str, rates: list[float], agents: int = 7, **more: Any) -> dict[str, Any]:
    """Repeats of one CPU second and two wall seconds."""
    raw = [{"count": rate, "wall": 2.0, "cpu": 1.0, "parts": None} for rate in rates]
    empty = {"id": id, "label": id, "run": "market_runs.batch", "args": {}, "agents": agents, "status": "ok"}
    return {**empty, "reason": None, "facts": {}, "raw": raw, **more}


def made_up(*measurements: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": report.VERSION,
        "date": "2026-01-02",
        "machine": {"kind": "2 made-up cores", "processor": "none", "cores": 2},
        "packages": {"python": "3.11.0", "vmas": None},
        "sources": "0" * 16,
        "settings": {"rounds": 3, "seconds": 0.5, "quick": False},
        "defaults": {"num_threads": 1},
        "load": ["0.10, 0.10, 0.10", "0.20, 0.10, 0.10"],
        "measurements": list(measurements),
    }


def bar(results: dict[str, Any], start: str) -> tuple[float | None, bool | None]:
    found = next(bar for bar in BARS if bar.text.startswith(start))
    return found.value(Figures(results)), found.met(Figures(results))


def test_ratios_are_medians_of_the_rounds_own_ratios() -> None:
    figures = Figures(made_up(record("a/x", [10.0, 40.0, 90.0]), record("a/y", [10.0, 20.0, 30.0])))
    assert figures.rate("a/x") == 40.0
    assert figures.rate("a/x", "wall") == 20.0
    assert figures.ratio("a/x", "a/y") == 2.0  # of 1, 2 and 3
    assert figures.ratio("a/x", "a/missing") is None


def test_bars_by_hand() -> None:
    bridge = record("market/bridge", [10_000.0] * 3)
    fast = made_up(record("market/batch", [12e6, 10e6, 11e6]), bridge, record("market/parallel", [210_000.0]))
    assert bar(fast, "vector env, 7 agents") == (11e6, True)
    assert bar(fast, "the same against") == (1100.0, True)
    assert bar(fast, "dict ParallelEnv") == (30_000.0, True)
    slow = made_up(record("market/batch", [4e6] * 3), bridge)
    assert bar(slow, "vector env, 7 agents") == (4e6, False)
    assert bar(slow, "the same against") == (400.0, False)
    assert bar(slow, "two threads") == (None, None)


def test_the_lead_over_vmas_is_the_smallest_one() -> None:
    ids = [(n, rows) for n in (3, 8) for rows in plan.SPREAD_ROWS]
    ours = [record(f"spread{n}/ours_{rows}", [10.0]) for n, rows in ids]
    theirs = [record(f"spread{n}/vmas_{rows}", [20.0 if (n, rows) == (3, 8192) else 5.0]) for n, rows in ids]
    assert bar(made_up(*ours, *theirs), "ahead of VMAS") == (0.5, False)


def test_threads_are_judged_on_an_idle_machine_only() -> None:
    def pair(wall: float) -> dict[str, Any]:
        one = record("grid7/4096x1", [], raw=[{"count": 100, "wall": wall, "cpu": 1.0, "parts": None}])
        two = record("grid7/4096x2", [], raw=[{"count": 180, "wall": wall, "cpu": 1.8, "parts": None}])
        two["args"] = {"threads": 2}
        return made_up(one, two)

    assert bar(pair(1.0), "two threads") == (pytest.approx(1.8), True)
    assert bar(pair(2.0), "two threads") == (pytest.approx(1.8), None)
    assert "not judged: busy machine" in report.bars(Figures(pair(2.0)))


def test_growth_compares_late_epochs_with_early_ones() -> None:
    parts = {str(epoch): [10, 2.0, 3.0 if epoch >= 96 else 2.0] for epoch in range(1, 101)}
    long = record("limits/epochs", [1.0], raw=[{"count": 1000, "wall": 1.0, "cpu": 1.0, "parts": parts}])
    assert bar(made_up(long), "a step late") == (pytest.approx(1.5), False)


def test_every_bar_is_listed_measured_or_not() -> None:
    results = made_up(record("market/batch", [11e6]))
    lines = report.bars(Figures(results)).splitlines()[2:]
    assert len(lines) == len(BARS)
    for line, each in zip(lines, BARS, strict=True):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        assert (cells[0], cells[3]) == (each.text, VERDICTS[each.met(Figures(results))])


def test_rendering_is_deterministic_and_keeps_the_prose() -> None:
    results = made_up(
        record("market/batch", [11e6]), record("spread3/vmas_1024", [], status="failed", reason="no vmas")
    )
    once = report.render(PAGE, results)
    assert once == report.render(once, results)
    assert once == report.render(PAGE, json.loads(json.dumps(results)))
    assert "| spread3/vmas_1024 | failed | no vmas |" in once
    for line in PAGE.splitlines():
        if line.startswith("#") or line.startswith("<!--"):
            assert line in once


def test_rendering_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="version 99"):
        report.render(PAGE, {**made_up(), "version": 99})
    with pytest.raises(ValueError, match="has no markers"):
        report.render("a page", made_up())


def test_phases_and_limits_by_hand() -> None:
    parts = {"decide": [1000, 1.0, 1e-6], "observe": [1000, 1.0, 4e-6]}
    phased = record("limits/phases", [1.0], raw=[{"count": 1000, "wall": 1.0, "cpu": 4e-6, "parts": parts}])
    assert "| observe |                3 |   75% |" in report.SECTIONS["phases"](Figures(made_up(phased)))
    facts = {"state_bytes": 700, "shown_bytes": 140, "action_bytes": 70}  # of a row of 7: 2 * 100 + 20 + 10 bytes
    whole = record("limits/batch", [1e6], facts=facts)
    shown = report.SECTIONS["limits"](Figures(made_up(whole, record("limits/triad", [23e9], 0))))
    assert "100,000,000" in shown  # 23e9 / 230
    assert " 1% " in shown


def test_the_first_prefixes_of_a_step_play_no_more_than_they_say() -> None:
    compiled = compile_scenario(scenario("all", 3), "all")
    kernels = prefixes()
    played = dict((next(kernels), next(kernels)))
    assert list(played) == [CALL, "begin"]
    rewards = {}
    for name, kernel in played.items():
        state, view = compiled.allocate(2, infos=False)
        compiled.reset(state, view, 0, 2)
        state.agents["reward"] = 1.0
        kernel(compiled.scene, state, view, np.zeros((2, 3, len(compiled.nvec)), dtype=np.int64), 0, 2, *ALONE)
        rewards[name] = state.agents["reward"].tolist()
        assert state.rows["step"].tolist() == [0, 0]  # `turn` would count
    assert rewards == {CALL: [[1.0] * 3] * 2, "begin": [[0.0] * 3] * 2}


def test_the_plan_names_functions_that_exist() -> None:
    assert len({each.id for each in PLAN}) == len(PLAN)
    for path in sorted({each.run for each in PLAN}):
        module, _, function = path.partition(".")
        assert callable(getattr(importlib.import_module(f"benchmarks.{module}"), function))


def test_the_committed_results_are_what_the_page_shows() -> None:
    path = ROOT / "benchmarks" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    assert report.render(PAGE, results) == PAGE
    assert {each["id"] for each in results["measurements"]} <= {each.id for each in PLAN}
    for each in results["measurements"]:
        assert each["status"] in ("ok", "failed", "skipped")
        assert (each["status"] == "ok") == (each["reason"] is None)
        if each["status"] == "ok":
            assert len(each["raw"]) == results["settings"]["rounds"]
    for private in ("/home/", "/root/", "/work/", "/tmp/"):
        assert private not in path.read_text(encoding="utf-8")


def test_a_measurement_and_its_failures_through_real_processes() -> None:
    kept: list[Any] = []
    args = {"rules": "all", "agents": 3, "rows": 2}
    members = (
        Measurement("t/ours", "ours", "market_runs.batch", args, 3),
        Measurement("t/missing", "missing", "peer_runs.no_such_peer", {}, 3),
        Measurement("t/huge", "huge", "market_runs.batch", {**args, "rows": 10**7}, 3),
    )
    ours, missing, huge = run.measure(members, 0.01, 2, kept.append)
    assert ours["status"] == "ok"
    assert len(ours["raw"]) == 2
    assert all(raw["count"] > 0 and raw["wall"] > 0 and raw["cpu"] > 0 for raw in ours["raw"])
    assert (missing["status"], huge["status"]) == ("failed", "skipped")
    assert "no_such_peer" in missing["reason"]
    assert "GiB" in huge["reason"]
    assert kept


def test_a_run_that_is_cut_off_goes_on_after_the_last_finished_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    members = (Measurement("one/a", "a", "x.y"), Measurement("two/b", "b", "x.y"))
    measured: list[str] = []
    interrupt = True

    def measure(group: Any, seconds: float, rounds: int, keep: Any) -> None:
        del seconds, rounds
        measured.append(group[0].id)
        keep([record(each.id, [1.0, 2.0]) for each in group])
        if interrupt and group[0].id == "two/b":
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "PLAN", members)
    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "PARTIAL", tmp_path / "logs" / "partial.json")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "write", lambda results: None)
    monkeypatch.setattr("sys.argv", ["run"])
    assert run.main() == 130
    left = json.loads(run.PARTIAL.read_text(encoding="utf-8"))
    assert left["done"] == ["one"]
    assert [each["id"] for each in left["measurements"]] == ["one/a", "two/b"]  # of the second one what there is
    interrupt = False
    assert run.main() == 0
    assert measured == ["one/a", "two/b", "two/b"]
    results = json.loads(run.RESULTS.read_text(encoding="utf-8"))
    assert [each["id"] for each in results["measurements"]] == ["one/a", "two/b"]
    assert not run.PARTIAL.exists()
    assert "going on after one" in capsys.readouterr().out
