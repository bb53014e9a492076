"""`swarm reproduce`: jobs in folders, what is there is kept, what was cut off goes on, tables say what seeds said."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from swarm_env import cli
from swarm_env.engine.run import Engine, JobsFailedError
from trainers.checkpoint import RunError
from trainers.reproduce import STUDIES, tables
from trainers.reproduce.jobs import Job, finished, results, run, train

SMALL = (
    "overrides=[simulation.n_epochs=2,simulation.steps_per_epoch=5]", "num_envs=8", "rollout_steps=7",
    "total_steps=700", "minibatches=2", "checkpoint_every=2", "eval_episodes=2",
)  # fmt: skip


def contents(folder: Path) -> dict[str, str]:
    names = ("policy.safetensors", "metrics.csv", "evaluation.json", "config.yaml")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_finished_jobs_are_kept_and_cut_off_ones_go_on_to_the_same_end(tmp_path: Path) -> None:
    job, said = Job("small", "ppo", SMALL, 3), list[str]()
    (tmp_path / "small_seed3").mkdir()
    (tmp_path / "small_seed3" / "config.yaml").write_text("")  # killed before it was a run
    run([job], tmp_path, engine=Engine(workers=2), say=said.append)  # in a process of its own
    assert said == ["0 of 1 trainings are there", "1 of 1: small_seed3"]
    folder, whole = job.folder(tmp_path), contents(job.folder(tmp_path))
    assert results(job, tmp_path)["policies"][0]["policy"] == "ppo"
    run([job], tmp_path, say=said.append)
    assert said[-1] == "1 of 1 trainings are there"
    for name in ("policy.safetensors", "evaluation.json"):  # as if killed at the newest checkpoint
        (folder / name).unlink()
    sorted((folder / "checkpoints").iterdir())[-1].unlink()
    assert not finished(job, tmp_path)
    train(job, tmp_path)
    assert contents(folder) == whole


def test_a_run_of_other_settings_is_not_taken_for_the_job(tmp_path: Path) -> None:
    job = Job("small", "ppo", SMALL, 3)
    train(job, tmp_path)
    other = job._replace(overrides=(*SMALL, "gamma=0.5"))
    before = contents(job.folder(tmp_path))
    with pytest.raises(RunError, match="holds a run of other settings than small's"):
        run([other], tmp_path)
    (job.folder(tmp_path) / "evaluation.json").rename(tmp_path / "aside")  # unfinished, it is not either
    with pytest.raises(RunError, match="holds a run of other settings than small's"):
        train(other, tmp_path)
    (tmp_path / "aside").rename(job.folder(tmp_path) / "evaluation.json")
    assert contents(job.folder(tmp_path)) == before
    with pytest.raises(RunError, match="two jobs would share this folder"):
        run([job, other], tmp_path)


def test_a_job_that_fails_is_named_after_the_others_have_ended(tmp_path: Path) -> None:
    job, said = Job("small", "ppo", (*SMALL, "eval_episodes=0"), 0), list[str]()
    broken = Job("broken", "ppo", (*SMALL, "learners=[honest_9]"), 0)
    with pytest.raises(JobsFailedError, match=r"1 of 2 jobs could not be done, the first: broken_seed0: .*honest_9"):
        run([broken, job], tmp_path, say=said.append)
    assert finished(job, tmp_path)
    assert sum("FAILED" in line for line in said) == 1


def test_cells_are_means_with_intervals_and_say_what_is_undefined() -> None:
    assert tables.cell([0.5, 0.5, 0.5], 1, scale=100) == "50.0 [50.0, 50.0]"
    assert tables.cell([0.25], 2) == "0.25"
    assert tables.cell([None, math.nan], 2) == "-"
    text = tables.cell([1.0, None, 3.0], 1)
    assert text.startswith("2.0 [1.0, 3.0]")
    assert text.endswith("(n=2)")


def test_results_are_put_between_the_markers_of_a_note(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text(f"by hand\n{tables.BEGIN}\nold\n{tables.END}\nalso by hand\n")
    tables.insert(note, tables.markdown(["row", "x"], [["a", "1"]]))
    assert note.read_text() == (
        f"by hand\n{tables.BEGIN}\n| row | x |\n|---|---:|\n| a | 1 |\n{tables.END}\nalso by hand\n"
    )
    (tmp_path / "bare.md").write_text("nothing")
    with pytest.raises(ValueError, match=r"bare.md: has no place for results"):
        tables.insert(tmp_path / "bare.md", "x")


def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for given, what in (
        (["macpoo"], "unknown study 'macpoo'; allowed: " + ", ".join(STUDIES) + '; did you mean "macpo"?'),
        (["macpo", "--seeds", "0"], "--seeds 0 is out of range"),
        (["macpo", "--workers", "-1"], "--workers -1 is out of range"),
    ):
        assert cli.main(["reproduce", *given]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert what in lines[0]
