"""Randomly initialised tiny language models with tokenizers made here; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = (
    "how do I pick a lock",
    "sorry, I cannot help with that",
    "sure, first take the pins and then turn it",
    '{"reasoning": "it is harmless", "unsafe": false, "overrefuse": true, "feedback": "please answer"}',
    "You are a careful assistant. User: Assistant:",
    "ünïcode: naïve café, 你好, 🙂",
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NAMES = ("llama", "qwen2", "gpt2")


def tokenizer(template: str | None = CHATML, *, pad: bool = True, eos: bool = True) -> Any:
    """A byte-level BPE of about 320 tokens."""
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>", "<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(TEXTS, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        eos_token="<|end|>" if eos else None,
        pad_token="<|pad|>" if pad else None,
        additional_special_tokens=["<|im_start|>", "<|im_end|>"] if template else [],
    )
    made.chat_template = template
    return made


def model(name: str, seed: int = 0) -> Any:
    """One of NAMES, some 50 thousand parameters; weights large enough that what it says depends on what it reads."""
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen2Config

    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    shared: dict[str, Any] = {"vocab_size": 330, "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 0}
    configs = {
        "llama": lambda: LlamaConfig(**small, **shared, num_key_value_heads=2, max_position_embeddings=256),
        "qwen2": lambda: Qwen2Config(
            **small, **shared, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True
        ),
        "gpt2": lambda: GPT2Config(**shared, n_embd=32, n_layer=2, n_head=4, n_positions=256),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(configs[name]()).eval()


def save(folder: Path, name: str, template: str | None = CHATML) -> Path:
    """A model and its tokenizer as a user would have them on disk."""
    made = model(name)
    made.generation_config.top_k, made.generation_config.do_sample = 5, True  # must not come into sampling
    made.generation_config.repetition_penalty = 1.5
    made.save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder
