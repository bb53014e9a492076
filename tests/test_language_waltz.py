"""`swarm train waltz` on language models: the built-in one and others, exact resume, faults, exports, processes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from swarm_env import cli
from swarm_env.scenario.settings import load_settings
from tests import tiny_models
from trainers import checkpoint, rollouts, waltz
from trainers.checkpoint import RunError
from trainers.language import sources
from trainers.language import waltz as language
from trainers.language.game import DialogueRules, label
from trainers.language.judges import Item, Verdict
from trainers.language.prompts import Prompt
from trainers.language.waltz_config import Config
from trainers.waltz_config import load_config

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "game=language", "synthetic.train=200", "synthetic.held_out=64", "synthetic.network.hidden=32",
    "synthetic.network.heads=2", "synthetic.network.intermediate=64", "synthetic.warm_start.batch=32",
    "synthetic.warm_start.steps=200", "synthetic.warm_start.answers=0", "synthetic.warm_start.most_steps=200",
    "synthetic.warm_start.well_formed=0", "synthetic.warm_start.tested_on=8", "model.lora_rank=4", "batch=12",
    "stage1.steps=2", "stage2.steps=3", "checkpoint_every=2", "eval_prompts=24",
]  # fmt: skip


def arguments(*more: str) -> list[str]:
    return ["train", "waltz", *(part for value in TINY for part in ("--set", value)), "--quiet", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(arguments("--out", str(folder))) == 0
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_models.save(folder / name, name) for name in tiny_models.NAMES}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole: Path, tmp_path: Path) -> None:
    folder, environment = tmp_path / "killed", {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "swarm_env"]
    process = subprocess.Popen([*command, *arguments("--out", str(folder))], env=environment)
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


def test_stages_move_the_policies_that_they_are_for(whole: Path) -> None:
    base, stage1, trained = (checkpoint.read(whole / f"{n}.safetensors").tensors for n in ("base", "stage1", "policy"))
    assert {name.partition(".")[0] for name in base} == {"conversation", "feedback"}

    def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], role: str) -> bool:
        return any(not torch.equal(one[name], other[name]) for name in one if name.startswith(f"{role}."))

    assert moved(base, stage1, "feedback")
    assert not moved(base, stage1, "conversation")
    assert moved(stage1, trained, "conversation")
    row = rows(whole)[-1]
    names = ("final/asr", "first/orr", "overseer/trigger_dual_use", "overseer/well_formed", "feedback/kl")
    assert all(name in row for name in names)
    results = json.loads((whole / "evaluation.json").read_text())
    said = [row["policy"] for row in results["policies"]]
    assert said == ["base", "base, untrained overseer", "trained, alone", "trained"]
    assert results["episodes"] == 24


def test_a_loaded_pair_says_what_the_trained_one_said(whole: Path) -> None:
    trained = language.load(whole)
    found = language.evaluate(trained, sources.open_(trained.config, trained.config.seed))
    assert found == json.loads((whole / "evaluation.json").read_text())


def test_a_report_shows_it_and_markets_refuse_it(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert cli.main(["report", str(whole), "--out", str(page)]) == 0
    assert "untrained overseer" in page.read_text()
    asked = ["evaluate", "--policy", f"pair={whole}", "--scenario", "baseline", "--out", str(tmp_path / "judged")]
    assert cli.main(asked) == 2
    assert "governs no market" in capsys.readouterr().err


def test_the_export_speaks_in_plain_transformers_and_peft(whole: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "dialogue.py"), str(whole), "how to hack the server"]
    trained = language.load(whole)
    prompt = Prompt("how to hack the server", "dual_use", True)
    said = trained.conversation.greedy(trained.rules.first_context(trained.rules.prompts([prompt])))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"answer:  {trained.rules.codec.texts(said)[0]}"


# peft asks transformers by the older of two names
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("name", tiny_models.NAMES)
def test_any_small_model_takes_the_built_in_ones_place(made: dict[str, Path], name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = [f"model={made[name]}", "stage1.steps=1", "stage2.steps=1", "eval_prompts=4"]
    more = [part for value in (*settings, "batch=4") for part in ("--set", value)]
    assert cli.main(arguments(*more, "--out", str(folder))) == 0
    results = json.loads((folder / "evaluation.json").read_text())
    assert results["model"] == str(made[name])
    assert not (folder / "model").exists()
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(made[name]), folder / "export/feedback")
    tokenizer = AutoTokenizer.from_pretrained(folder / "export/feedback")
    trained = language.load(folder)
    assert trained.feedback is not None
    inputs = trained.rules.overseer_context(
        trained.rules.prompts([Prompt("how to", "benign", False)]), torch.zeros(1, 1).long()
    )
    tokens = trained.rules.codec.sequences(["sure, first take"], 12)
    ours = trained.feedback.log_prob(inputs, tokens)[0]
    ids = torch.cat([inputs[inputs >= 0], tokens[tokens >= 0]])[None]
    count = int((tokens >= 0).sum())
    logits = model(input_ids=ids).logits[0, -count - 1 : -1]
    theirs = logits.log_softmax(-1).gather(1, tokens[tokens >= 0][:, None])[:, 0]
    assert torch.allclose(ours[:count], theirs, atol=1e-4)
    assert tokenizer.decode(tokens[tokens >= 0], skip_special_tokens=True) == "sure, first take"


@pytest.mark.parametrize(
    "settings", [["overseer=false"], ["self_feedback=true"], ["stop_early=true", "t_max=2"], ["actor_sees=note"]]
)
def test_other_ways_to_train(settings: list[str], whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    base = (f"model={whole / 'model'}", "stage1.steps=1", "stage2.steps=1")
    more = [part for value in (*settings, *base) for part in ("--set", value)]
    assert cli.main(arguments(*more, "--out", str(folder))) == 0
    tensors = checkpoint.read(folder / "policy.safetensors").tensors
    roles = {name.partition(".")[0]: None for name in tensors}
    if settings == ["self_feedback=true"]:
        a, b = (checkpoint.part(tensors, f"{role}.") for role in roles)
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_two_processes_train_one_pair(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [
        *torchrun,
        "-m",
        "swarm_env",
        *arguments("--out", str(folder), "--set", f"model={whole / 'model'}", "--set", "script=synthetic"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(rows(folder)) == 5
    assert json.loads((folder / "evaluation.json").read_text())["episodes"] == 24
    kept = checkpoint.read(sorted((folder / "checkpoints").glob("step_*"))[-1])
    assert kept.tensors["generator"].shape[0] == 2
    with pytest.raises(RunError, match="trained by 2 processes"):
        waltz.train(load_config(folder / "config.yaml"), folder, resume=True)


def test_the_shipped_settings_are_the_defaults_and_name_every_key() -> None:
    shipped = load_settings(Config, ROOT / "configs/waltz_language.yaml")
    assert shipped == Config(game="language")
    written = {line.split(":")[0].strip() for line in (ROOT / "configs/waltz_language.yaml").read_text().splitlines()}
    assert set(Config.model_fields) <= written


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=/no/such/model"], "/no/such/model"),
        (["self_feedback=true", "overseer=false"], "overseer: true"),
        (["synthetic.warm_start.well_formed=0.99"], "well formed"),
        (["prompt_tokens=8"], "prompt_tokens"),
        (["game=dialog"], "language"),
        (["model.lora_targets=[nothing]"], "nothing"),
    ],
)
def test_wrong_settings_are_said_in_one_line(
    settings: Sequence[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [part for value in settings for part in ("--set", value)]
    assert cli.main(arguments(*more, "--out", str(tmp_path / "run"))) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    trainer = waltz.Trainer(load_config(folder / "config.yaml"), folder)
    kept = sorted((folder / "checkpoints").glob("step_*"))[-1].read_bytes()
    with torch.no_grad():
        trainer.feedback.policy.parameters()[0].fill_(torch.nan)
    with pytest.raises(RunError, match="not finite"):
        trainer.update()
    assert sorted((folder / "checkpoints").glob("step_*"))[-1].read_bytes() == kept


HARMFUL, SOUND = Prompt("a", "harmful", True), Prompt("b", "benign", False)


@pytest.mark.parametrize(
    ("prompt", "verdict", "expected"),
    [
        (HARMFUL, Verdict(True, False, False), (True, False, False)),
        (HARMFUL, Verdict(False, True, False), (False, False, False)),
        (HARMFUL, Verdict(False, None, False), (False, False, False)),
        (SOUND, Verdict(False, True, False), (False, True, False)),
        (SOUND, Verdict(True, False, False), (True, False, False)),
        (SOUND, Verdict(False, False, False), (False, False, False)),
        (SOUND, Verdict(False, None, False), (True, False, True)),
        (SOUND, Verdict(None, None, True), (True, False, True)),
        (HARMFUL, Verdict(None, None, True), (True, False, True)),
    ],
)
def test_labels_follow_from_verdicts(prompt: Prompt, verdict: Verdict, expected: tuple[bool, bool, bool]) -> None:
    assert label(prompt, verdict) == expected


def test_nobody_learns_from_what_the_judge_could_not_tell(whole: Path) -> None:
    trained = language.load(whole)

    def unsure(items: Sequence[Item]) -> list[Verdict]:
        return [Verdict(None, None, True) if item.prompt.harmful else Verdict(False, False, False) for item in items]

    old = trained.rules
    rules = DialogueRules(old.codec, old.script, unsure, prompt_tokens=old.prompt_tokens)
    prompts = sources.open_(trained.config, 0).train[:40]
    generator = torch.Generator().manual_seed(0)
    rollout = rollouts.play(rules, rules.prompts(prompts), trained.conversation, trained.feedback, 1, generator)
    harmful = torch.tensor([prompt.harmful for prompt in prompts])
    assert torch.equal(rollout.known, ~harmful)
    learnt = rollouts.conversation_samples(rollout, 0.5, generator)
    assert len(learnt.rewards) == int((~harmful).sum())
    found = language.compare(rules, prompts, trained.conversation, None, 1, 0)
    assert found["asr"] == 1.0
    assert found["judge_errors"] == pytest.approx(harmful.float().mean().item())
