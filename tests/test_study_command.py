"""`swarm study`: from an annotation to a note, by the command that a user types; after a kill and a mistake, too."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarm_env import cli, load_scenario
from swarm_env.evaluation import statistics
from swarm_env.metrics.registry import METRICS
from swarm_env.study.notes import compact
from swarm_env.study.reading import Change, text
from tests.study_files import changed, contents, write

ROOT = Path(__file__).resolve().parent.parent
#: Runs the command and dies by SIGKILL when it has kept so many units.
KILLED = """
import os, signal, sys
from swarm_env import cli
from swarm_env.engine.store import Store
keep = Store.add
def add(self, *unit):
    keep(self, *unit)
    if len(self) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
Store.add = add
cli.main(sys.argv[2:])
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.chdir(tmp_path)


def killed(units: int, *arguments: str) -> int:
    whole = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", KILLED, str(units), *arguments]
    return subprocess.run(line, capture_output=True, env=whole, check=False).returncode


def test_a_study_end_to_end_and_after_a_kill_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, changed(roles__0__shares=None))
    line = ["study", "small.yaml", "--seeds", "3", "--episodes", "2"]
    assert cli.main([*line, "--out", "whole"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("less_harm", "not testable here", "wrote whole/small_results.md"))
    assert killed(10, *line, "--out", "again") == -9
    assert set(contents(tmp_path / "again")) == {"units.jsonl"}
    units = tmp_path / "again/units.jsonl"
    assert len(units.read_bytes().splitlines()) == 11
    units.write_bytes(units.read_bytes()[:-40])  # cut off in the last line
    assert cli.main([*line, "--out", "again"]) == 2
    assert "holds earlier results; --resume goes on with this study" in capsys.readouterr().err
    assert cli.main([*line, "--out", "again", "--resume", "--quiet"]) == 0
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert capsys.readouterr().out == ""
    _check_note((tmp_path / "whole/small_results.md").read_text())
    _check_numbers(tmp_path / "whole")


def _check_note(note: str) -> None:
    headings = [line for line in note.splitlines() if line.startswith("#")]
    template = (ROOT / "logs/RESULTS_TEMPLATE.md").read_text().splitlines()
    wanted = [line for line in template if line.startswith("###")]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert headings[0] == "# Results: small"
    for bullet in [line[2:].split(":")[0].split(" (")[0] for line in template if line.startswith("- ")]:
        assert f"- {bullet}" in note or f"| `{bullet}` |" in note, bullet
    assert "`swarm study small.yaml --seeds 3 --episodes 2`, 2023-11-14" in note
    assert "swarm reproduce waltz" in note
    assert "words: It reads better. Why not: The market has no words. Tested by: swarm reproduce waltz." in note
    assert str(ROOT) not in note
    for row in [line for line in note.splitlines() if line.startswith("|")]:
        assert row.endswith("|")


def _check_numbers(folder: Path) -> None:
    """results.json is what runs.csv comes to, and the generated scenarios are those that were played."""
    document = json.loads((folder / "results.json").read_text())
    assert document["schema"] == "swarm-study/1"
    rows = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
    by_arm: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        by_arm.setdefault((row["arm"], row["metric"]), []).append(float(row["value"] or "nan"))
    tested = {claim["id"]: claim for claim in document["claims"]}
    ours, theirs = by_arm["targeted", "toxicity_rate"], by_arm["baseline", "toxicity_rate"]
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    assert tested["less_harm"]["estimate"] == pytest.approx(sum(differences) / 3)
    assert tested["charged"]["estimate"] == 1.0
    assert tested["words"]["verdict"] == "not testable here"
    assert tested["words"]["estimate"] is None
    for arm in document["arms"]:
        scenario = load_scenario(folder / "scenarios" / f"{arm['arm']}.yaml")
        assert scenario.content_hash == arm["content_hash"]
    behind = json.loads((folder / "small_results.json").read_text())
    assert set(behind) == {*document, "command", "machine"}
    assert behind["claims"][0]["estimate"] == pytest.approx(tested["less_harm"]["estimate"], rel=1e-5)


def test_without_out_numbers_go_below_runs_and_the_note_to_the_notes(tmp_path: Path) -> None:
    write(tmp_path, changed(roles__0__shares=None, arms=None))
    line = ["study", "small.yaml", "--seeds", "1", "--episodes", "1", "--quiet"]
    assert cli.main(line) == 0
    (work,) = (tmp_path / "runs").iterdir()
    assert work.name.startswith("study_small_")
    assert {path.name for path in (tmp_path / "research/notes").iterdir()} == {"small_results.md", "small_results.json"}
    note = (tmp_path / "research/notes/small_results.md").read_text()
    assert "of 4 claims 0 supported, 0 refuted, 3 undecided, 1 not testable here" in note  # one seed decides nothing
    before = contents(tmp_path)
    assert cli.main([*line, "--resume"]) == 0
    assert contents(tmp_path) == before
    assert cli.main(line) == 2
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.yaml"], ["nothing.yaml", "no such file"]),
        (["small.yaml", "--seeds", "0"], ["seeds", "1..1024", "0"]),
        (["small.yaml", "--episodes", "-1"], ["episodes", "-1"]),
        (["wrong.yaml"], ["wrong.yaml", "claims.0.metric", "did you mean"]),
        (["small.yaml", "--out", "other"], ["other", "another study", "--out"]),
        (["small.yaml", "--out", "full"], ["full", "not empty and holds no study"]),
        (["small.yaml", "--out", "sweep"], ["sweep/units.jsonl", "not the units of a study"]),
    ],
    ids=lambda v: " ".join(v)[:40],
)
def test_bad_input_is_one_clear_line_and_leaves_what_was_there(
    arguments: list[str], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, changed())
    write(tmp_path, changed(claims__0__metric="toxicity"), "wrong.yaml")
    for name, file, content in (
        ("full", "thesis.txt", "mine"), ("sweep", "units.jsonl", '{"schema": "swarm-sweep/1"}\n'),
        ("other", "units.jsonl", _other_head()),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(content)
    before = contents(tmp_path)
    assert cli.main(["study", "--resume", *arguments]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in said), error
    assert len(error.strip().splitlines()) == 1
    assert contents(tmp_path) == before


def _other_head() -> str:
    from swarm_env.engine.journal import digest

    identity = {"arms": [], "seeds": 1}
    head = {"schema": "swarm-study/1", "created": "", "settings_hash": digest(identity), "identity": identity}
    return json.dumps(head) + "\n"


def test_a_change_is_clear_only_with_interval_and_p_and_good_by_its_metric() -> None:
    row = {"difference": 0.2, "low": 0.1, "high": 0.3, "p_holm": 0.01}
    assert METRICS["toxicity_rate"].better == "lower"
    assert (Change("toxicity_rate", row).sign, Change("toxicity_rate", row).good) == (1, -1)
    assert Change("quality_gap", row).good == 1
    assert Change("acceptance_rate", row).good == 0
    for unclear in ({"p_holm": 0.06}, {"low": -0.1}, {"p_holm": float("nan")}):
        assert Change("toxicity_rate", {**row, **unclear}).sign == 0
    assert str(Change("quality_gap", row)) == "`quality_gap` rises by 0.200 [0.100, 0.300]"
    assert str(Change("quality_gap", {**row, "p_holm": 1.0})).startswith("`quality_gap` shows no clear change, 0.200")


def test_numbers_in_text() -> None:
    assert [text(v) for v in (float("nan"), -0.0, 0.12345, 123.45, -0.00002)] == [
        "-",
        "0.000",
        "0.123",
        "123.5",
        "-2.0e-05",
    ]
    lines = compact({"a": 1.23456789, "rows": [{"x": float("nan")}, {"x": 2.0}], "none": []})
    assert json.loads(lines) == {"a": 1.2346, "rows": [{"x": None}, {"x": 2.0}], "none": []}
    assert len(lines.splitlines()) == 8
