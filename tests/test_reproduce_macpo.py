"""`swarm reproduce macpo`: every table and figure, from results of the right shape, without the hours of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm_env.engine.run import HERE
from tests.macpo_runs import SMALL
from trainers import macpo
from trainers.reproduce import jobs, macpo_population, tables
from trainers.reproduce import macpo as study


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a real run of seconds leaves."""
    return macpo.train(macpo.load_config(None, list(SMALL)), tmp_path_factory.mktemp("runs") / "small")


def pretend(monkeypatch: pytest.MonkeyPatch, small: dict[str, Any]) -> list[jobs.Job]:
    """Let every job have the small run's results, over as many rounds as it plays; returns the jobs asked for."""
    asked: list[jobs.Job] = []

    def results(job: jobs.Job, out: Path) -> dict[str, Any]:
        rounds = job.config().rounds
        shifted = [
            {name: value if value is None else value + 0.01 * job.seed for name, value in row.items()}
            for row in (small["rounds"] * 3)[: rounds + 1]
        ]
        if job.name == "K1":
            shifted = [{k: v for k, v in row.items() if k[:9] not in ("teacher_2", "teacher_3")} for row in shifted]
        if "population" in job.name:
            for policy in ("scripts", "naive", "ceiling"):
                (job.folder(out)).mkdir(parents=True, exist_ok=True)
                (job.folder(out) / f"stays_{policy}.json").write_text(
                    json.dumps([{name.removeprefix("market/"): x for name, x in row.items()} for row in shifted])
                )
        return {**small, "rounds": shifted}

    monkeypatch.setattr(jobs, "run", lambda each, *_: asked.extend(each))
    monkeypatch.setattr(jobs, "results", results)
    return asked


def test_a_study_writes_tables_and_figures_and_the_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: dict[str, Any]
) -> None:
    asked = pretend(monkeypatch, small)
    note = tmp_path / "note.md"
    note.write_text(f"read by hand\n{tables.BEGIN}\n{tables.END}\n")
    monkeypatch.setattr(study, "NOTE", note)
    monkeypatch.setattr(study, "PICTURES", tmp_path / "docs")
    paths = study.study(tmp_path / "out", 2, HERE, quick=False)
    assert len(asked) == 2 * len(study.settings())
    assert {path.name for path in paths} == {"results.md", "macpo_rounds.png", "note.md"}
    text = note.read_text()
    assert text.startswith("read by hand")
    for heading in ("Everyone at the end", "ablations", "later rounds", "partial view", "Populations that shift"):
        assert heading in text
    accuracy = [100 * small["rounds"][0]["student/accuracy"] + shift for shift in (0, 1)]
    assert f"| published | {sum(accuracy) / 2:.1f} [{accuracy[0]:.1f}, {accuracy[1]:.1f}]" in text
    assert text.count("round 3 (2/2/4)") == 3 + len(macpo_population.SETTINGS)
    assert "nan" not in text
    # a quick one stays out of the note
    before = note.read_bytes()
    quick = study.study(tmp_path / "quick", 1, HERE, quick=True)
    assert note.read_bytes() == before
    assert all(path.parent == tmp_path / "quick" for path in quick)


def test_every_job_is_a_configuration_that_loads_and_none_is_another() -> None:
    each = study.all_jobs(1, quick=False)
    seen = {job.config().fingerprint for job in each}
    assert len(seen) == len({job.name for job in each}) == len(each)
    published = next(job for job in each if job.name == "published").config()
    default = macpo.load_config(None)
    assert published == default.model_copy(update={"eval_episodes": 64})
