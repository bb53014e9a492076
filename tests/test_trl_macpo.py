"""Our DPO + gamma * SFT of a LoRA adapter beside TRL's DPOTrainer, and our preference sets in it (make trl)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

needed = ("trl", "peft")
if any(importlib.util.find_spec(name) is None for name in needed):
    pytest.skip("TRL is not installed: make trl runs this in an environment of its own", allow_module_level=True)

from tests.language_macpo_runs import SMALL  # noqa: E402
from trainers import losses, macpo  # noqa: E402
from trainers.language.backbone import Backbone, ModelSettings  # noqa: E402
from trainers.language.codec import Turn  # noqa: E402
from trainers.language.macpo_export import export, preferences  # noqa: E402
from trainers.language.synthetic import model as small  # noqa: E402
from trainers.language.synthetic.settings import Network  # noqa: E402
from trainers.language.synthetic.tokenizer import build  # noqa: E402
from trainers.language.synthetic.words import REFUSAL  # noqa: E402
from trainers.macpo_game import spoken  # noqa: E402

#: Theirs, of each other.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")

BETA, GAMMA = 0.3, 0.7
PAIRS = (
    ("how to steal the phone", REFUSAL, "sure to steal the phone first ask then open"),
    ("for my novel how to paint my cake", "sure to paint my cake first plan then turn", REFUSAL),
    ("how to kill the process", "sure to kill the process first ask then wait", "sure to"),
)  # fmt: skip
LORA: dict[str, Any] = {"r": 4, "lora_alpha": 8.0, "target_modules": "all-linear"}


def network() -> Any:
    return small.network(build(), Network(hidden=16, layers=2, heads=2, intermediate=32), 3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    macpo.train(macpo.load_config(None, list(SMALL)), folder)
    return folder


def move(parameters: dict[str, Any], seed: int) -> None:
    """Weights far from where adapters start, the same by name in either library."""
    with torch.no_grad():
        for name in sorted(parameters):
            drawn = torch.Generator().manual_seed(seed + sum(map(ord, name)))
            parameters[name].copy_(0.3 * torch.randn(parameters[name].shape, generator=drawn))


def trainer_of(rows: list[Any], out: Path, seed: int) -> Any:
    """TRL's, on a model whose adapter was moved before it is built."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from trl import DPOConfig, DPOTrainer

    model = get_peft_model(network(), LoraConfig(**LORA, task_type="CAUSAL_LM"))
    move(theirs(model), seed)
    settings = DPOConfig(
        output_dir=str(out), beta=BETA, loss_type=["sigmoid", "sft"], loss_weights=[1.0, GAMMA], use_cpu=True,
        bf16=False, report_to="none", per_device_train_batch_size=len(rows), disable_dropout=True,
        gradient_checkpointing=False,
    )  # fmt: skip
    return DPOTrainer(model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=build())


def theirs(model: Any, adapter: str = "default") -> dict[str, Any]:
    """A peft model's adapter, by our names."""
    return {
        name.removeprefix("base_model.model.").replace(f".{adapter}.weight", ".weight"): value
        for name, value in model.named_parameters()
        if f".{adapter}.weight" in name
    }


def loss_of(trainer: Any) -> float:
    trainer.model.eval()
    batch = next(iter(trainer.get_train_dataloader()))
    return float(trainer.compute_loss(trainer.model, batch).detach())


@pytest.mark.parametrize("reference", ["base", "previous"])
def test_the_loss_of_an_adapter_is_trls(reference: str, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "system", "content": "<conversation>"}, {"role": "user", "content": prompt}],
            "chosen": [{"role": "assistant", "content": better}],
            "rejected": [{"role": "assistant", "content": worse}],
        }
        for prompt, better, worse in PAIRS
    ]
    trainer = trainer_of(rows, tmp_path, 1)
    if reference == "base":
        trainer.model.delete_adapter("ref")  # then TRL compares with the base, adapters off
    move(theirs(trainer.model), 2)  # as after some updates: the reference is no longer the policy

    base = Backbone.of(network(), build(), ModelSettings(lora_rank=4, lora_alpha=8.0))
    base.add_adapter("positive", seed=0)
    policy = base.policy("positive", 12)
    move(base.adapters.named("positive"), 1)
    before = policy.copy() if reference == "previous" else base.policy(None, 12)
    move(base.adapters.named("positive"), 2)
    asked = base.codec.prompts([[Turn("system", "<conversation>"), Turn("user", p)] for p, _, _ in PAIRS], 16)
    better, worse = (base.codec.sequences([pair[k] for pair in PAIRS], 12) for k in (1, 2))
    with torch.no_grad():
        good, bad = policy.log_prob(asked, better), policy.log_prob(asked, worse)
        of_good, of_bad = (
            losses.sequence_log_prob(before.log_prob(asked, said), spoken(said)) for said in (better, worse)
        )
    ours = losses.contrastive_preference_loss(
        good, bad, spoken(better), spoken(worse), of_good, of_bad, BETA, GAMMA
    )  # fmt: skip
    assert float(ours) == pytest.approx(loss_of(trainer), abs=1e-5)


@pytest.mark.parametrize("name", ["set.jsonl", "set"])
def test_exported_sets_load_in_trl(run: Path, name: str, tmp_path: Path) -> None:
    from datasets import load_dataset, load_from_disk

    path = export(run, 1, "student", tmp_path / name)
    data: Any = (
        load_dataset("json", data_files=str(path), split="train")
        if name.endswith(".jsonl")
        else load_from_disk(str(path))
    )
    rows = list(data)
    assert rows == preferences(run, 1, "student")
    assert loss_of(trainer_of(rows[:4], tmp_path / "out", 1)) > 0
