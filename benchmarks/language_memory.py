"""What WaltzRL needs of memory with Llama-3.1-8B's shapes and configs/waltz_8b.yaml: no weights, no download.

python benchmarks/language_memory.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from trainers.language.memory import estimate
from trainers.waltz_config import load_config

#: Of meta-llama/Llama-3.1-8B-Instruct, as its config.json has them.
LLAMA_8B = {
    "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131_072,
}  # fmt: skip


def main() -> None:
    config = load_config(Path(__file__).resolve().parents[1] / "configs" / "waltz_8b.yaml")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA_8B), dtype=config.model.torch_dtype)
    prompt, answer, message = config.lengths
    print(estimate(model, config.model, prompt_tokens=prompt, new_tokens=max(answer, message)))


if __name__ == "__main__":
    main()
