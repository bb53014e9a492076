"""`swarm train ppo`: exact resume, whole files, clear errors, and an evaluation that means what it says."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env import cli
from swarm_env.scenario.settings import load_settings
from trainers import checkpoint, evaluation, ppo

ROOT = Path(__file__).resolve().parent.parent
#: 24 updates of a market of 10 steps; a checkpoint every 3
SMALL = [
    "overrides=[simulation.n_epochs=2,simulation.steps_per_epoch=5]", "num_envs=8", "rollout_steps=7",
    "total_steps=4000", "minibatches=2", "checkpoint_every=3", "eval_episodes=4",
]  # fmt: skip


def arguments(*more: str) -> list[str]:
    return ["train", "ppo", *(part for value in SMALL for part in ("--set", value)), *more]


def contents(folder: Path) -> dict[str, str]:
    """What must not change: hash of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(arguments("--out", str(folder), "--quiet")) == 0
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_run_killed_at_a_checkpoint_and_resumed_leaves_what_an_unbroken_one_leaves(
    whole: Path, tmp_path: Path
) -> None:
    folder, environment = tmp_path / "killed", {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "swarm_env"]
    process = subprocess.Popen([*command, *arguments("--out", str(folder), "--quiet")], env=environment)
    while not list(folder.glob("checkpoints/step_*")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "policy.safetensors").exists()
    with (folder / "metrics.csv").open("a") as file:
        file.write("999999,beyond the checkpoint")  # a half-written line
    done = subprocess.run(
        [*command, "train", "ppo", "--resume", str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "above scripts" in done.stdout
    for name in ("policy.safetensors", "metrics.csv", "evaluation.json", "config.yaml"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert contents(folder / "checkpoints") == contents(whole / "checkpoints")
    assert not list(folder.rglob(".*"))  # no temporary file is left


def test_what_a_run_leaves(whole: Path) -> None:
    rows = list(csv.DictReader((whole / "metrics.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [168 * k for k in range(1, 25)]
    assert len(list((whole / "checkpoints").iterdir())) == 2
    ended = [row for row in rows if row["episode/return"]]
    assert len(ended) == 16  # 168 steps of ten-step episodes: seven updates hold one, two or none
    assert all(0 <= float(row["market/acceptance_rate"]) <= 1 for row in ended)
    assert all(row["loss/value_loss"] and row["choice/conduct_honest"] for row in rows)
    said = json.loads((whole / "run.json").read_text())
    assert said["versions"]["stable-baselines3"]
    assert said["identity"]["scenario"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(whole / "tensorboard"))
    board.Reload()
    assert {name for name in rows[0] if name != "step"} <= {*board.Tags()["scalars"]}
    shown = [point.value for point in board.Scalars("market/total_welfare")]
    assert shown == pytest.approx([float(row["market/total_welfare"]) for row in ended], rel=1e-5)


def test_the_evaluation_is_that_of_the_policy_left_behind(whole: Path) -> None:
    results = json.loads((whole / "evaluation.json").read_text())
    policies = {each["policy"]: each for each in results["policies"]}
    assert list(policies) == ["ppo", "random", "scripts"]
    short = ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"]
    scenario = swarm_env.load_scenario(ppo.Config().scenario, short)
    again = evaluation.play("ppo", ppo.load(whole), scenario, "honest_*", 4)
    scripts = evaluation.play_scripts("scripts", scenario, again.agents, 4)
    assert evaluation.summary(again, scripts) == policies["ppo"]
    assert policies["ppo"]["gain"][0] == pytest.approx(again.returns.mean() - scripts.returns.mean())
    assert policies["scripts"]["conduct_honest"] == 1.0


def test_the_shipped_configuration_is_the_defaults() -> None:
    assert ppo.load_config(ROOT / "configs" / "ppo.yaml") == ppo.Config()


def failing(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """The one line that a wrong command prints."""
    assert cli.main(["train", "ppo", *given]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_wrong_settings_are_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert "nowhere.yaml: no such file" in failing(capsys, "--config", "nowhere.yaml", *out)
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 1\nlearningrate: 0.1\n")
    line = failing(capsys, "--config", str(file), *out)
    assert f'{file}:2: learningrate: unknown key (value 0.1); did you mean "learning_rate"?' in line
    assert "SWARM" not in line
    file.write_text("governance: {}\n")
    assert "unknown key" in (line := failing(capsys, "--config", str(file), *out))
    assert "SWARM" not in line
    file.write_text("just text")
    assert "is text, not settings" in failing(capsys, "--config", str(file), *out)
    wrong = {
        "gamma=2": "gamma: 2 is out of range; allowed: a number in [0, 1]", "hidden=[0]": "whole numbers in [1, 4096]",
        "minibatches=7": "minibatches: 7 do not divide num_envs * rollout_steps = 3072", "scenario=none": "no such",
        "learners=[honest_9]": "'honest_9' fits no agent", "overrides=[payoff.tau=1]": "payoff.tau: unknown key",
    }  # fmt: skip
    for setting, what in wrong.items():
        assert what in failing(capsys, "--set", setting, *out)
    assert not (tmp_path / "run").exists()


def test_runs_and_checkpoints_that_cannot_be_used_are_one_line_and_nothing_is_lost(
    copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = contents(copy)
    resume = ["--resume", str(copy)]
    newest = sorted((copy / "checkpoints").iterdir())[-1]
    assert "not empty; go on with it by --resume" in failing(capsys, *arguments("--out", str(copy))[2:])
    assert "belongs to another configuration: gamma 0.99, not 0.5" in failing(capsys, *resume, "--set", "gamma=0.5")
    assert "holds no run" in failing(capsys, "--resume", str(tmp_path))
    assert contents(copy) == before
    content = newest.read_bytes()
    for broken, what in (
        (content[:-100], "not a whole checkpoint"), (b"", "not a whole checkpoint"),
        (content[:-50] + bytes([content[-50] ^ 1]) + content[-49:], "damaged"),
    ):  # fmt: skip
        newest.write_bytes(broken)
        between = contents(copy)
        line = failing(capsys, *resume)
        assert what in line
        assert newest.name in line
        assert contents(copy) == between
    newest.unlink()  # the one before does
    assert cli.main(["train", "ppo", *resume, "--quiet"]) == 0
    kept = {name for name in before if not name.startswith("tensorboard")}
    assert {name: contents(copy)[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.parametrize("updates", [1, 2])
def test_a_trainer_restored_within_an_episode_or_at_its_end_goes_on_alike(updates: int) -> None:
    config = ppo.load_config(None, [*SMALL, "rollout_steps=5"])  # an episode has ten steps
    first = ppo.Trainer(config)
    for _ in range(updates):
        first.update()
    tensors, state = first.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    state = json.loads(json.dumps(state))
    assert bool(kept["starts"].all()) == (updates == 2)
    randomness, drawn = checkpoint.pack_randomness()
    expected = [str(first.update()) for _ in range(3)]
    second = ppo.Trainer(config)
    second.restore(kept, state)
    checkpoint.unpack_randomness(randomness, drawn)
    assert [str(second.update()) for _ in range(3)] == expected
    ours, theirs = first.state()[0], second.state()[0]
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)


def test_a_run_killed_before_its_first_checkpoint_starts_over(whole: Path, copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    (copy / "policy.safetensors").unlink()
    assert cli.main(["train", "ppo", "--resume", str(copy), "--quiet"]) == 0
    for name in ("policy.safetensors", "metrics.csv", "evaluation.json"):
        assert (copy / name).read_bytes() == (whole / name).read_bytes(), name


def test_trainers_use_the_public_side_of_the_package() -> None:
    allowed = {
        "swarm_env", "swarm_env.adapters", "swarm_env.adapters.sb3", "swarm_env.adapters.sb3_policy", "swarm_env.batch",
        "swarm_env.scenario.settings", "swarm_env.scenario.errors", "swarm_env.oversight", "swarm_env.statistics",
        "swarm_env.compile", "swarm_env.engine", "swarm_env.engine.job", "swarm_env.engine.options",
        "swarm_env.engine.run", "swarm_env.evaluation", "swarm_env.evaluation.screen", "swarm_env.evaluation.trained",
    }  # fmt: skip
    for path in (ROOT / "trainers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "swarm_env":
                assert node.module in allowed, f"{path.name} imports {node.module}"


def test_a_checkpoint_of_another_scenario_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads((copy / "run.json").read_text())
    told["identity"]["scenario"] = "0" * 16  # as after an edit of the scenario file
    (copy / "run.json").write_text(json.dumps(told))
    before = contents(copy)
    assert "belongs to another run: scenario 0000000000000000, not " in failing(capsys, "--resume", str(copy))
    assert contents(copy) == before


def test_generators_and_optimisers_come_back_as_they_were(tmp_path: Path) -> None:
    import random

    import torch

    layer = torch.nn.Linear(3, 2)
    adam = torch.optim.Adam(layer.parameters(), lr=0.01)
    layer(torch.ones(3)).sum().backward()
    adam.step()
    tensors, state = checkpoint.pack_optimizer(adam)
    randomness, drawn = checkpoint.pack_randomness()
    expected = (random.random(), np.random.standard_normal(), torch.rand(3).tolist())
    checkpoint.write(tmp_path / "a", {**tensors, **randomness}, {"optimizer": state, "random": drawn})
    kept = checkpoint.read(tmp_path / "a")
    checkpoint.unpack_randomness(kept.tensors, kept.state["random"])
    assert (random.random(), np.random.standard_normal(), torch.rand(3).tolist()) == expected
    other = torch.optim.Adam(layer.parameters(), lr=0.5)
    checkpoint.unpack_optimizer(other, kept.tensors, kept.state["optimizer"])
    ours, theirs = other.state_dict(), adam.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for number, entry in theirs["state"].items():
        assert all(torch.equal(value, ours["state"][number][key]) for key, value in entry.items())


def test_what_scripts_earn_is_what_their_resources_gain() -> None:
    scenario = swarm_env.load_scenario("strict_governance", ["market.initial_resources=1000000"])
    result = swarm_env.run(scenario, 3, out=None)
    total = sum(result.tally.earned.values())
    gained = result.epochs[-1]["avg_resources"] * 7 - 7_000_000
    assert total == pytest.approx(gained, abs=1e-6)
    assert sum(result.tally.proposed.values()) == result.metrics["proposals"]


def test_intervals_hold_the_mean_and_leave_undefined_episodes_out() -> None:
    values = np.array([1.0, 2.0, 3.0, np.nan, 4.0])
    mean, low, high = evaluation.interval(values)
    assert mean == 2.5
    assert 1.0 <= low < mean < high <= 4.0
    assert all(np.isnan(x) for x in evaluation.interval(np.array([np.nan])))
    many = np.random.default_rng(1).normal(0.0, 1.0, 400)
    _, low, high = evaluation.interval(many)
    assert high - low == pytest.approx(2 * 1.96 * many.std() / 20, rel=0.1)


def test_settings_load_for_any_section() -> None:
    assert load_settings(ppo.Config, None, {"seed": 3}).seed == 3


def test_help_does_not_load_the_trainer() -> None:
    code = (
        "import sys\nfrom swarm_env import cli\n"
        "try: cli.main(['train', '--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--resume" in done.stdout
    assert not {"torch", "numpy", "trainers"} & set(done.stdout.split())
