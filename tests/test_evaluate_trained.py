"""Trained policies in an evaluation: the same numbers as their trainer's own, and no file that can fool it."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import swarm_env
from swarm_env import cli
from swarm_env.evaluation import FIRST_SEED
from trainers import checkpoint, evaluation, ppo

SCENARIO = "alignment_waltz_targeted_feedback"
SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"]
SMALL = [f"overrides=[{','.join(SHORT)}]", "num_envs=4", "rollout_steps=5", "total_steps=120", "minibatches=1",
         "hidden=[8]", "eval_episodes=0"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ppo"
    settings = [part for value in SMALL for part in ("--set", value)]
    assert cli.main(["train", "ppo", *settings, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def judge(folder: Path, *more: str, episodes: int = 4, seeds: int = 2, **settings: Any) -> Any:
    scenario = swarm_env.load_scenario(settings.pop("scenario", SCENARIO), [*SHORT, *more])
    return swarm_env.evaluate([f"ppo={folder}", "scripts"], scenario, episodes, seeds, **settings)


def test_a_run_is_judged_as_its_trainer_judges_it(trained: Path, tmp_path: Path) -> None:
    found = judge(trained, out=tmp_path / "out")
    scenario = swarm_env.load_scenario(SCENARIO, SHORT)
    model = ppo.load(trained).model
    expected = evaluation.play("ppo", evaluation.Learned(model, 0), scenario, "honest_*", 4)
    assert evaluation.HELD_OUT == FIRST_SEED
    run = found.results["runs"][0]
    assert run["focal"] == pytest.approx(dict(zip(expected.agents, expected.returns.mean(axis=0), strict=True)))
    assert run["metrics"]["toxicity_rate"] == pytest.approx(np.nanmean(expected.market["toxicity_rate"]))
    content = (tmp_path / "out/units.jsonl").read_bytes()
    judge(trained, out=tmp_path / "out")
    assert (tmp_path / "out/units.jsonl").read_bytes() == content


def test_another_scenario_needs_transfer_and_another_layout_is_refused(trained: Path) -> None:
    with pytest.raises(ValueError, match=r"policy ppo: .* was trained in another scenario .*--transfer"):
        judge(trained, "payoff.h=1")
    found = judge(trained, "payoff.h=1", episodes=1, seeds=1, transfer=True)
    assert len(found.results["runs"]) == 2
    for scenario, more in ((SCENARIO, ["view.inbox=2"]), ("macpo_weak_to_strong", [])):
        with pytest.raises(ValueError, match=r"policy ppo: .* has another layout: trained with \d+ features"):
            judge(trained, *more, scenario=scenario, transfer=True)


class Bomb:
    """What a pickle could do to who reads it."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


def test_a_damaged_or_foreign_checkpoint_is_one_clear_line(
    copy: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy.parent)
    policy = copy / "policy.safetensors"
    good = policy.read_bytes()
    kept = checkpoint.read(trained / "policy.safetensors")  # tensors lie in the file they were read from

    def refused(said: str) -> None:
        line = ["evaluate", "--policy", "p=copy", "--scenario", SCENARIO, "--seeds", "1", "--out", "out", "--quiet"]
        assert cli.main(line) == 2
        error = capsys.readouterr().err
        assert error.startswith("swarm: policy p: ")
        assert said in error
        assert len(error.strip().splitlines()) == 1
        assert not (copy.parent / "out").exists()

    policy.write_bytes(good[:-100])
    refused("not a whole checkpoint")
    changed = bytearray(good)
    changed[-3] ^= 1
    policy.write_bytes(changed)
    refused("damaged")
    policy.write_bytes(pickle.dumps(Bomb()))
    refused("not a whole checkpoint")
    assert not (copy.parent / "exploded").exists()
    save_file({"weight": np.zeros(3)}, policy)
    refused("not a whole checkpoint")
    for identity in ({}, {"identity": {"trainer": "macpo"}}, {"identity": "x"}):
        checkpoint.write(policy, kept.tensors, identity)
        refused("not what 'swarm train ppo' writes")
    part = {name: tensor for name, tensor in kept.tensors.items() if "action" not in name}
    checkpoint.write(policy, part, kept.state)
    refused("does not fit config.yaml")
    policy.write_bytes(good)
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("gamma: 0.99", "gamma: 0.5"))
    refused("belongs to another configuration")
    (copy / "config.yaml").write_text(text)
    policy.unlink()
    refused("no such checkpoint")


def test_an_evaluation_without_trained_policies_loads_no_torch() -> None:
    script = (
        "import sys, swarm_env; "
        "swarm_env.evaluate(['scripts', 'random'], 'baseline', 1, 2, overrides=['simulation.n_epochs=1']); "
        "print(sorted({'torch', 'trainers', 'gymnasium', 'pettingzoo', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
