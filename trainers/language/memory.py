"""What a run with a language model will need of memory, before it starts.

Weights, adapters, gradients and Adam's moments are counted exactly, from the model's own parameters. Activations, the
logits and the cache of keys and values are counted by their shapes from the model's config: the leading terms, which a
library's kernels may stay below or exceed; what CUDA and its allocator keep for themselves is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from trainers.language.adapters import ALL_LINEAR

if TYPE_CHECKING:
    from trainers.language.backbone import ModelSettings

ADAPTER_BYTES = 4  #: adapters are float32, and so are their gradients and Adam's two moments
LOGITS_BYTES = 4


class Estimate(NamedTuple):
    """Bytes on one process's device."""

    base: int  # exact; a sharded base's part, and its largest layer whole
    adapters: int  # exact, of the policies that learn
    gradients: int  # exact
    adam: int  # exact
    references: int  # exact, of frozen copies of adapters
    activations: int  # of a micro-batch kept for the backward pass, logits among them
    cache: int  # keys and values of a batch that is being generated

    @property
    def total(self) -> int:
        """The most at one time: a run either generates or learns."""
        return sum(self[:5]) + max(self.activations, self.cache)

    def __str__(self) -> str:
        lines = [
            ("base, frozen", self.base), ("adapters", self.adapters), ("gradients", self.gradients),
            ("Adam's moments", self.adam), ("references", self.references),
            ("activations of a micro-batch (about)", self.activations),
            ("keys and values while generating (about)", self.cache), ("at most at one time (about)", self.total),
        ]  # fmt: skip
        return "\n".join(f"{name:<42}{_size(count):>12}" for name, count in lines)


def _size(count: int) -> str:
    for unit, bytes_of in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_of:
            return f"{count / bytes_of:.1f} {unit}"
    return f"{count} B"


def skeleton(settings: ModelSettings) -> Any:
    """The model at settings.path without its weights: shapes alone, no memory.

    Raises:
        RunError: there is none.
    """
    from trainers.checkpoint import RunError
    from trainers.language.loading import find_folder, first_line, need_libraries

    need_libraries()
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = find_folder(settings)
    try:
        config = AutoConfig.from_pretrained(folder or settings.path, trust_remote_code=settings.trust_remote_code)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(
                config, dtype=settings.torch_dtype, trust_remote_code=settings.trust_remote_code
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise RunError(f"{settings.path}: its config cannot be loaded: {first_line(error)}") from error


def estimate(
    model: Any, settings: ModelSettings, *, prompt_tokens: int, new_tokens: int, learners: int = 2, references: int = 0,
    processes: int = 1,
) -> Estimate:  # fmt: skip
    """Of a run with a model, which may be a `skeleton`.

    Args:
        model: a PreTrainedModel, with or without adapters in it.
        prompt_tokens, new_tokens: of a sequence, at most (P and L).
        learners: policies that learn, an adapter each.
        references: frozen copies of adapters; a reference that is the base costs nothing.
        processes: among which a base is sharded, if settings.shard.
    """
    adapter = adapter_parameters(model, settings) * ADAPTER_BYTES
    base = {id(value): value for name, value in model.named_parameters() if ".lora_" not in name}
    weights = sum(value.numel() for value in base.values()) * settings.torch_dtype.itemsize
    if settings.shard and processes > 1:
        weights = -(-weights // processes) + _largest_layer(model) * settings.torch_dtype.itemsize
    return Estimate(
        base=weights,
        adapters=learners * adapter,
        gradients=learners * adapter,
        adam=2 * learners * adapter,
        references=references * adapter,
        activations=_activations(model, settings, prompt_tokens, new_tokens),
        cache=cache_bytes(model.config, settings, prompt_tokens + new_tokens),
    )


def adapter_parameters(model: Any, settings: ModelSettings) -> int:
    """Numbers in one adapter: r (in + out) for each layer that it sits on."""
    head = model.get_output_embeddings()
    total = 0
    for name, module in model.named_modules():
        last = name.removesuffix(".base_layer").rpartition(".")[2]
        if ".lora_" in name or module is head or not hasattr(module, "weight"):
            continue
        if settings.lora_targets == (ALL_LINEAR,) or last in settings.lora_targets:
            # nn.Linear's weight is (out, in), GPT-2's Conv1D's (in, out); no other module is adapted
            linear = isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"
            total += settings.lora_rank * sum(module.weight.shape) if linear else 0
    return total


def _largest_layer(model: Any) -> int:
    from trainers.distributed import layers

    sizes: list[int] = [sum(value.numel() for name, value in layer.named_parameters() if ".lora_" not in name)
                        for layer in layers(model)]  # fmt: skip
    return max(sizes)


def cache_bytes(config: Any, settings: ModelSettings, tokens: int) -> int:
    """Keys and values of settings.generate_batch sequences of so many tokens, in every layer."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    per_token = 2 * config.num_hidden_layers * key_heads * width * settings.torch_dtype.itemsize
    return int(settings.generate_batch * tokens * per_token)


def _activations(model: Any, settings: ModelSettings, prompt_tokens: int, new_tokens: int) -> int:
    """What the backward pass of one micro-batch keeps, with attention that never holds a table of scores.

    Of each layer: the inputs of its adapters, in float32 (without a cast, query, key and value share one); queries,
    keys, values, what attention puts out and three tensors within the MLP, in the base's type; and two normalisations,
    which compute in float32. With activation checkpointing only a layer's input, and one layer at a time all of it.
    The logits stand there twice, and their gradient once, in float32, for the new tokens alone.
    """
    config, tokens = model.config, settings.micro_batch * (prompt_tokens + new_tokens)
    hidden = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    size = settings.torch_dtype.itemsize
    adapted = 3 * hidden + inner if size == ADAPTER_BYTES else 6 * hidden + inner
    whole = tokens * (ADAPTER_BYTES * (adapted + 4 * hidden) + size * (4 * hidden + 3 * inner))
    layers = config.num_hidden_layers
    kept = tokens * size * hidden * layers + whole if settings.activation_checkpointing else whole * layers
    logits = 3 * LOGITS_BYTES * settings.micro_batch * new_tokens * config.vocab_size
    return int(kept + logits)
