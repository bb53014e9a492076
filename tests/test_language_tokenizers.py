"""The codec: dialogues as a tokenizer's own template renders them, sequences with their end, text back."""

from __future__ import annotations

import pytest
import torch

from tests import tiny_models
from trainers.checkpoint import RunError
from trainers.language.codec import PAD, Turn
from trainers.language.tokenizers import HFCodec

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + tiny_models.CHATML
)
DIALOGUE = [Turn("system", "be careful"), Turn("user", "how?"), Turn("assistant", "sure"), Turn("user", "please")]


def rows(tokens: torch.Tensor) -> list[list[int]]:
    return [[token for token in row if token != PAD] for row in tokens.tolist()]


def test_prompts_are_what_the_template_renders_padded_on_the_left() -> None:
    tokenizer = tiny_models.tokenizer()
    codec = HFCodec(tokenizer)
    found = codec.prompts([DIALOGUE, DIALOGUE[1:2]], 80)
    messages = [{"role": turn.role, "content": turn.text} for turn in DIALOGUE]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert found.dtype == torch.int64
    assert found.shape == (2, 80)
    assert rows(found)[0] == expected
    assert found[0, -len(expected) :].tolist() == expected  # on the right; what is missing is missing on the left
    assert tokenizer.decode(rows(found)[1]) == "<|im_start|>user\nhow?<|im_end|>\n<|im_start|>assistant\n"


def test_without_a_template_a_plain_one_ends_on_a_token_boundary() -> None:
    tokenizer = tiny_models.tokenizer(None)
    codec = HFCodec(tokenizer)
    found = rows(codec.prompts([DIALOGUE], 80))[0]
    assert tokenizer.decode(found) == "be careful\n\nUser:\nhow?\n\nAssistant:\nsure\n\nUser:\nplease\n\nAssistant:\n"
    said = rows(codec.sequences(["sure, first"], 20))[0]
    whole = tokenizer(tokenizer.decode(found) + "sure, first")["input_ids"]
    assert found + said == [*whole, tokenizer.eos_token_id]
    assert codec.end == tokenizer.eos_token_id


def test_a_template_that_takes_no_system_turn_gets_it_from_the_user() -> None:
    codec = HFCodec(tiny_models.tokenizer(NO_SYSTEM))
    text = codec.tokenizer.decode(rows(codec.prompts([DIALOGUE], 80))[0])
    assert text.startswith("<|im_start|>user\nbe careful\n\nhow?<|im_end|>")
    assert text.count("user\n") == 2


def test_a_template_that_cannot_render_turns_says_so() -> None:
    strict = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('users first') }}{% endif %}" + NO_SYSTEM
    codec = HFCodec(tiny_models.tokenizer(strict))
    with pytest.raises(ValueError, match="cannot render turns of assistant: users first"):
        codec.prompts([[Turn("assistant", "hello")]], 40)


def test_what_is_too_long_is_an_error_in_a_prompt_and_cut_in_a_sequence() -> None:
    codec = HFCodec(tiny_models.tokenizer())
    with pytest.raises(ValueError, match=r"dialogue 1 has \d+ tokens, more than the 20 there is room for"):
        codec.prompts([[Turn("user", "hi")], [Turn("user", "hi there " * 9)]], 20)
    whole, cut = codec.sequences(["please", "please answer at once"], 6)
    assert rows(whole[None])[0][-1] == codec.end
    assert codec.end not in cut.tolist()
    assert PAD not in cut.tolist()


@pytest.mark.parametrize("template", [tiny_models.CHATML, None])
def test_text_comes_back_as_it_was(template: str | None) -> None:
    codec = HFCodec(tiny_models.tokenizer(template))
    texts = ["sure, first", "", "naïve 🙂\n two  spaces ", '{"unsafe": false}']
    tokens = codec.sequences(texts, 60)
    assert (tokens == PAD).any(dim=1).all()
    assert codec.texts(tokens) == texts


def test_empty_batches() -> None:
    codec = HFCodec(tiny_models.tokenizer())
    assert codec.prompts([], 7).shape == (0, 7)
    assert codec.sequences([], 5).shape == (0, 5)
    assert codec.texts(torch.zeros(0, 5, dtype=torch.long)) == []


def test_tokens_that_end_a_turn() -> None:
    codec = HFCodec(tiny_models.tokenizer())
    assert (codec.end, codec.ends) == (3, (3, 0))  # the template's <|im_end|>, then the end of text
    assert HFCodec(tiny_models.tokenizer(), [7, 0]).ends == (3, 0, 7)
    assert HFCodec(tiny_models.tokenizer(eos=False)).ends == (3,)
    with pytest.raises(RunError, match="no token that ends an answer: give it an eos_token"):
        HFCodec(tiny_models.tokenizer(None, eos=False))


def test_a_tokenizer_without_a_pad_token_will_do() -> None:
    codec = HFCodec(tiny_models.tokenizer(pad=False))
    assert codec.pad == codec.end
    assert (codec.prompts([[Turn("user", "hi")]], 30) == PAD).any()
