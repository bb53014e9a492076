"""The codec of a Hugging Face tokenizer: its chat template where it has one, a plain one where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainers.checkpoint import RunError
from trainers.language.codec import PAD, Turn

#: Of models without a template. Nothing ends in a space, so an answer's first word is tokenised as within a text.
PLAIN = {"system": "{}\n\n", "user": "User:\n{}\n\n", "assistant": "Assistant:\n{}\n\n"}
PLAIN_PROMPT = "Assistant:\n"
#: Templates that put today's date into a prompt take this one (Llama 3.1's own default); none thinks aloud first.
TEMPLATE_ARGUMENTS = {"date_string": "26 Jul 2024", "enable_thinking": False}
PROBE = "probe"


class HFCodec:
    """See `trainers.language.codec.Codec`.

    A template that takes no system turn (it raises, or leaves it out) gets its text at the head of the user's first.

    Attributes:
        end: the token that ends a turn, id.
        ends: all that generation stops at: `end`, the tokenizer's end of text, and the model's own.
        pad: an id to stand where there is no token; what it is does not matter, it is masked.

    Args:
        tokenizer: a PreTrainedTokenizerFast, or whatever AutoTokenizer loads.
        ends: further ids that end a turn, as a model's generation_config has them.

    Raises:
        RunError: no token ends a turn.
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.template = bool(getattr(tokenizer, "chat_template", None))
        self.system_turns = not self.template or self._takes_system()
        self.end = self._end()
        known = (self.end, tokenizer.eos_token_id, *ends)
        self.ends: tuple[int, ...] = tuple(dict.fromkeys(int(token) for token in known if token is not None))
        self.pad: int = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def _chat(self, dialogue: Sequence[Turn], prompt: bool) -> str:
        messages = [{"role": turn.role, "content": turn.text} for turn in dialogue]
        text: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt, **TEMPLATE_ARGUMENTS
        )
        return text

    def _takes_system(self) -> bool:
        try:
            return PROBE in self._chat([Turn("system", PROBE), Turn("user", "")], True)
        except Exception:  # a template raises whatever it likes
            return False

    def _end(self) -> int:
        """The first special token after an answer in the template, else the end of text."""
        tokenizer = self.tokenizer
        if self.template:
            tail = self._chat([Turn("user", "user"), Turn("assistant", PROBE)], False).rpartition(PROBE)[2]
            special = {*tokenizer.all_special_ids}
            special |= {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
            after: list[int] = [token for token in self._ids(tail) if token in special]
            if after:
                return after[0]
        if tokenizer.eos_token_id is None:
            raise RunError(
                "the tokenizer has no token that ends an answer: give it an eos_token, or a chat_template that puts "
                "a special token after an assistant's turn"
            )
        return int(tokenizer.eos_token_id)

    def _ids(self, text: str, special: bool = False) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids

    def _merged(self, dialogue: Sequence[Turn]) -> Sequence[Turn]:
        """System turns moved into the user's first turn, for templates that take none."""
        if self.system_turns or not any(turn.role == "system" for turn in dialogue):
            return dialogue
        head = [turn.text for turn in dialogue if turn.role == "system"]
        rest = [turn for turn in dialogue if turn.role != "system"]
        first = next((k for k, turn in enumerate(rest) if turn.role == "user"), None)
        if first is None:
            return [Turn("user", "\n\n".join(head)), *rest]
        rest[first] = Turn("user", "\n\n".join([*head, rest[first].text]))
        return rest

    def _prompt(self, dialogue: Sequence[Turn]) -> list[int]:
        if self.template:
            try:
                return self._ids(self._chat(self._merged(dialogue), True))
            except Exception as error:  # a template raises whatever it likes
                roles = ", ".join(turn.role for turn in dialogue)
                raise ValueError(f"the chat template cannot render turns of {roles}: {error}") from error
        ids = self._ids("".join(PLAIN[turn.role].format(turn.text) for turn in dialogue) + PLAIN_PROMPT, special=True)
        return ids[:-1] if ids[-1:] == [self.end] else ids  # some tokenizers end whatever they are given

    def prompts(self, dialogues: Sequence[Sequence[Turn]], width: int) -> Tensor:
        """See `Codec.prompts`. Text that reads like a special token becomes one, as everywhere with these templates."""
        rows = [self._prompt(dialogue) for dialogue in dialogues]
        for k, ids in enumerate(rows):
            if not ids:
                raise ValueError(f"dialogue {k} is empty: not one token")
            if len(ids) > width:
                raise ValueError(f"dialogue {k} has {len(ids)} tokens, more than the {width} there is room for")
        return torch.tensor([[PAD] * (width - len(ids)) + ids for ids in rows], dtype=torch.long).reshape(-1, width)

    def sequences(self, texts: Sequence[str], width: int) -> Tensor:
        """See `Codec.sequences`."""
        rows = [[*self._ids(text), self.end][:width] for text in texts]
        return torch.tensor([ids + [PAD] * (width - len(ids)) for ids in rows], dtype=torch.long).reshape(-1, width)

    def texts(self, tokens: Tensor) -> list[str]:
        """See `Codec.texts`."""
        silent = {PAD, *self.ends}
        rows = [[token for token in row if token not in silent] for row in tokens.tolist()]
        return [
            self.tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows
        ]
