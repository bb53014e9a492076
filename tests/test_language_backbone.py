"""Loading, adapters on one base, and folders that plain transformers and peft read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Generator

from tests import tiny_models
from trainers.checkpoint import RunError
from trainers.language.backbone import Backbone, ModelSettings
from trainers.language.codec import PAD, Turn


def settings(path: Path | str = "builtin", **more: Any) -> ModelSettings:
    return ModelSettings(path=str(path), **{"lora_rank": 4, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def backbone() -> Backbone:
    made = Backbone.of(tiny_models.model("llama"), tiny_models.tokenizer(), settings())
    made.add_adapter("actor", seed=1)
    made.add_adapter("overseer", seed=2)
    return made


def disturb(backbone: Backbone, name: str, seed: int = 0) -> None:
    """Give an adapter weights as training might."""
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for value in backbone.adapters.named(name).values():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(5, 25)[None]).logits  # type: ignore[no-any-return]


def remove(pattern: str) -> Any:
    def act(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()

    return act


def to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove("config.json"), "no config.json, so no transformers model"),
        (remove("tokenizer*"), "no tokenizer there"),
        (remove("*.safetensors"), r"no weights there \(\*\.safetensors\)"),
        (to_pickle, r"its weights are pickles \(pytorch_model.bin\).*model.allow_pickle=true"),
        (truncate, "its weights are damaged|cannot be loaded"),
        (without_a_weight, "weights missing: model.layers.1.mlp.up_proj.weight"),
        (lambda folder: (folder / "config.json").write_text("{}"), "cannot be loaded"),
    ],
)
def test_what_a_model_lacks_is_one_clear_error(copied: Path, damage: Any, said: str) -> None:
    damage(copied)
    with pytest.raises(RunError, match=said) as caught:
        Backbone.load(settings(copied))
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        Backbone.load(settings(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="a file; a model is a folder"):
        Backbone.load(settings(tmp_path / "file"))
    with pytest.raises(RunError, match="made in memory"):
        Backbone.load(settings())


def test_a_hub_name_that_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    def unknown(*_: Any, **__: Any) -> None:
        raise OSError("nobody/model is not a valid model identifier\nmore\nand more")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", unknown)
    with pytest.raises(RunError, match=r"nobody/model \(no folder here.*not a valid model identifier$"):
        Backbone.load(settings("nobody/model"))


def test_pickles_load_if_the_user_says_so(copied: Path) -> None:
    before = logits(Backbone.load(settings(copied)).model)
    to_pickle(copied)
    assert torch.equal(logits(Backbone.load(settings(copied, allow_pickle=True)).model), before)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    few = tiny_models.model("llama")
    few.resize_token_embeddings(100)
    with pytest.raises(RunError, match="the tokenizer has 320 tokens, the model 100"):
        Backbone.of(few, tiny_models.tokenizer(), settings())


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match="is cuda, and there is no GPU"):
        Backbone.of(tiny_models.model("llama"), tiny_models.tokenizer(), settings(device="cuda"))


def test_without_the_libraries_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"pip install 'swarm-env\[llm\]'"):
        Backbone.load(settings(folder))


def test_what_a_model_says_about_generation_does_not_reach_it(folder: Path) -> None:
    held = Backbone.load(settings(folder))
    assert held.generation_config.top_k == 5
    assert held.model.generation_config.top_k is None


@pytest.mark.parametrize("name", tiny_models.NAMES)
def test_a_new_adapter_changes_nothing_and_comes_from_its_seed_alone(name: str) -> None:
    plain = tiny_models.model(name)
    before, state = logits(plain), torch.get_rng_state()
    made = Backbone.of(plain, tiny_models.tokenizer(), settings())
    made.add_adapter("a", seed=1)
    made.add_adapter("b", seed=1)
    made.add_adapter("c", seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(logits(made.model), before)
    with made.adapter("a"):
        assert torch.equal(logits(made.model), before)
    a, b, c = (made.adapters.named(key) for key in "abc")
    assert all(torch.equal(value, b[key]) for key, value in a.items())
    assert not all(torch.equal(value, c[key]) for key, value in a.items())
    assert len(a) == 2 * (14 if name != "gpt2" else 8)  # every linear layer but the head
    assert all(value.dtype == torch.float32 for value in a.values())


def test_the_adapter_before_comes_back_whatever_happens(backbone: Backbone) -> None:
    disturb(backbone, "actor", 1)
    disturb(backbone, "overseer", 2)
    base = logits(backbone.model)
    with backbone.adapter("actor"):
        actor = logits(backbone.model)
        assert not torch.allclose(actor, base)
        with backbone.adapter("overseer"):
            assert not torch.allclose(logits(backbone.model), actor)
        with pytest.raises(KeyError), backbone.adapter("overseer"):
            raise KeyError
        assert torch.equal(logits(backbone.model), actor)
        with backbone.adapter(None):
            assert torch.equal(logits(backbone.model), base)
        assert torch.equal(logits(backbone.model), actor)
    with pytest.raises(ZeroDivisionError), backbone.adapter("actor"):
        raise ZeroDivisionError
    assert torch.equal(logits(backbone.model), base)


def test_switching_freezes_no_adapter_and_thaws_no_base(backbone: Backbone) -> None:
    def trainable() -> set[bool]:
        return {value.requires_grad for name, value in backbone.model.named_parameters() if ".lora_" in name}

    backbone.copy_adapter("actor")
    for name in ("actor", "overseer", None):
        with backbone.adapter(name):
            assert trainable() == {True}
    assert trainable() == {True}
    assert not any(v.requires_grad for name, v in backbone.model.named_parameters() if ".lora_" not in name)


def test_adapters_that_cannot_be(backbone: Backbone) -> None:
    with pytest.raises(RunError, match="'actor' cannot name a new adapter: taken"):
        backbone.add_adapter("actor", seed=0)
    with pytest.raises(RunError, match=r"'a\.b' cannot name"):
        backbone.add_adapter("a.b", seed=0)
    with (
        pytest.raises(RunError, match="no adapter 'writer'; there are: actor, overseer"),
        backbone.adapter("writer"),
    ):
        pass
    for targets, said in ((("q_prj",), "q_prj"), (("embed_tokens",), "not all of them are linear layers")):
        other = Backbone.of(tiny_models.model("llama"), tiny_models.tokenizer(), settings(lora_targets=targets))
        with pytest.raises(RunError, match=said):
            other.add_adapter("a", seed=0)


def test_chosen_targets() -> None:
    made = Backbone.of(tiny_models.model("llama"), tiny_models.tokenizer(), settings(lora_targets=["q_proj"]))
    made.add_adapter("a", seed=0)
    assert sorted(made.adapters.layers) == [f"model.layers.{k}.self_attn.q_proj" for k in range(2)]


# peft asks transformers under a name that transformers is about to drop
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", tiny_models.NAMES)
@pytest.mark.parametrize("origin", ["folder", "memory"])
def test_an_exported_agent_is_read_by_plain_transformers_and_peft(name: str, origin: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if origin == "folder":
        made = Backbone.load(settings(tiny_models.save(tmp_path / "base", name)))
    else:
        made = Backbone.of(tiny_models.model(name), tiny_models.tokenizer(), settings())
    made.add_adapter("actor", seed=1)
    disturb(made, "actor")
    base = made.export(tmp_path / "actor", "actor")
    assert base == tmp_path / "base"
    assert json.loads((tmp_path / "actor" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    assert torch.equal(logits(plain), logits(made.model))
    agent = PeftModel.from_pretrained(plain, tmp_path / "actor")
    with made.adapter("actor"):
        assert torch.allclose(logits(agent), logits(made.model), atol=1e-5)
    read = AutoTokenizer.from_pretrained(tmp_path / "actor")
    assert read("pick a lock")["input_ids"] == made.tokenizer("pick a lock")["input_ids"]
    with pytest.raises(RunError, match="is there already"):
        made.export(tmp_path / "actor", "actor")
    assert not list(tmp_path.glob(".*"))


def test_a_base_in_bfloat16_keeps_its_adapters_in_float32() -> None:
    made = Backbone.of(tiny_models.model("qwen2"), tiny_models.tokenizer(), settings(dtype="bfloat16"))
    made.add_adapter("a", seed=0)
    types = {value.dtype for name, value in made.model.named_parameters() if ".lora_" not in name}
    assert types == {torch.bfloat16}
    policy = made.policy("a", 5)
    prompts = made.codec.prompts([[Turn("user", "hi")]], 30)
    sample = policy.sample(prompts, Generator().manual_seed(0))
    assert sample.log_probs.dtype == torch.float32
    policy.log_prob(prompts, sample.tokens).sum().backward()
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in policy.parameters())
    assert int((sample.tokens != PAD).sum()) > 0
