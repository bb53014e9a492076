"""WaltzRL's rewards against the payoff table: every event of a dealing, every variant."""

from __future__ import annotations

import pytest
import torch

from trainers import rewards
from trainers.games import Labels, words
from trainers.policies import Sample
from trainers.rewards import VARIANTS, Weights
from trainers.rollouts import Message, Turn

FINE, UNSAFE, OVERREFUSED = (False, False), (True, False), (False, True)
#: event -> message (unsafe, overrefuse, advice), labels of the answer it is about, R_c after it, and R_f by variant
EVENTS = {
    "contradicts itself": ((1, 1, 1), UNSAFE, 0, {"A": 0.0, "B": 0.0, "C": 0.0, "D": 0.0, "L": 0.0}),
    "advice without a flag": ((0, 0, 1), FINE, 0, {"A": 0.0, "B": 0.0, "C": 0.0, "D": 0.0, "L": 0.0}),
    "a flag without advice": ((1, 0, 0), UNSAFE, 0, {"A": 0.0, "B": 0.0, "C": 0.0, "D": 0.0, "L": 0.0}),
    "misses a fault": ((0, 0, 0), UNSAFE, 0, {"A": 0.1, "B": 0.1, "C": 0.1, "D": 0.1, "L": 0.1}),
    "false alarm, nothing changes": ((1, 0, 1), FINE, 1, {"A": 0.1, "B": 0.1, "C": 0.1, "D": 0.1, "L": 0.1}),
    "false alarm breaks it": ((1, 0, 1), FINE, 0, {"A": 0.1, "B": 0.1, "C": -0.55, "D": 0.1, "L": -0.55}),
    "rightly silent": ((0, 0, 0), FINE, 0, {"A": 0.35, "B": 0.1, "C": 0.1, "D": 0.35, "L": 0.35}),
    "right, not mended": ((1, 0, 1), UNSAFE, 0, {"A": 0.35, "B": 0.1, "C": 0.1, "D": 0.35, "L": 0.35}),
    "right, mended": ((0, 1, 5), OVERREFUSED, 1, {"A": 1.0, "B": 0.75, "C": 0.75, "D": 0.35, "L": 1.0}),
    "wrong flag, mended": ((0, 1, 3), UNSAFE, 1, {"A": 0.1, "B": 0.1, "C": 0.75, "D": 0.1, "L": 0.75}),
}


def message(said: tuple[int, int, int], labels: tuple[bool, bool], after: int) -> Message:
    tokens = torch.tensor([said])
    turn = Turn(torch.zeros(1, dtype=torch.long), None, Sample(tokens, torch.zeros(1, 3), tokens >= 0))
    truth = Labels(torch.tensor([labels[0]]), torch.tensor([labels[1]]))
    return Message(turn, words.parse(tokens), truth, torch.tensor([float(after)]))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_pays_what_the_table_says(event: str, variant: str) -> None:
    said, labels, after, expected = EVENTS[event]
    one = message(said, labels, after)
    label, form = rewards.label_reward(one.feedback, one.labels), rewards.format_reward(one.feedback)
    paid = rewards.feedback_reward(one.improvement, label, form, VARIANTS[variant], Weights())
    assert paid.item() == pytest.approx(expected[variant], abs=1e-6)


def test_the_improvement_is_between_minus_one_and_one_and_zero_where_nothing_was_revised() -> None:
    before, after = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    revised = torch.tensor([True, True, True, True, False, False])
    assert rewards.dynamic_improvement_reward(before, after, revised).tolist() == [0, 1, -1, 0, 0, 0]


def test_an_answer_is_worth_one_if_nothing_is_wrong_with_it() -> None:
    labels = Labels(torch.tensor([False, True, False]), torch.tensor([False, False, True]))
    assert rewards.conversation_reward(labels).tolist() == [1, 0, 0]


def test_a_needless_trigger_costs_what_the_setting_says() -> None:
    for said, labels, cost in (((1, 0, 1), FINE, -0.3), ((1, 0, 1), UNSAFE, 0.0), ((0, 0, 0), FINE, 0.0)):
        one = message(said, labels, 0)
        assert rewards.needless_trigger_penalty(one.feedback, one.labels, 0.3).item() == pytest.approx(cost)


def test_a_label_is_right_only_if_both_flags_are_and_the_message_is_well_formed() -> None:
    for said, labels, right in (
        ((1, 0, 1), UNSAFE, 1), ((0, 1, 5), OVERREFUSED, 1), ((0, 0, 0), FINE, 1), ((0, 1, 5), UNSAFE, 0),
        ((1, 0, 0), UNSAFE, 0), ((1, 1, 1), UNSAFE, 0), ((0, 0, 0), UNSAFE, 0), ((1, 0, 2), FINE, 0),
    ):  # fmt: skip
        one = message(said, labels, 0)
        assert rewards.label_reward(one.feedback, one.labels).item() == right, said


def test_exactly_the_consistent_messages_are_well_formed() -> None:
    every = torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(len(words.ADVICE)))
    parsed = words.parse(every)
    for (unsafe, overrefuse, advice), well in zip(every.tolist(), parsed.well_formed.tolist(), strict=True):
        assert well == (unsafe + overrefuse == (advice != words.NONE))
    assert torch.equal(parsed.triggered, parsed.well_formed & (every[:, :2].sum(dim=1) == 1))


def test_the_oracles_correction_is_well_formed_and_right() -> None:
    labels = Labels(torch.tensor([False, True, False]), torch.tensor([False, False, True]))
    parsed = words.parse(words.correction(labels))
    assert parsed.well_formed.all()
    assert rewards.label_reward(parsed, labels).tolist() == [1, 1, 1]
