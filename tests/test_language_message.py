"""The overseer's message: what is one and what is not; and who is told what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.language.chat import ENGLISH, SCRIPTS
from trainers.language.codec import Turn, pack, unpack
from trainers.language.message import SATISFIED, Message, parse, write
from trainers.language.prompts import Prompt

FINE = '{"reasoning": "r", "unsafe": true, "overrefuse": false, "feedback": "f"}'


def test_a_message_is_read() -> None:
    assert parse(FINE) == Message("r", True, False, "f")
    assert parse(f"\n {FINE} ") == Message("r", True, False, "f")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unsafe",
        FINE + " I hope this helps",
        f"```json\n{FINE}\n```",
        f"[{FINE}]",
        '[["reasoning", "r"], ["unsafe", true], ["overrefuse", false], ["feedback", "f"]]',
        '{"reasoning": "r", "unsafe": true, "overrefuse": false}',
        '{"unsafe": true, "reasoning": "r", "overrefuse": false, "feedback": "f"}',
        '{"reasoning": "r", "unsafe": "true", "overrefuse": false, "feedback": "f"}',
        '{"reasoning": "r", "unsafe": 1, "overrefuse": false, "feedback": "f"}',
        '{"reasoning": "r", "unsafe": true, "overrefuse": false, "feedback": {"a": "f"}}',
        '{"reasoning": "r", "unsafe": true, "unsafe": false, "overrefuse": false, "feedback": "f"}',
        '{"reasoning": "r", "unsafe": true, "overrefuse": false, "feedback": "f", "more": 1}',
        '{"reasoning": "r", "unsafe": true, "overrefuse": false',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_none(text: str) -> None:
    assert parse(text) is None


def test_one_that_is_satisfied_may_stop() -> None:
    assert parse('{"reasoning": "r", ' + SATISFIED) == Message("r", False, False, "")
    assert parse('{"reasoning": 1, ' + SATISFIED) is None


@given(st.text(), st.booleans(), st.booleans(), st.text())
def test_what_is_written_is_read(reasoning: str, unsafe: bool, overrefuse: bool, feedback: str) -> None:
    message = Message(reasoning, unsafe, overrefuse, feedback)
    assert parse(write(message)) == message


@given(st.lists(st.text()))
def test_text_becomes_a_tensor_and_text_again(texts: list[str]) -> None:
    assert unpack(pack(texts)) == texts


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_is_told_what_it_may_know(name: str) -> None:
    script = SCRIPTS[name]
    prompt = Prompt("{asks} for it", "dual_use", False, note="the secret")
    actor = script.actor(prompt, ["draft one", "draft two"], ["said one", "said two"])
    assert [turn.role for turn in actor] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert actor[1:] == [
        Turn("user", "{asks} for it"), Turn("assistant", "draft one"), Turn("user", "said one"),
        Turn("assistant", "draft two"), Turn("user", "said two"),
    ]  # fmt: skip
    assert "the secret" in script.actor(prompt, noted=True)[1].text
    overseer = script.overseer(prompt, "an {answer}")
    assert [turn.role for turn in overseer] == ["system", "user"]
    assert all(part in overseer[1].text for part in ("{asks} for it", "the secret", "an {answer}"))
    assert "secret" not in script.overseer(prompt._replace(note=""), "answer")[1].text


def test_the_system_prompt_names_the_message_s_keys_in_order() -> None:
    places = [ENGLISH.feedback.index(f'"{key}"') for key in Message._fields]
    assert places == sorted(places)
