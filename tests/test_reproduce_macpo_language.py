"""`swarm reproduce macpo_language`: its tables, from results of the right shape, without the trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm_env.engine.run import HERE
from trainers.macpo import load_config
from trainers.reproduce import STUDIES, jobs, tables
from trainers.reproduce import macpo_language as study

pytest.importorskip("transformers")

POLICIES = ("student", "teacher_1", "teacher_2", "teacher_3", "initial_teacher_1", "initial_teacher_2",
            "initial_teacher_3", "naive", "majority_labels", "ceiling", "majority")  # fmt: skip
ROUND = ("student/accuracy", "pgr", "agreement", "agreement_initial", "positives/accuracy", "positives/disagreement",
         "positives/length", "answers/length", "answers/malformed", "answers/repetition")  # fmt: skip
MEASURES = ("accuracy", "asr", "orr", "f1", "malformed", "length", "repetition")


def results(job: jobs.Job, out: Path) -> dict[str, Any]:
    """What a training of that job might leave."""
    config = job.config()
    teachers = [f"teacher_{k + 1}/{name}" for k in range(config.teachers.count) for name in ("accuracy", "blind")]
    rounds = [dict.fromkeys((*ROUND, *teachers), 0.5 + 0.1 * t + 0.01 * job.seed) for t in range(config.rounds + 1)]
    values = {"ceiling": 0.9, "naive": 0.7, "student": 0.8}
    policies = [{"policy": who, **dict.fromkeys(MEASURES, values.get(who, 0.6))} for who in POLICIES]
    return {"rounds": rounds, "policies": policies}


def test_the_study_writes_its_tables_into_the_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[jobs.Job] = []
    monkeypatch.setattr(jobs, "run", lambda each, *_: asked.extend(each))
    monkeypatch.setattr(jobs, "results", results)
    note = tmp_path / "note.md"
    note.write_text(f"by hand\n{tables.BEGIN}\n{tables.END}\n")
    monkeypatch.setattr(study, "NOTE", note)
    paths = study.study(tmp_path / "out", 2, HERE, quick=False)
    assert paths == [tmp_path / "out" / "results.md", note]
    text = note.read_text()
    assert text.startswith("by hand")
    assert text.count("| MACPO, other teachers |") == 2  # in either world
    assert "| MACPO, default | 80.0 [80.0, 80.0] |" in text
    row = next(line for line in text.splitlines() if line.startswith("| MACPO, default |"))
    assert "| 0.67 [0.67, 0.67] |" in row  # (.8 - .6) / (.9 - .6)
    assert all(f"| {name}" in text for name in study.settings())
    assert len(asked) == 2 * len(study.settings())
    assert [job.seed for job in asked[: len(study.settings())]] == [0] * len(study.settings())


def test_settings_differ_from_the_shipped_ones_as_they_say() -> None:
    default = load_config(None, ["game=language"])
    for name, changes in study.settings().items():
        changed = load_config(None, ["game=language", *changes])
        assert (changed == default) == (name == "default"), name
    assert load_config(None, ["game=language", *study.QUICK]).rounds == 2
    assert STUDIES["macpo_language"] == study.__name__
