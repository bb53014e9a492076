"""`swarm train macpo`: exact resume at any point, sets that can be read, clear errors, an honest evaluation."""

from __future__ import annotations

import csv
import json
import math
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
from tests.macpo_runs import SMALL, arguments, contents
from trainers import checkpoint, macpo, preference_sets, standings, weak_to_strong
from trainers.checkpoint import RunError
from trainers.macpo import Trainer, load_config
from trainers.macpo_market_config import Config
from trainers.weak_to_strong import load

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(arguments("--out", str(folder), "--quiet")) == 0
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def run_of(tmp_path: Path, *changes: str) -> Trainer:
    """All phases of a small run, in this process."""
    trainer = Trainer(load_config(None, [*SMALL, "round_episodes=0", *changes]), tmp_path / "run")
    while trainer.done < len(trainer.plan):
        trainer.step()
    return trainer


def test_a_killed_run_goes_on_to_what_an_unbroken_one_leaves(whole: Path, tmp_path: Path) -> None:
    folder, environment = tmp_path / "killed", {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "swarm_env", *arguments("--out", str(folder), "--quiet")]
    process = subprocess.Popen(command, env=environment)
    while len(list(folder.glob("checkpoints/step_*"))) < 2:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "policy.safetensors").exists()
    half = folder / "sets" / f".round_0_student.safetensors.1a2b3c4d{checkpoint.UNFINISHED}"  # killed as it wrote
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")
    assert cli.main(["train", "macpo", "--resume", str(folder), "--quiet"]) == 0
    assert contents(folder) == contents(whole)
    assert not list(folder.rglob(".*"))


#: Everything that a later phase could need from an earlier one.
EVERYTHING = ("fresh_contexts=true", "negatives=refreshed", "contrast.replay=0.5", "decoding=sample", "keep=agreement")


def test_a_run_cut_off_at_any_point_of_a_round_goes_on_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, [*SMALL, *EVERYTHING, "eval_episodes=0", "round_episodes=0"])
    macpo.train(config, tmp_path / "whole")
    step, done = Trainer.step, [0]

    def cut(self: Trainer) -> str:
        name = step(self)
        done[0] += 1
        if done[0] == 2:  # its work is done and its files are written, its checkpoint is not
            raise KeyboardInterrupt
        return name

    monkeypatch.setattr(Trainer, "step", cut)
    for phase in range(len(macpo.plan(config)) - 1):
        done[0] = 0
        with pytest.raises(KeyboardInterrupt):
            macpo.train(config, tmp_path / "cut", resume=phase > 0)
    done[0] = 0
    macpo.train(config, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_the_plan_is_the_published_one_and_orders_differ_as_they_say() -> None:
    published = macpo.plan(load_config(None, ["rounds=2"]))
    each = ["teachers_answer", "select", "update_student", "student_answers", "update_teachers", "judge"]
    assert [name for t, name in published if t == 2] == each
    assert len(published) == len(macpo.START) + 2 * len(each)
    other = [name for t, name in macpo.plan(load_config(None, ["order=teachers_first", "rounds=1"])) if t]
    assert other.index("update_teachers") < other.index("update_student")
    together = [name for t, name in macpo.plan(load_config(None, ["order=simultaneous", "rounds=1"])) if t]
    assert together.index("student_answers") < together.index("update_student") < together.index("update_teachers")
    fresh = [name for t, name in macpo.plan(load_config(None, ["fresh_contexts=true", "rounds=1"])) if t]
    assert fresh[:2] == ["meet_again", "make_negatives"]


def test_what_a_run_leaves(whole: Path) -> None:
    rows = list(csv.DictReader((whole / "metrics.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [0, 1, 2]
    for name in ("student/accuracy", "teacher_3/blind", "pgr", "agreement", "positives/diversity", "market/spread"):
        assert name in rows[0]
    assert all(0 <= float(row["student/f1"]) <= 1 for row in rows)
    sets = {path.stem for path in (whole / "sets").iterdir()}
    assert {"round_0_contexts", "round_0_teacher_2", "round_0_student", "round_2_candidates"} <= sets
    for t in (1, 2):
        taken = preference_sets.read(whole, t, "candidates")
        pairs = preference_sets.read(whole, t, "student")
        best = taken["scores"].argmax(dim=1)
        assert torch.equal(taken["taken"], best)
        assert torch.equal(taken["scores"], -taken["perplexity"])  # published: least perplexity under the student
        assert torch.equal(pairs["chosen"], taken["candidates"][torch.arange(len(best)), best])
        teachers = [preference_sets.read(whole, t, f"teacher_{k}") for k in (1, 2, 3)]
        assert torch.equal(teachers[0]["chosen"], teachers[2]["chosen"])  # the student's answers, the same for all
        again = preference_sets.read(whole, 1, "teacher_1")["rejected"]
        assert torch.equal(teachers[0]["rejected"], again)  # negatives made once
    with pytest.raises(RunError, match="no such checkpoint"):
        preference_sets.read(whole, 9, "student")


def test_the_evaluation_is_that_of_the_policies_left_behind(whole: Path) -> None:
    results = json.loads((whole / "evaluation.json").read_text())
    policies = {row["policy"]: row for row in results["policies"]}
    config = load_config(whole / "config.yaml")
    assert list(policies) == [*weak_to_strong.names_of(config), "scripts"]
    contexts = weak_to_strong.held_out(config, config.rounds)[0]
    for name in ("student", "teacher_1", "majority", "ceiling"):
        trained = load(whole, name)
        said = trained.decider(0)(contexts).answer
        assert weak_to_strong.judged(trained.rules, contexts, said)["accuracy"] == policies[name]["accuracy"]
        found = weak_to_strong.market(config, config.rounds, trained, config.eval_episodes)
        assert standings.plain(found).items() <= policies[name].items()
    last = results["rounds"][-1]
    assert last["student/accuracy"] == policies["student"]["accuracy"] == policies["last"]["accuracy"]
    assert results["rounds"][0]["student/accuracy"] == policies["naive"]["accuracy"]
    weak = sum(policies[f"initial_teacher_{k}"]["accuracy"] for k in (1, 2, 3)) / 3
    gap = (policies["student"]["accuracy"] - weak) / (policies["ceiling"]["accuracy"] - weak)
    assert last["pgr"] == pytest.approx(gap)


def test_ablations_leave_out_what_they_say(tmp_path: Path) -> None:
    frozen = run_of(tmp_path / "iw", "iterate_teachers=false")
    for teacher in frozen.teachers:
        start = frozen.frozen[f"initial_{teacher.name}"].state_dict()
        assert all(torch.equal(start[key], value) for key, value in teacher.positive.state_dict().items())
    alone = run_of(tmp_path / "mp", "mutual=false", "rounds=1")
    kept = preference_sets.read(tmp_path / "mp" / "run", 1, "teacher_2")
    inputs = alone.inputs("teacher_2")
    assert torch.equal(kept["chosen"], alone.frozen["initial_teacher_2"].greedy(inputs))
    kept = preference_sets.read(tmp_path / "mp" / "run", 1, "student")
    assert torch.equal(kept["chosen"], alone.frozen["naive"].greedy(alone.inputs("student")))
    # without hard negatives beta, which only DPO has, changes nothing; with them it does
    one, other = (run_of(tmp_path / f"hn{b}", "hard_negatives=false", "rounds=1", f"contrast.beta={b}") for b in (1, 2))
    assert one.history == other.history or str(one.history) == str(other.history)
    one, other = (run_of(tmp_path / f"b{b}", "rounds=1", f"contrast.beta={b}") for b in (1, 5))
    assert str(one.history) != str(other.history)


def test_runs_that_differ_in_one_setting_start_alike(tmp_path: Path) -> None:
    first, second = run_of(tmp_path / "a"), run_of(tmp_path / "b", "selection=majority", "contrast.reference=previous")
    assert str(first.history[0]) == str(second.history[0])
    assert str(first.history[-1]) != str(second.history[-1])


def test_the_round_of_most_agreement_is_kept(tmp_path: Path) -> None:
    trainer = run_of(tmp_path, "keep=agreement", "contrast.learning_rate=0.05")
    agreed = [row["agreement_initial"] for row in trainer.history]
    kept = trainer.frozen["kept"].state_dict()
    is_last = all(torch.equal(kept[key], value) for key, value in trainer.student.positive.state_dict().items())
    is_first = all(torch.equal(kept[key], value) for key, value in trainer.frozen["naive"].state_dict().items())
    best = agreed.index(max(agreed))
    assert (is_first, is_last) == (best == 0, best == len(agreed) - 1)


def test_rounds_end_with_the_first_that_falls_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = {0: 0.6, 1: 0.8, 2: 0.7, 3: 0.9}

    def found(society: Trainer) -> dict[str, float]:
        return {**standings.standings(society), "agreement_initial": agreed[society.round]}

    monkeypatch.setattr(macpo, "standings", found)
    more = ("rounds=3", "keep=agreement")
    whole, short = run_of(tmp_path / "whole", *more), run_of(tmp_path / "short", *more, "stop_on_regression=true")
    assert len(whole.history) == 4
    assert str(short.history) == str(whole.history[:3])
    assert short.done == len(short.plan)
    first = run_of(tmp_path / "first", "rounds=1").student.positive.state_dict()
    kept = short.frozen["kept"].state_dict()
    assert all(torch.equal(kept[key], value) for key, value in first.items())


def test_the_shipped_configuration_is_the_defaults() -> None:
    assert load_config(ROOT / "configs" / "macpo.yaml") == Config()


def failing(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """The one line that a wrong command prints."""
    assert cli.main(["train", "macpo", *given]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_wrong_settings_are_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    wrong = {
        "teachers.count=0": "teachers.count: 0 is out of range",
        "selection=best": "selection",
        "game=chess": "allowed: market, language",
        "contrast.reference=base": "contrast.reference",
        "teacher.count=2": 'did you mean "teachers',
        "mixes=[[4,2,2]]": "allowed: 4 lists (rounds 0..3) of three counts",
        "mixes=[[4,2,2],[4,2,2],[4,2,2],[4,2,2]]": "fresh_contexts: true",
        "student.hidden=[0]": "whole numbers in [1, 4096]",
    }
    for setting, what in wrong.items():
        assert what in failing(capsys, "--set", setting, *out)
    line = failing(capsys, "--set", "teachers.count=1", "--set", "selection=other_teachers", *out)
    assert "selection: other_teachers, and there is one teacher" in line
    assert not (tmp_path / "run").exists()


def test_teachers_that_say_one_thing_only_are_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    mute = ["--set", "supervision.labels=1", "--set", "teachers.epochs=100", "--set", "teachers.count=1"]
    line = failing(capsys, *arguments("--out", str(out), "--quiet", *mute)[2:])
    assert "to every one of 96 contexts: nothing can be learnt from them" in line
    assert (out / "checkpoints").exists()  # what was done before stays


def test_empty_preference_sets_and_losses_that_are_not_finite_stop_a_run_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = torch.tensor([[1, 0], [0, 2]])
    with pytest.raises(RunError, match=r"student: the preference set is empty \(all 2 chosen answers are also the"):
        preference_sets.Pairs.of(same, same, None, drop_equal=True, who="student")
    with pytest.raises(RunError, match=r"empty \(no contexts\)"):
        preference_sets.Pairs.of(same[:0], same[:0], None, drop_equal=False, who="student")
    config, folder = load_config(None, [*SMALL, "eval_episodes=0"]), tmp_path / "run"
    whole = macpo.train(config, tmp_path / "whole")
    from trainers import losses

    real = losses.contrastive_preference_loss
    monkeypatch.setattr(losses, "contrastive_preference_loss", lambda *a, **k: real(*a, **k) * math.nan)
    with pytest.raises(RunError, match="round 1: student: the loss is nan at update 1; checkpoints so far are kept"):
        macpo.train(config, folder)
    monkeypatch.setattr(losses, "contrastive_preference_loss", real)
    assert macpo.train(config, folder, resume=True) == whole


def test_runs_and_policies_that_cannot_be_used_are_one_line(
    copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = contents(copy)
    assert "not empty; go on with it by --resume" in failing(capsys, *arguments("--out", str(copy))[2:])
    line = failing(capsys, "--resume", str(copy), "--set", "contrast.beta=0.5")
    assert "belongs to another configuration: contrast" in line
    assert contents(copy) == before
    with pytest.raises(ValueError, match="has no policy 'teacher_4'; allowed: student, last, teacher_1"):
        load(copy, "teacher_4")
    kept = checkpoint.read(copy / "policy.safetensors")
    wider = {name: torch.zeros(3, *value.shape[1:]) if name.startswith("student.") else value
             for name, value in kept.tensors.items()}  # fmt: skip
    checkpoint.write(copy / "policy.safetensors", wider, kept.state)
    with pytest.raises(RunError, match="student has another layout than config"):
        load(copy)
    assert load(copy, "teacher_1").identity["trainer"] == "macpo"
    checkpoint.write(copy / "policy.safetensors", kept.tensors, {"identity": {"trainer": "waltz"}})
    with pytest.raises(RunError, match="is not what 'swarm train macpo' wrote"):
        load(copy)


def test_swarm_evaluate_takes_a_run_and_its_parts(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from swarm_env.evaluation.trained import TRAINED, from_run

    for part in ("", "teacher_2", "majority"):
        kept = TRAINED["macpo"].load(whole, part)
        assert kept.layout is None  # it governs
        assert from_run("mine", f"{whole}#{part}", whole, part).identity == kept.identity
    with pytest.raises(ValueError, match="teacher_9"):
        from_run("mine", "x", whole, "teacher_9")
