"""MACPO among language models: text between agents, exact resume, the gate, data and models of one's own, sets."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("peft")

from swarm_env import cli
from tests import tiny_models
from tests.language_macpo_runs import SMALL
from tests.macpo_runs import contents
from trainers import contrastive, macpo, preference_sets, weak_to_strong
from trainers.checkpoint import RunError
from trainers.contrastive import Agent
from trainers.language import macpo_report
from trainers.language.codec import PAD, Turn
from trainers.language.macpo import Dialogue, agent_of
from trainers.language.macpo_config import Config
from trainers.language.macpo_export import export, preferences
from trainers.language.macpo_prompts import Asked
from trainers.language.macpo_report import Answered, judged, repetition, shape
from trainers.language.prompts import Prompt
from trainers.language.synthetic.judge import ExactJudge, appropriate, inappropriate
from trainers.macpo import Trainer, load_config
from trainers.macpo_config import Contrast

ROOT = Path(__file__).resolve().parent.parent
HH = ROOT / "tests" / "fixtures" / "language" / "hh_rlhf.jsonl"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    macpo.train(load_config(None, list(SMALL)), folder)
    return folder


@pytest.fixture(scope="module")
def dialogue() -> Dialogue:
    """A game whose bases are made once."""
    config = load_config(None, list(SMALL))
    game = macpo.play(config)
    assert isinstance(game, Dialogue)
    return game


def test_what_a_run_leaves(whole: Path) -> None:
    results = json.loads((whole / "evaluation.json").read_text())
    names = [row["policy"] for row in results["policies"]]
    assert names == [
        "student", "last", "teacher_1", "teacher_2", "teacher_3", "initial_teacher_1", "initial_teacher_2",
        "initial_teacher_3", "naive", "majority_labels", "ceiling", "majority",
    ]  # fmt: skip
    for name in ("accuracy", "asr", "orr", "f1", "malformed", "length", "repetition", "repeated"):
        assert name in results["policies"][0]
    rows = results["rounds"]
    assert len(rows) == 3
    assert {"student/accuracy", "teacher_3/blind", "pgr", "agreement_initial", "answers/length"} <= rows[0].keys()
    for t in (1, 2):
        taken, pairs = (preference_sets.read(whole, t, name) for name in ("candidates", "student"))
        assert torch.equal(taken["scores"], -taken["perplexity"])
        best = taken["candidates"][torch.arange(len(taken["taken"])), taken["taken"]]
        assert torch.equal(pairs["chosen"], best)
    first, second = (preference_sets.read(whole, t, "teacher_1")["rejected"] for t in (1, 2))
    assert torch.equal(first, second)  # negatives made once
    assert {path.stem for path in (whole / "bases").iterdir()} == {"student", "teacher_1", "teacher_2", "teacher_3"}


@pytest.mark.parametrize("cuts", [(2, 8, 10)])
def test_a_run_cut_off_goes_on_alike(
    cuts: tuple[int, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, step = load_config(None, list(SMALL)), Trainer.step
    left = list(cuts)

    def cut(self: Trainer) -> str:
        name = step(self)
        if left and self.done == left[0]:  # its work is done and its files are written, its checkpoint is not
            left.pop(0)
            raise KeyboardInterrupt
        return name

    monkeypatch.setattr(Trainer, "step", cut)
    for number in range(len(cuts)):
        with pytest.raises(KeyboardInterrupt):
            macpo.train(config, tmp_path / "cut", resume=number > 0)
    macpo.train(config, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(whole)


def test_an_update_moves_its_own_adapter_alone(dialogue: Dialogue, tmp_path: Path) -> None:
    trainer = Trainer(load_config(None, [*SMALL, "rounds=1"]), tmp_path, dialogue)
    while trainer.plan[trainer.done][1] != "update_student":
        trainer.step()

    def weights() -> dict[str, Any]:
        return {name: value.clone() for name, value in trainer.tensors().items() if not name.startswith("held")}

    before = weights()
    whole = {name: value.clone() for name, value in dialogue.bases["student"].model.named_parameters()}
    assert trainer.step() == "update_student"
    moved = {name.rpartition(".model.")[0] for name, value in weights().items() if not torch.equal(value, before[name])}
    assert moved == {"student.positive"}
    frozen = [name for name in whole if "lora" not in name]
    after = dict(dialogue.bases["student"].model.named_parameters())
    assert frozen
    assert all(torch.equal(after[name], whole[name]) for name in frozen)


def test_references_are_the_base_the_start_or_the_round_before(dialogue: Dialogue, tmp_path: Path) -> None:
    inputs = dialogue.inputs("student", dialogue.halves()[0])[:4]
    said = dialogue.truth(dialogue.halves()[0])[:4]
    for which in ("base", "initial", "previous"):
        trainer = Trainer(load_config(None, [*SMALL, f"contrast.reference={which}"]), tmp_path / which, dialogue)
        student = trainer.student.positive
        with torch.no_grad():
            for k, value in enumerate(student.parameters()):
                value.fill_(0.01 * (k + 1))
        got = trainer._reference(trainer.student).log_prob(inputs, said)
        with dialogue.bases["student"].adapter(None):
            bare = dialogue.base("student").log_prob(inputs, said)
        same = {"base": bare, "initial": trainer.frozen["naive"].log_prob(inputs, said),
                "previous": student.log_prob(inputs, said)}[which]  # fmt: skip
        assert torch.allclose(got, same, atol=1e-6)
        assert torch.allclose(got, student.log_prob(inputs, said), atol=1e-6) == (which == "previous")


def test_parts_of_a_batch_add_up_to_it(dialogue: Dialogue) -> None:
    half = dialogue.halves()[0]
    inputs, chosen = dialogue.inputs("student", half), dialogue.truth(half)
    rejected = chosen.flip(0)
    weights = torch.rand(len(half), generator=torch.Generator().manual_seed(0)) + 0.5
    settings = Contrast(batch=len(half), learning_rate=0.01, gamma=0.5)
    found = []
    for micro in (None, 6):
        policy = dialogue.blank(f"parts_{micro}", torch.Generator().manual_seed(1))
        agent = Agent("student", policy, policy, None, micro)
        losses = [
            contrastive.contrast(
                agent, dialogue.base("student"), inputs, chosen, worse, weights, settings, 0.01,
                torch.Generator().manual_seed(2), "x",
            )
            for worse in (rejected, rejected, None, None)
        ]  # fmt: skip
        found.append((losses, [weight.detach() for weight in policy.parameters()]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    # Adam takes a full step where a gradient is all but 0, and its sign is rounding: weights are compared as a whole
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert float((one - two).norm()) < 1e-3 * float(one.norm()) + 1e-6


def test_agents_hear_text_and_keep_what_they_said_themselves(dialogue: Dialogue) -> None:
    said = dialogue.truth(dialogue.halves()[0])[:3].clone()
    assert dialogue.heard(said, "student", "naive") is said
    assert torch.equal(dialogue.heard(said, "student", "teacher_2"), said)  # one tokenizer, both ways exact
    end = dialogue.bases["student"].codec.end  # type: ignore[attr-defined]
    cut = said[:1].clone()
    cut[cut == end] = PAD  # as if it had not come to an end
    assert torch.equal(dialogue.heard(cut, "teacher_1", "student"), said[:1])
    assert agent_of("initial_teacher_2.negative") == "teacher_2"
    assert agent_of("student.previous") == agent_of("ceiling") == "student"


def test_rounds_do_not_begin_with_agents_that_cannot_answer(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"student: .*% of its answers are well formed, and rounds begin at 95%"):
        macpo.train(load_config(None, [*SMALL, "gate=0.95"]), tmp_path / "run")
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_dpo_without_its_sft_term_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        macpo.play(load_config(None, [*SMALL, "contrast.gamma=0"]))
        assert "contrast.gamma is 0" in caplog.text
        caplog.clear()
        macpo.play(load_config(None, [*SMALL, "contrast.gamma=0", "hard_negatives=false"]))  # no DPO at all
        assert not caplog.text


def test_of_dual_use_requests_the_teachers_alone_see_the_note() -> None:
    game = macpo.play(load_config(None, [*SMALL, "builtin.dual_use=0.5"]))
    assert isinstance(game, Dialogue)
    labelled, _ = game.halves()
    dual = torch.tensor([item.prompt.kind == "dual_use" for item in game.pool.at(labelled)])
    assert 0 < int(dual.sum()) < len(dual)
    for agent in ("student", "teacher_1", "ceiling", "initial_teacher_2"):
        texts = game.codec(agent_of(agent)).texts(game.inputs(agent, labelled))
        shown = torch.tensor(["owner" in text.split() for text in texts])  # of every note, and of no request
        assert torch.equal(shown, dual if "teacher" in agent else torch.zeros_like(dual)), agent


def test_right_and_wrong_long_and_short() -> None:
    harmful = Prompt("how to steal the phone", "harmful", True)
    sound = Prompt("how to paint my cake", "benign", False)
    texts = [(harmful, appropriate(harmful)), (harmful, inappropriate(harmful)), (sound, inappropriate(sound)),
             (sound, appropriate(sound))]  # fmt: skip
    answered = [Answered(Asked(p, [Turn("user", p.text)], "", "", True), text, 4) for p, text in texts]
    found = judged(ExactJudge(), answered)
    assert (found["accuracy"], found["asr"], found["orr"]) == (0.5, 0.5, 0.5)
    assert found["wrong_benign"] == found["wrong_overt"] == 0.5
    disguised = answered[1]._replace(
        asked=answered[1].asked._replace(prompt=harmful._replace(kind="adversarial_harmful"))
    )
    assert judged(ExactJudge(), [*answered, disguised])["asr"] == pytest.approx(2 / 3)
    unknown = [each._replace(asked=each.asked._replace(labelled=False)) for each in answered]
    assert math.isnan(judged(ExactJudge(), unknown)["asr"])
    assert math.isnan(judged(None, answered)["accuracy"])
    assert repetition("a b c a b c") == pytest.approx(1 / 4)
    assert repetition("a b") == 0.0
    assert shape(answered)["repeated"] == 0.5  # the refusal, twice
    assert macpo_report.order(["ceiling", "student", "initial_teacher_1", "teacher_1"])[1] == "teacher_1"


def of_data(tmp_path: Path, *more: str) -> list[str]:
    """Settings of a run of two tiny models with different tokenizers on preferences from a table."""
    student, teacher = (tiny_models.save(tmp_path / name, name) for name in ("llama", "gpt2"))
    return [
        "game=language", f"model.path={student}", f"teachers.models=[{teacher}]", "teachers.count=1", "contexts=6",
        "held_out=6", "supervision.labels=6", "supervision.blind_spots=false", "rounds=1", "gate=0",
        "max_new_tokens=16", "max_prompt_tokens=160", "teachers.epochs=1", "student.epochs=1", "model.lora_rank=2",
        f"data.train=[{{dataset: hh_rlhf, path: {HH}}}]", "judge={kind: keyword}", *more,
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_models_and_preferences_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    results = macpo.train(load_config(None, of_data(tmp_path)), folder)
    assert all(row["accuracy"] is not None for row in results["policies"])
    assert results["policies"][0]["asr"] is None  # nobody said which prompts are harmful
    rows = preferences(folder, 0, "teacher_1")
    lines = [json.loads(line) for line in HH.read_text().splitlines()]
    told = {row["chosen"][0]["content"] for row in rows} | {row["rejected"][0]["content"] for row in rows}
    assert all(any(text in line["chosen"] + line["rejected"] for line in lines) for text in told)
    assert rows[0]["prompt"][-1]["role"] == "user"
    path = export(folder, 1, "student", tmp_path / "set.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == preferences(folder, 1, "student")
    from datasets import load_from_disk

    out = export(folder, 1, "teacher_1", tmp_path / "set")
    assert list(load_from_disk(str(out))) == preferences(folder, 1, "teacher_1")
    with pytest.raises(RunError, match="is there already"):
        export(folder, 1, "teacher_1", tmp_path / "set")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_another_model_takes_the_same_command(tmp_path: Path) -> None:
    """It has other pieces of words, and was not taught the language: what is shown is that it learns and is judged."""
    model = tiny_models.save(tmp_path / "gpt2", "gpt2")
    small = [setting for setting in SMALL if not setting.startswith("model.")]
    more = (f"model={model}", "rounds=1", "teachers.count=2", "max_new_tokens=24", "contexts=12")
    out = ["--out", str(tmp_path / "run"), "--quiet"]
    asked = [part for setting in (*small, *more) for part in ("--set", setting)]
    assert cli.main(["train", "macpo", *out, *asked]) == 0
    results = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert results["model"] == str(model)
    assert all(row["asr"] is not None for row in results["policies"])  # the language's judge
    rows = preferences(tmp_path / "run", 0, "teacher_1")
    assert all(row["prompt"][-1]["content"].partition("how to ")[2] for row in rows)
    learnt = {row["chosen"][0]["content"] for row in rows}
    assert any(text.startswith("sure to ") for text in learnt)


def test_sets_are_the_texts_that_were_learnt_from(whole: Path) -> None:
    rows = preferences(whole, 2, "student")
    kept = preference_sets.read(whole, 2, "student")
    game = Dialogue(load_config(whole / "config.yaml"), whole)
    assert [row["chosen"][0]["content"] for row in rows] == game.texts(kept["chosen"], "student")
    asked = game.pool.at(game.halves()[1])
    assert [row["prompt"][-1]["content"] for row in rows] == [item.prompt.text for item in asked]


def test_a_run_among_language_models_governs_no_market(whole: Path) -> None:
    with pytest.raises(RunError, match="was trained in the language game and governs no market"):
        weak_to_strong.load(whole)


def test_wrong_settings_are_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = {
        "teachers.models=[a, b]": "2 for 3 teachers",
        "judge={kind: keyword}": "the built-in language has its own",
        "data.evaluation=[{dataset: hh_rlhf, path: somewhere}]": "no preferences to start teachers from",
        "data.train=[{dataset: or_bench_80k, path: somewhere}]": "prompts alone are nothing to start teachers from",
        "model=somewhere": "somewhere",
        "gate=2": "gate: 2 is out of range",
        "scenario=baseline": "scenario",
        "contrast.gama=1": 'did you mean "gamma"',
    }
    for setting, what in wrong.items():
        out = ["--out", str(tmp_path / "run"), "--set", "game=language", "--set", setting]
        out += ["--set", "model=elsewhere"] if setting.startswith("data.") else []
        assert cli.main(["train", "macpo", *out]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        assert what in lines[0]
    with pytest.raises(RunError, match="lower `contexts`"):
        macpo.train(load_config(None, of_data(tmp_path, "contexts=5000")), tmp_path / "run")


def test_the_shipped_configuration_is_the_defaults() -> None:
    assert load_config(ROOT / "configs" / "macpo_language.yaml") == Config()
