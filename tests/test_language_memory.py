"""The estimate: to the byte where it is arithmetic, about right where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from tests import tiny_models
from trainers.checkpoint import RunError
from trainers.language import memory
from trainers.language.backbone import Backbone, ModelSettings

PROMPT, NEW, COUNT = 24, 8, 4


def made(name: str, **more: Any) -> tuple[Backbone, ModelSettings]:
    settings = ModelSettings(**{"lora_rank": 4, "micro_batch": COUNT, "generate_batch": COUNT, **more})
    return Backbone.of(tiny_models.model(name), tiny_models.tokenizer(), settings), settings


def estimated(model: Any, settings: ModelSettings, **more: Any) -> memory.Estimate:
    return memory.estimate(model, settings, prompt_tokens=PROMPT, new_tokens=NEW, **more)


def held(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("name", tiny_models.NAMES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_adapters_gradients_and_moments_are_exact(name: str, dtype: str) -> None:
    backbone, settings = made(name, dtype=dtype)
    before = estimated(backbone.model, settings, references=1)
    assert before.base == held(backbone.model.parameters())
    for k, agent in enumerate(("a", "b")):
        backbone.add_adapter(agent, seed=k)
    policies = [backbone.policy(agent, NEW) for agent in ("a", "b")]
    parameters = [value for policy in policies for value in policy.parameters()]
    assert before.adapters == held(parameters)
    optimizer = torch.optim.Adam(parameters)
    for policy in policies:
        given = torch.randint(5, 300, (2, 6), generator=Generator().manual_seed(0))
        policy.log_prob(given, given).sum().backward()
    assert before.gradients == held(value.grad for value in parameters)
    optimizer.step()
    moments = [x for entry in optimizer.state.values() for x in (entry["exp_avg"], entry["exp_avg_sq"])]
    assert before.adam == held(moments)
    copied = policies[0].copy()
    assert before.references == held(copied.parameters())
    assert estimated(backbone.model, settings, references=1) == before  # adapters in the model change nothing


@pytest.mark.parametrize("name", tiny_models.NAMES)
def test_keys_and_values_are_exact(name: str) -> None:
    backbone, settings = made(name)
    backbone.model.generation_config.pad_token_id = 0
    with torch.no_grad():
        out = backbone.model(torch.randint(5, 300, (COUNT, PROMPT + NEW)), use_cache=True)
    assert estimated(backbone.model, settings).cache == held(
        tensor for layer in out.past_key_values.layers for tensor in (layer.keys, layer.values)
    )


def saved(backbone: Backbone) -> int:
    """Bytes that a forward pass keeps for the backward one."""
    known = {value.untyped_storage().data_ptr() for value in backbone.model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    draw = Generator().manual_seed(0)
    prompts, tokens = (torch.randint(5, 300, (COUNT, width), generator=draw) for width in (PROMPT, NEW))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        backbone.policy("a", NEW).log_prob(prompts, tokens)
    return sum(kept.values())


@pytest.mark.parametrize("name", tiny_models.NAMES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_about_what_a_forward_pass_keeps(name: str, dtype: str) -> None:
    backbone, settings = made(name, dtype=dtype)
    backbone.add_adapter("a", seed=0)
    assert 0.8 < estimated(backbone.model, settings).activations / saved(backbone) < 1.8


def test_checkpointing_keeps_less() -> None:
    backbone, settings = made("llama")
    backbone.add_adapter("a", seed=0)
    whole = saved(backbone)
    again, fewer = made("llama", activation_checkpointing=True)
    again.add_adapter("a", seed=0)
    assert saved(again) < 0.4 * whole
    assert estimated(again.model, fewer).activations < estimated(backbone.model, settings).activations


def test_a_base_is_shared_among_processes_if_it_is_sharded() -> None:
    backbone, whole = made("llama")
    sharded = whole.model_copy(update={"shard": True})
    base = estimated(backbone.model, whole, processes=4).base
    layer = held(backbone.model.model.layers[0].parameters())
    assert estimated(backbone.model, sharded, processes=4).base == -(-base // 4) + layer
    assert base == held(backbone.model.parameters())


def test_a_model_on_disk_is_judged_by_its_config(tmp_path: Path) -> None:
    folder = tiny_models.save(tmp_path / "model", "qwen2")
    settings = ModelSettings(path=str(folder), lora_rank=4, micro_batch=COUNT, generate_batch=COUNT)
    shapes = memory.skeleton(settings)
    assert {value.device.type for value in shapes.parameters()} == {"meta"}
    assert estimated(shapes, settings) == estimated(Backbone.load(settings).model, settings)
    with pytest.raises(RunError, match="no such folder"):
        memory.skeleton(ModelSettings(path=str(tmp_path / "none")))


def test_it_reads_as_a_table() -> None:
    table = str(memory.Estimate(3 * 2**30, 2**20, 2**20, 2**21, 0, 5 * 2**30, 10))
    assert "base, frozen" in table
    assert "3.0 GiB" in table
    assert table.splitlines()[-1].split()[-2:] == ["8.0", "GiB"]
