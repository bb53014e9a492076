"""`swarm evaluate`: what a user types and sees, what is left on disk, after a kill and after a mistake too."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env import cli, statistics
from swarm_env.compile import compile_scenario
from swarm_env.evaluation.plan import APART
from swarm_env.evaluation.policies import at_random
from swarm_env.evaluation.protocol import Setting

SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"]
WALTZ = "alignment_waltz_targeted_feedback"
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals have tests of their own."""
    monkeypatch.setattr(statistics, "RESAMPLES", 100)


def short(name: str = WALTZ, *more: str) -> Any:
    return swarm_env.load_scenario(name, [*SHORT, *more])


POLICIES = '''
import os, signal
import numpy as np

def idle(observation, mask):
    return np.zeros((len(mask), NUM_HEADS), dtype=int)

class Coin:
    """A factory; dies where it is told to."""
    def __init__(self, setting):
        if os.environ.get("DIE_AT") == str(setting.seed):
            os.kill(os.getpid(), signal.SIGKILL)
        self.rng, self.ends = np.random.default_rng(setting.seed), np.cumsum(setting.nvec)[:-1]
    def __call__(self, observation, mask):
        drawn = self.rng.random(mask.shape) * mask
        return np.stack([part.argmax(axis=1) for part in np.split(drawn, self.ends, axis=1)], axis=1)

def nan(observation, mask): return np.full((len(mask), NUM_HEADS), np.nan)
def flat(observation, mask): return np.zeros(len(mask), dtype=int)
def huge(observation, mask): return np.full((len(mask), NUM_HEADS), 99)
def text(observation, mask): return [["a"] * NUM_HEADS] * len(mask)
def half(observation, mask): return np.full((len(mask), NUM_HEADS), 0.5)
def eager(observation, mask): return np.array([[1] * (NUM_HEADS - 3) + [0, 0, 0]] * len(mask))
def broken(observation, mask): raise KeyError("weights")
def unready(setting): raise OSError("no\\nfile")
def three(a, b, c): return None
def unmade(setting): return 7
number = 7
'''.replace("NUM_HEADS", str(len(compile_scenario(swarm_env.load_scenario(WALTZ)).nvec)))  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_policies.py").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_policies", raising=False)
    return tmp_path


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **environment}
    short_ones = [part for override in SHORT for part in ("--set", override)]
    line = [sys.executable, "-m", "swarm_env", "evaluate", *arguments, *short_ones]
    return subprocess.run(line, capture_output=True, text=True, env=whole, check=False)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_the_command_end_to_end_and_a_killed_run_ends_with_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--policy", "scripts", "--policy", "coin=my_policies:Coin", "--policy", "idle=my_policies:idle"]
    asked += ["--scenario", WALTZ, "--episodes", "4", "--seeds", "5", "--seats", "honest_*", "--out"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    overrides = [part for override in SHORT for part in ("--set", override)]
    monkeypatch.setattr(statistics, "RESAMPLES", 5_000)
    assert cli.main(["evaluate", *asked, "whole", *overrides, "--quiet"]) == 0
    killed = command(*asked, "killed", DIE_AT=str(3 * APART))
    assert killed.returncode == -9
    assert set(contents(folder / "killed")) == {"units.jsonl"}
    lines = (folder / "killed/units.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 3 * 3 + 1  # scripts had played the fourth seed
    (folder / "killed/units.jsonl").write_bytes(b"".join(lines)[:-40])  # cut off in the last line
    resumed = command(*asked, "killed")
    assert resumed.returncode == 0, resumed.stderr
    for said in (
        "less scripts, on the same seeds",
        "net_social_welfare",
        "p Holm",
        "coin",
        "wrote killed/results.json",
    ):
        assert said in resumed.stdout
    assert contents(folder / "killed") == contents(folder / "whole")
    results = json.loads((folder / "whole/results.json").read_text())
    check_document(results)
    rows = list(csv.DictReader((folder / "whole/runs.csv").read_text().splitlines()))
    values = {(row["policy"], int(row["seed"]), row["metric"]): row["value"] for row in rows}
    for run in results["runs"]:
        for metric, value in run["metrics"].items():
            cell = values[run["policy"], run["seed"], metric]
            assert (cell == "") if value is None else (float(cell) == value)
        assert float(values[run["policy"], run["seed"], "agent.honest_2"]) == run["returns"]["honest_2"]


def check_document(results: dict[str, Any]) -> None:
    """What docs/evaluation.md promises of results.json."""
    assert results["schema"] == "swarm-evaluation/2"
    assert results["created"] == "2023-11-14T22:13:20+00:00"
    assert {"python", "swarm-env", "numpy", "numba", "scipy"} <= set(results["versions"])
    assert results["settings"]["baseline"] == "scripts"
    assert [policy["name"] for policy in results["policies"]] == ["scripts", "coin", "idle"]
    assert results["seats"] == {WALTZ: ["honest_1", "honest_2", "honest_3"]}
    assert [(run["policy"], run["seed"]) for run in results["runs"]] == [
        (policy, seed) for policy in ("scripts", "coin", "idle") for seed in range(5)
    ]
    keys = {"policy", "scenario", "metric", "n", "undefined", "mean", "sd", "low", "high", "iqm", "iqm_low", "iqm_high"}
    assert all(set(row) == keys for row in results["summary"])
    keys = {"policy", "baseline", "scenario", "metric", "n", "undefined", "difference", "low", "high", "effect_size"}
    assert all(set(row) == keys | {"p", "p_holm", "primary"} for row in results["comparisons"])
    by_metric = {row["metric"]: row for row in results["summary"] if row["policy"] == "idle"}
    runs = [run for run in results["runs"] if run["policy"] == "idle"]
    means = [run["metrics"]["focal_return"] for run in runs]
    assert by_metric["focal_return"]["mean"] == pytest.approx(np.mean(means))
    assert by_metric["focal_return"]["sd"] == pytest.approx(np.std(means, ddof=1))
    assert {"return.honest", "return.adversarial", "passed.toxicity_threshold"} <= set(by_metric)


def test_the_same_call_reads_what_is_there_and_baseline_and_metrics_may_change(tmp_path: Path) -> None:
    first = swarm_env.evaluate(["scripts", "random"], short(), 2, 2, out=tmp_path / "a")
    before = (tmp_path / "a/units.jsonl").read_bytes()
    calls: list[tuple[int, int]] = []
    again = swarm_env.evaluate(
        ["scripts", "random"], short(), 2, 2, out=tmp_path / "a", baseline="random", metrics=["spread"],
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert (tmp_path / "a/units.jsonl").read_bytes() == before
    assert set(calls) == {(4, 4)}
    assert str(again.results["runs"]) == str(first.results["runs"])
    ours, theirs = again.comparison("scripts", "spread"), first.comparison("random", "spread")
    assert ours["difference"] == -theirs["difference"]
    assert (ours["primary"], theirs["primary"]) == (True, False)


def test_without_out_the_same_command_finds_its_folder_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["evaluate", "--policy", "scripts", "--policy", "adversarial", "--scenario", "baseline", "--episodes", "1"]
    line += ["--seeds", "2", "--set", SHORT[0], "--set", SHORT[1], "--quiet"]
    seated = ["--first-seed", "7", "--mode", "visitor", "--seats", "honest_1", "--seats", "deceptive_*"]
    assert cli.main([*line, *seated]) == 0
    (found,) = (folder / "runs").iterdir()
    results = json.loads((found / "results.json").read_text())
    assert found.name == f"evaluate_{results['settings']['settings_hash']}"
    assert results["settings"]["first_seed"] == 7
    assert results["seats"] == {"baseline": ["honest_1", "deceptive_1"]}
    before = contents(found)
    assert cli.main([*line, *seated]) == 0
    assert contents(found) == before
    assert cli.main([*line, "--first-seed", "8", "--baseline", "adversarial", "--metrics", "spread,penalty_total"]) == 0
    (other,) = (path for path in (folder / "runs").iterdir() if path != found)
    settings = json.loads((other / "results.json").read_text())["settings"]
    assert (settings["baseline"], settings["primary"]) == ("adversarial", ["spread", "penalty_total"])
    said = capsys.readouterr()
    assert said.out + said.err == ""


BAD: list[tuple[list[str], list[str]]] = [
    (["--policy", "a=hones"], ["policy a", "'hones'", "honest", "allowed", "module:function"]),
    ([], ["policies", "none given"]),
    (["--policy", "scripts", "--policy", "scripts"], ["'scripts' is given twice"]),
    (["--policy", "a/b=scripts"], ["policy name 'a/b'"]),
    (["--policy", "scripts", "--seats", "honets_1"], ["seats in " + WALTZ, "'honets_1'", "honest_1"]),
    (["--policy", "scripts", "--metrics", "toxicity"], ["metrics", "'toxicity'", "toxicity_rate"]),
    (["--policy", "scripts", "--scenario", "nothing"], ["nothing", "no such file"]),
    (["--policy", "scripts", "--scenario", WALTZ], ["given twice"]),
    (["--policy", "scripts", "--episodes", "0"], ["episodes", "1..1048576", "0"]),
    (["--policy", "scripts", "--seeds", "0"], ["seeds", "1..1024", "0"]),
    (["--policy", "scripts", "--first-seed", "-1"], ["first_seed", "-1"]),
    (["--policy", "scripts", "--mode", "guest"], ["mode", "'guest'", "resident, visitor"]),
    (["--policy", "scripts", "--baseline", "script"], ["baseline", "'script'", "scripts"]),
    (["--policy", "a=no_such_module:f"], ["policy a", "no_such_module"]),
    (["--policy", "a=my_policies:idel"], ["policy a", "'idel'", "idle"]),
    (["--policy", "a=my_policies:number"], ["policy a", "not callable"]),
    (["--policy", "a=my_policies:three"], ["policy a", "(observation, mask)"]),
    (["--policy", "a=my_policies:unmade"], ["policy a", "factory returned no callable"]),
    (["--policy", "a=."], ["policy a", "holds no training run"]),
    (["--policy", "a=foreign"], ["policy a", "run.json", "damaged"]),
    (["--policy", "a=unknown"], ["policy a", "'alchemy'", "ppo"]),
    (["--policy", "a=my_policies:nan"], ["policy a", "step 0", "honest_1", "chose nan", "head 0", "allows [0]"]),
    (["--policy", "a=my_policies:flat"], ["policy a", "shape (6,)", "(6, 7) whole numbers"]),
    (["--policy", "a=my_policies:huge"], ["chose 99", "head 0"]),
    (["--policy", "a=my_policies:text"], ["policy a", "must be whole numbers"]),
    (["--policy", "a=my_policies:half"], ["chose 0.5"]),
    (["--policy", "a=my_policies:eager"], ["honest_1", "chose 1", "head 0", "allows [0]"]),
    (["--policy", "a=my_policies:broken"], ["policy a", "raised KeyError", "weights"]),
    (["--policy", "a=my_policies:unready"], ["policy a", "making it raised OSError: no file"]),
    (["--policy", "a=half_written:f"], ["policy a", "cannot import 'half_written'", "SyntaxError"]),
    (["--policy", "scripts", "--out", "full"], ["full", "not empty", "--out"]),
    (["--policy", "scripts", "--out", "run.txt"], ["run.txt", "cannot be written"]),
    (["--policy", "scripts", "--out", "other"], ["other/units.jsonl", "not the units of an evaluation"]),
    (["--policy", "scripts", "--out", "noise"], ["noise/units.jsonl, line 1", "damaged"]),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda v: " ".join(v)[:50])
def test_bad_input_is_one_clear_line(
    arguments: list[str], said: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run.txt").write_text("in the way")
    (folder / "half_written.py").write_text("def f(")
    for name, file, text in (
        ("full", "thesis.txt", "mine"), ("foreign", "run.json", "[]"), ("other", "units.jsonl", '{"a": 1}\n'),
        ("unknown", "run.json", '{"identity": {"trainer": "alchemy"}}'), ("noise", "units.jsonl", "\0\1\n"),
    ):  # fmt: skip
        (folder / name).mkdir()
        (folder / name / file).write_text(text)
    fast = ["--scenario", WALTZ, "--episodes", "2", "--seeds", "1", "--set", SHORT[0], "--set", SHORT[1]]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert cli.main(["evaluate", *fast, *arguments]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in said), error
    assert error.startswith("swarm: ")
    assert len(error.strip().splitlines()) == 1
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_policy_that_fails_leaves_the_results_of_the_others(folder: Path) -> None:
    def late(setting: Setting) -> Any:
        return (lambda seen, mask: np.full((len(mask), 7), np.nan)) if setting.seed else at_random(setting)

    with pytest.raises(ValueError, match=r"policy late in alignment_waltz_targeted_feedback, step 0: honest_1"):
        swarm_env.evaluate({"scripts": "scripts", "late": late}, short(), 2, 2, out="kept")
    lines = (folder / "kept/units.jsonl").read_text().splitlines()
    units = [json.loads(line) for line in lines[1:]]
    assert [(unit["policy"], unit["seed"]) for unit in units] == [("scripts", 0), ("late", 0), ("scripts", 1)]


def test_parquet_holds_what_the_csv_holds(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    swarm_env.evaluate(["scripts"], short(), 1, 1, out=tmp_path)
    columns = parquet.read_table(tmp_path / "runs.parquet").to_pydict()
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    assert columns["metric"] == [row["metric"] for row in rows]
    values = [float(row["value"] or "nan") for row in rows]
    assert np.array_equal(columns["value"], values, equal_nan=True)


def test_two_processes_do_not_write_one_evaluation(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no file locks here")
    swarm_env.evaluate(["scripts"], short(), 1, 1, out=tmp_path)
    before = contents(tmp_path)
    with (tmp_path / "units.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is at work"):
            swarm_env.evaluate(["scripts"], short(), 1, 1, out=tmp_path)
    swarm_env.evaluate(["scripts"], short(), 1, 1, out=tmp_path)
    assert contents(tmp_path) == before


def test_another_evaluation_or_a_damaged_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    def again(**changed: Any) -> Any:
        settings = {"policies": ["scripts"], "scenarios": short(), "episodes": 2, "seeds": 2, **changed}
        return swarm_env.evaluate(**settings, out=tmp_path)

    again()
    before = contents(tmp_path)
    for changed, said in (
        ({"episodes": 3}, "episodes 2, not 3"), ({"policies": ["random"]}, "policies"), ({"mode": "visitor"}, "mode"),
        ({"scenarios": short(WALTZ, "payoff.h=1")}, "scenarios"), ({"seats": "all"}, "seats"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"belongs to another evaluation: {said}"):
            again(**changed)
    assert contents(tmp_path) == before
    lines = before["units.jsonl"].splitlines(keepends=True)
    (tmp_path / "units.jsonl").write_bytes(lines[0] + lines[1][:100] + b"\n" + lines[2])
    with pytest.raises(ValueError, match=r"units.jsonl, line 2: damaged"):
        again()
    changed = lines[1].replace(b'"acceptance_rate":0.', b'"acceptance_rate":0.1')
    assert changed != lines[1]
    for line in (changed, b'{"policy":"scripts","scenario":"x","seed":0}\n', b"[1]\n", b"\xff\n"):
        (tmp_path / "units.jsonl").write_bytes(lines[0] + lines[2] + line)
        with pytest.raises(ValueError, match=r"units.jsonl, line 3: damaged"):
            again()
    (tmp_path / "units.jsonl").write_bytes(lines[0][:50])  # killed in its first line
    again()
    assert contents(tmp_path)["runs.csv"] == before["runs.csv"]
