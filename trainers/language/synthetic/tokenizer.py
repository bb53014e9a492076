"""A word-level tokenizer for the synthetic language: text to ids and back, both ways exact.

A word is a token, and so is each piece of structure of the overseer's JSON message, quotes and all: a message that is
decoded from tokens parses by the same strict rules as a real model's. Texts have one space between words, and inside
strings of JSON none at the ends.
"""

from __future__ import annotations

import re
from typing import Any

from trainers.language.synthetic import words

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
ROLES: tuple[str, ...] = ("<system>", "<user>", "<assistant>")
#: The message's structure, in the order in which it is said; words stand between the pieces.
JSON: tuple[str, ...] = ('{"reasoning": "', '", "unsafe":', ', "overrefuse":', ', "feedback": "', '"}')
FLAGS: tuple[str, ...] = ("true", "false")
_CLOSE = JSON[1:]  #: no space before these
_OPEN = (JSON[0], JSON[3])  #: and none after these
_MARK = "\0"  #: where there is to be none
#: Turns, each in its role; an assistant's ends with the end-of-turn token, as it does when it is sampled.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def vocabulary() -> dict[str, int]:
    """Every token and its id: special ones first, PAD being 0."""
    tokens = [PAD, BOS, EOS, UNK, *ROLES, *JSON, *FLAGS, *words.vocabulary()]
    return {token: number for number, token in enumerate(tokens)}


def build() -> Any:
    """The tokenizer, a transformers.PreTrainedTokenizerFast. ImportError: the extra is not installed."""
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise ImportError("language models need transformers: pip install 'swarm-env[llm]'") from error
    inner = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNK))
    # what matches is a token: structure first, then words, then any other sign, which is unknown; spaces are left out
    pattern = "|".join([*(re.escape(piece) for piece in JSON), r'[^\s"{},]+', r"\S"])
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    # of the first of these decoders only the space between tokens is wanted: no token begins with its prefix
    inner.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix=_MARK, cleanup=False),
            *(decoders.Replace(f" {piece}", piece) for piece in _CLOSE),
            *(decoders.Replace(piece, piece + _MARK) for piece in _OPEN),
            decoders.Fuse(),
            decoders.Replace(f"{_MARK} ", ""),
            decoders.Replace(_MARK, ""),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, bos_token=BOS, eos_token=EOS, unk_token=UNK,
        additional_special_tokens=list(ROLES), clean_up_tokenization_spaces=False, chat_template=TEMPLATE,
        padding_side="left",
    )  # fmt: skip
