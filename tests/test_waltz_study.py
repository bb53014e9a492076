"""`swarm reproduce waltz`: who else decides, what is trained, how it is judged, and what the note says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from swarm_env.engine.run import HERE
from swarm_env.oversight import RECORD, SIGNAL, VIEW
from trainers import attainable, baselines, governed
from trainers.games import words
from trainers.games.live import Proposals
from trainers.games.market import MarketRules
from trainers.policies import MLPPolicy
from trainers.reproduce import STUDIES, jobs, waltz, waltz_market, waltz_tables

TINY = (
    "overrides=[simulation.n_epochs=3,simulation.steps_per_epoch=8]", "populations=4", "num_envs=16", "batch=128",
    "hidden=[16]", "warm_start.steps=20", "warm_start.contexts=400", "warm_start.batch=128", "stage1.steps=3",
    "stage2.steps=2", "shares={}",
)  # fmt: skip


def met() -> Proposals:
    view = torch.zeros(4, len(VIEW))
    view[:, SIGNAL] = torch.tensor([1.0, 1.0, -1.0, -1.0])
    return Proposals(view, torch.zeros(4, len(RECORD)), torch.tensor([0.2, 0.8, 0.2, 0.8]))


def by_surface(chance: float = 0.5) -> attainable.Classifier:
    """P(sound) is the sigmoid of the signal."""
    layer = torch.nn.Linear(len(VIEW), 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, SIGNAL] = 1.0
    return attainable.Classifier(layer, torch.zeros(len(VIEW)), torch.ones(len(VIEW)), chance, "observation")


def test_a_safeguard_refuses_what_it_flags_and_nothing_else() -> None:
    guarded = baselines.safeguarded(baselines.always(words.ACCEPT), by_surface())
    assert guarded(met()).answer[:, 0].tolist() == [1, 1, 0, 0]
    assert baselines.safeguarded(baselines.always(words.REFUSE), by_surface())(met()).answer[:, 0].tolist() == [0] * 4
    assert baselines.by(by_surface(0.8))(met()).answer[:, 0].tolist() == [0] * 4


def test_the_oracle_has_right_labels_and_asks_for_a_revision_exactly_of_what_is_wrong() -> None:
    rules = MarketRules(0.5, "surface")
    policy = MLPPolicy(rules.actor_inputs, rules.answer_tokens, (8,), torch.Generator().manual_seed(0))
    many = Proposals(*(torch.cat([part] * 200) for part in (met().view, met().ledger, met().p)))
    decision = baselines.oracle(rules, policy, torch.Generator().manual_seed(1))(many)
    draft = policy.sample(rules.first_context(many), torch.Generator().manual_seed(1)).tokens
    labels = rules.judge(many, draft)
    assert decision.triggered is not None
    assert torch.equal(decision.triggered, labels.unsafe | labels.overrefuse)
    assert torch.equal(decision.answer[~decision.triggered], draft[~decision.triggered])
    assert not torch.equal(decision.answer, draft)


def test_every_training_that_is_planned_has_settings_that_load_and_a_folder_of_its_own() -> None:
    planned = waltz.plan(5, quick=False)
    assert len({(job.name, job.seed) for job in planned}) == len(planned)
    assert len({job.config().model_copy(update={"seed": 0}).fingerprint for job in planned}) == len(
        {job.name for job in planned}
    )
    assert {name for _, name, _ in waltz_tables.ROWS} - {"shared"} <= set(waltz.SETTINGS)
    assert {name for _, name in waltz_tables.ABLATIONS} <= {*waltz.SETTINGS, *waltz.BEYOND}
    assert {name for _, name in waltz_tables.FIRST_STAGES} <= set(waltz.SETTINGS)
    assert STUDIES["waltz"] == "trainers.reproduce.waltz"


def test_a_table_says_what_the_seeds_said() -> None:
    scores = {
        ("shared", 0): {"base": {"asr": 0.4, "f1": 0.5}, "attainable: ledger": {"f1": 0.9}},
        ("shared", 1): {"base": {"asr": None, "f1": 0.7}, "attainable: ledger": {"f1": 0.8}},
    }
    columns = (("ASR %", "asr", 1, 100.0), ("share", "share", 3, 1.0))
    lines = waltz_tables.table(scores, [("1 base", "shared", "base"), ("gone", "nobody", "x")], columns).splitlines()
    assert lines[0] == "|  | ASR % | share |"
    assert lines[2].startswith("| 1 base | 40.0 (n=1) | 0.715 [")
    assert len(lines) == 3


def test_curves_are_read_by_stage(tmp_path: Path) -> None:
    for seed in range(2):
        folder = tmp_path / f"one_seed{seed}"
        folder.mkdir()
        (folder / "metrics.csv").write_text(f"step,stage,x\n1,1.0,{seed}\n2,1.0,\n3,2.0,5\n")
    first = waltz_tables.curves(tmp_path, "one", "x", "1.0")
    assert first.shape == (2, 2)
    assert first[:, 0].tolist() == [0, 1]
    assert math.isnan(first[0, 1])


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_a_small_study_from_training_to_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waltz, "SETTINGS", {name: waltz.SETTINGS[name] for name in ("waltz", "single", "variant_L")})
    monkeypatch.setattr(waltz, "BEYOND", {})
    monkeypatch.setattr(waltz, "QUICK", TINY)
    monkeypatch.setattr(waltz_tables, "FIRST_STAGES", (("A", "waltz"), ("L", "variant_L")))
    for name, value in (("EPISODES", 8), ("LABELLED", 200), ("MANY", 600)):
        monkeypatch.setattr(waltz, name, value)
    monkeypatch.setattr(waltz_market, "EPISODES", 1)
    monkeypatch.setattr(waltz_market, "GOVERNANCE", {"levers off": ("governance=null", TINY[0][11:-1].split(",")[0])})
    monkeypatch.setitem(waltz.UNSEEN, "mostly honest", {"honest": 6, "adversarial": 1})
    single = [job for job in waltz.plan(1, quick=True) if job.name == "single"]
    assert "stage2.steps=250" in single[0].overrides  # the study's own settings win over the quick ones
    monkeypatch.setitem(waltz.SETTINGS, "single", ("overseer=false",))
    written = waltz.study(tmp_path, 1, HERE, quick=True)
    assert [path.name for path in written] == [
        "results.md", "results.json", "waltz_pareto.png", "waltz_training.png", "waltz_variants.png"
    ]  # fmt: skip
    text = written[0].read_text()
    for row in ("1 base", "2 base + safeguard", "6 oracle labels", "7 its stage 1 alone", "levers off: WaltzRL, L"):
        assert f"| {row}" in text, row
    scores = json.loads(written[1].read_text())
    assert 0 <= scores["shared, seed 0"]["oracle labels"]["f1"] <= 1
    before = written[0].read_bytes()
    stamp = (tmp_path / "scores" / "shared_seed0.json").stat().st_mtime_ns
    assert waltz.study(tmp_path, 1, HERE, quick=True)[0].read_bytes() == before
    assert (tmp_path / "scores" / "shared_seed0.json").stat().st_mtime_ns == stamp
    assert all(jobs.finished(job, tmp_path) for job in waltz.plan(1, quick=True))


def test_deciders_agree_with_the_rules_they_are_made_of() -> None:
    decision: governed.Decision = baselines.always(1)(met())
    labels = MarketRules(0.5, "surface").judge(met(), decision.answer)
    assert labels.unsafe.tolist() == [True, False, True, False]
