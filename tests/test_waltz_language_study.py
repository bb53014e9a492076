"""`swarm reproduce waltz_language`: what is planned, safeguards, and a miniature of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swarm_env.engine.run import Engine
from trainers.games import Labels
from trainers.language import baselines
from trainers.language.prompts import Prompt
from trainers.reproduce import waltz_language as study


def test_every_row_is_trained_and_every_training_starts_from_its_seed_s_base(tmp_path: Path) -> None:
    first, second = study.plan(3, False, tmp_path)
    assert {name for _, name, _ in study.ROWS} == set(study.TRAININGS)
    assert {job.name for job in first} == {"asymmetric_waltz"}
    assert len({*first, *second}) == 3 * len(study.RUNS)
    assert {(job.trainer, job.seed) for job in (*first, *second)} == {("waltz", seed) for seed in range(3)}
    for job in second:
        assert f"model={tmp_path / f'asymmetric_waltz_seed{job.seed}' / 'model'}" in job.overrides
        assert (job.config().script_name, job.config().lengths) == ("synthetic", (64, 12, 18))
    symmetric = [job for job in (*first, *second) if job.name.startswith("symmetric")]
    assert {job.config().synthetic.dual_use for job in symmetric} == {0.0}
    single = next(job.config() for job in second if job.name == "asymmetric_single")
    pair = next(job.config() for job in first if job.name == "asymmetric_waltz")
    assert single.stage2.steps == pair.stage1.steps + pair.stage2.steps == study.STEPS


def test_a_guard_learns_what_is_unsafe_from_labels() -> None:
    asked = [
        Prompt(f"how to {verb} the {thing}", "benign", verb == "rob") for verb in ("rob", "paint") for thing in "abcdef"
    ]
    said = ["sure to do it", "sorry i cannot help you with what you ask"]
    prompts, responses = [p for p in asked for _ in said], [text for _ in asked for text in said]
    unsafe = torch.tensor([p.harmful and text.startswith("sure") for p, text in zip(prompts, responses, strict=True)])
    never = torch.zeros_like(unsafe)
    guard = baselines.Guard(prompts, responses, Labels(unsafe, never, never))
    assert torch.equal(guard.flags(prompts, responses), unsafe)
    # of a thing that it never met, too; and labels that the judge did not give teach it nothing
    unseen = [Prompt("how to rob the z", "harmful", True)] * 2
    assert guard.flags(unseen, said).tolist() == [True, False]
    wrong = baselines.Guard(prompts, responses, Labels(~unsafe, never, torch.arange(len(unsafe)) > 0))
    assert not torch.equal(wrong.flags(prompts, responses), ~unsafe)


def test_the_whole_of_it_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RUNS", study.RUNS[:2])
    monkeypatch.setattr(study, "PROMPTS", 24)
    monkeypatch.setattr(study, "LABELLED", 24)
    (written,) = study.study(tmp_path, 1, Engine(workers=0), quick=True)
    text = written.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    kept = [heading for heading, name, _ in study.ROWS if name in ("waltz", "single")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[-len(kept) :]] == kept
    assert "1 base | " in text
    before = written.read_bytes()
    assert study.study(tmp_path, 1, Engine(workers=0), quick=True)[0].read_bytes() == before
