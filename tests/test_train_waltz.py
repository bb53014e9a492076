"""`swarm train waltz`: stages, exact resume, whole files, clear errors, and that joint training pays."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from swarm_env import cli
from swarm_env.scenario.settings import load_settings
from trainers import checkpoint, governed, pairs, waltz
from trainers.games.market import populations
from trainers.waltz_config import Config, load_config

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "overrides=[simulation.n_epochs=4,simulation.steps_per_epoch=8]", "populations=4", "num_envs=16", "batch=128",
    "hidden=[16]", "warm_start.steps=20", "warm_start.contexts=400", "warm_start.batch=128", "stage1.steps=4",
    "stage2.steps=6", "checkpoint_every=2", "eval_episodes=8", "shares={}",
]  # fmt: skip


def arguments(*more: str) -> list[str]:
    return ["train", "waltz", *(part for value in TINY for part in ("--set", value)), *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(arguments("--out", str(folder), "--quiet")) == 0
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


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
    done = subprocess.run(
        [*command, "train", "waltz", "--resume", str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "base, untrained overseer" in done.stdout
    for name in ("base.safetensors", "policy.safetensors", "metrics.csv", "evaluation.json", "config.yaml"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_conversation_policy_is_untouched_in_stage_one_and_moves_in_stage_two(whole: Path) -> None:
    base, trained = (checkpoint.read(whole / f"{name}.safetensors").tensors for name in ("base", "policy"))
    trainer = waltz.Trainer(load_config(None, TINY))
    for k in range(5):
        now = waltz.weights(trainer)
        still = {name for name in base if torch.equal(base[name], now[name])}
        assert all(name in still for name in base if name.startswith("conversation.")), k
        assert (k == 0) == any(name in still for name in base if name == "feedback.heads.weight")
        if k < 4:
            trainer.update()
    trainer.update()
    assert not torch.equal(base["conversation.heads.weight"], waltz.weights(trainer)["conversation.heads.weight"])
    assert not torch.equal(base["conversation.heads.weight"], trained["conversation.heads.weight"])
    assert [row["stage"] for row in rows(whole)] == ["1.0"] * 4 + ["2.0"] * 6


def test_curves_hold_what_the_paper_plots(whole: Path) -> None:
    row = rows(whole)[-1]
    for name in (
        "final/asr", "final/orr", "final/f1", "first/asr", "overseer/trigger_disguised", "overseer/trigger_overt",
        "overseer/trigger_sensitive", "overseer/trigger_plain", "overseer/label_accuracy", "overseer/well_formed",
        "overseer/dir", "overseer/improved", "overseer/worsened", "feedback/kl", "feedback/clip_fraction",
        "feedback/entropy", "conversation/kl", "conversation/entropy", "conversation/reward",
    ):  # fmt: skip
        assert row[name] != "", name
    assert list((whole / "tensorboard").glob("events.*"))


def test_the_markets_judge_as_the_labels_do(whole: Path) -> None:
    results = json.loads((whole / "evaluation.json").read_text())
    assert [row["policy"] for row in results["policies"]] == ["base", "base, untrained overseer", "trained"]
    config = load_config(whole / "config.yaml")
    trained = pairs.load(whole)
    scenario = waltz.Trainer(config).world.scenario
    mixed = populations(scenario, 1, 0.0, 0)
    found = governed.govern(mixed, trained.rules, trained.decider(0), 1)
    for ours, theirs in (("asr", "attack_success_rate"), ("orr", "overrefusal_rate"), ("f1", "safety_f1")):
        assert found[ours] == pytest.approx(found[theirs]), ours


def test_single_policy_rl_has_no_overseer(tmp_path: Path) -> None:
    folder = tmp_path / "single"
    settings = ["--set", "overseer=false", "--set", "actor_sees=ledger"]
    assert cli.main(arguments(*settings, "--out", str(folder), "--quiet")) == 0
    assert len(rows(folder)) == 6
    assert not any(name.startswith(("overseer/", "feedback/")) for name in rows(folder)[0])
    assert pairs.load(folder).feedback is None
    assert [row["policy"] for row in json.loads((folder / "evaluation.json").read_text())["policies"]] == [
        "base", "trained"
    ]  # fmt: skip


def test_stages_keep_their_defaults_when_one_key_is_changed() -> None:
    config = load_config(None, ["stage2.variant=C"])
    assert (config.stage1.steps, config.stage2.steps, config.stage1.variant, config.stage2.variant) == (
        100, 150, "A", "C"
    )  # fmt: skip


def test_the_shipped_configuration_is_the_default_one() -> None:
    shipped = load_settings(Config, ROOT / "configs/waltz.yaml")
    assert shipped == Config()
    written = {line.split(":")[0].strip() for line in (ROOT / "configs/waltz.yaml").read_text().splitlines()}
    assert set(Config.model_fields) <= written


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("stage1.variant=E", "stage1.variant"), ("shares={plain: 0.4}", "add up to 1"),
        ("shares={plane: 1.0}", "'plane' is no kind"), ("num_envs=24", "a multiple of 16"),
        ("t_max=0", "t_max"), ("actor_sees=all", "actor_sees"), ("warm_start.step=3", "did you mean \"steps\""),
        ("scenario=nowhere.yaml", "nowhere.yaml"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_error(
    setting: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments("--set", setting, "--out", str(tmp_path / "run"), "--quiet")) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_does_not_belong_to_a_run_is_refused(copy: Path, whole: Path) -> None:
    with pytest.raises(ValueError, match="other\\.safetensors"):
        pairs.load(copy, "other")
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("alpha: 0.65", "alpha: 0.5"))
    with pytest.raises(ValueError, match=r"policy\.safetensors is not what 'swarm train waltz' wrote"):
        pairs.load(copy)
    (copy / "config.yaml").write_text(text)
    content = bytearray((copy / "policy.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "policy.safetensors").write_bytes(bytes(content))
    with pytest.raises(ValueError, match="damaged"):
        pairs.load(copy)


def test_feedback_alone_learns_and_joint_training_beats_it() -> None:
    """A small budget, far from converged; every figure is of held-out markets."""
    settings = [
        "warm_start.steps=150", "warm_start.contexts=4000", "warm_start.batch=256", "hidden=[32]", "batch=512",
        "num_envs=64", "populations=8", "overrides=[simulation.n_epochs=6]", "learning_rate=0.01", "anneal=false",
        "stage1.steps=25", "stage2.steps=25", "stage2.variant=L",
    ]  # fmt: skip
    trainer = waltz.Trainer(load_config(None, settings))
    mixed = pairs.held_out(trainer.world.scenario, trainer.config)
    found = []
    for until in (0, 25, 50):
        while trainer.done < until:
            trainer.update()
        learners = trainer.learners.values()
        decider = governed.pair(trainer.game, *(one.policy for one in learners), 1, torch.Generator().manual_seed(0))
        found.append(governed.govern(mixed, trainer.game, decider, 32))
    start, alone, both = (one["f1"] for one in found)
    assert start + 0.05 < alone < both - 0.02, (start, alone, both)
    assert found[1]["label_accuracy_any"] > found[0]["label_accuracy_any"] + 0.1


def test_a_report_shows_the_curves_and_the_last_table(whole: Path, tmp_path: Path) -> None:
    assert cli.main(["report", str(whole), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    for shown in ("base, untrained overseer", "trigger_plain", "overseer/label_accuracy", "total_welfare"):
        assert shown in page, shown
