"""A judge in this process: a guard model by transformers, greedy and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from trainers.checkpoint import RunError
from trainers.language.judges import Item, Verdict
from trainers.language.judges.formats import Controversial, Format, unreadable


class GuardJudge:
    """A guard model, or a chat model that judges.

    Args:
        form: what the model is shown and what it answers.
        model, tokenizer: a transformers causal language model, in evaluation mode, and its tokenizer.
        batch: items judged at once.
        max_prompt_tokens: longer ones are not judged: parse errors.
        controversial: what an answer of that name counts as.
    """

    def __init__(
        self, form: Format, model: Any, tokenizer: Any, *, batch: int = 16, max_prompt_tokens: int = 4096,
        controversial: Controversial = "unsafe",
    ) -> None:  # fmt: skip
        if form.messages is not None and not getattr(tokenizer, "chat_template", None):
            raise RunError(f"{form.title} is shown a chat, and the tokenizer has no chat template")
        self._form, self._model, self._tokenizer = form, model, tokenizer
        self._batch, self._max_prompt_tokens, self._controversial = batch, max_prompt_tokens, controversial
        pads = [tokenizer.pad_token_id, tokenizer.eos_token_id, 0]
        self._pad = next(pad for pad in pads if pad is not None)

    def shown(self, item: Item) -> list[int]:
        """What the model is shown, as ids: the format has its special tokens, none are added."""
        if self._form.text is not None:
            text = self._form.text(item)
        else:
            assert self._form.messages is not None
            text = self._tokenizer.apply_chat_template(
                self._form.messages(item), tokenize=False, add_generation_prompt=self._form.generation_prompt
            )
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def __call__(self, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each."""
        prompts = [self.shown(item) for item in items]
        verdicts = [unreadable(f"not judged: {len(p)} tokens, more than {self._max_prompt_tokens}") for p in prompts]
        # by length, so that batches hold little padding
        fit = [k for k in range(len(prompts)) if len(prompts[k]) <= self._max_prompt_tokens]
        order = sorted(fit, key=lambda k: len(prompts[k]))
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            for k, raw in zip(rows, self._answers([prompts[k] for k in rows]), strict=True):
                verdicts[k] = self._form.read(raw, self._controversial)
        return verdicts

    @torch.no_grad()
    def _answers(self, prompts: list[list[int]]) -> list[str]:
        width = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[self._pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        device = self._model.device
        out = self._model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=self._form.max_new_tokens,
            do_sample=False, pad_token_id=self._pad,
        )  # fmt: skip
        return list(self._tokenizer.batch_decode(out[:, width:], skip_special_tokens=True))


def load_guard(
    path: str, dtype: Literal["float32", "bfloat16"], device: Literal["auto", "cpu", "cuda"], allow_pickle: bool = False
) -> tuple[Any, Any]:
    """(model, tokenizer) of a local folder or of the hub; safetensors only unless told otherwise, no remote code.

    Raises:
        RunError: transformers is not installed, or there is no such model.
    """
    try:
        from transformers import GenerationConfig
    except ImportError:
        raise RunError("guard models need transformers: pip install 'swarm-env[llm]'") from None
    from trainers.language.backbone import ModelSettings
    from trainers.language.loading import load_model, load_tokenizer

    settings = ModelSettings(path=path, dtype=dtype, device=device, allow_pickle=allow_pickle)
    tokenizer, model = load_tokenizer(settings), load_model(settings)
    # greedy is greedy: whatever else a model's own configuration has (penalties, ..) would bend its verdicts
    ends = model.generation_config.eos_token_id if model.generation_config is not None else tokenizer.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends)
    return model.to(settings.place).eval(), tokenizer
