"""MACPO's parts: losses against hand computation and finite differences, selections, weak supervision, measures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.macpo_runs import SMALL
from trainers import governed, losses, standings, weak_teachers, weak_to_strong
from trainers.games import words
from trainers.macpo import load_config
from trainers.preference_sets import Pairs, decision_weights, select
from trainers.weak_teachers import BLIND_SPOTS, Supervision, blind_to, lesson, preferences, unfounded, view_of


def test_the_loss_is_what_a_hand_computes() -> None:
    chosen, rejected = torch.tensor([[-0.5, -1.0], [-2.0, -9.0]]), torch.tensor([[-1.5, -1.5], [-0.25, -0.75]])
    mask = torch.tensor([[True, True], [True, False]])  # the second chosen answer is one token long
    full = torch.ones_like(mask)
    reference = (torch.tensor([-1.0, -1.0]), torch.tensor([-2.0, -2.0]))
    margins = [(-1.5 + 1.0) - (-3.0 + 2.0), (-2.0 + 1.0) - (-1.0 + 2.0)]  # sums over tokens
    dpo = [math.log(1 + math.exp(-0.1 * m)) for m in margins]
    sft = (0.5 + 1.0 + 2.0) / 3  # mean over the three tokens there are
    loss = losses.contrastive_preference_loss(chosen, rejected, mask, full, *reference, 0.1, 0.2)
    assert float(loss) == pytest.approx(sum(dpo) / 2 + 0.2 * sft, abs=1e-6)
    weights = torch.tensor([3.0, 1.0])
    loss = losses.contrastive_preference_loss(chosen, rejected, mask, full, *reference, 0.1, 0.2, weights)
    sft = (3 * 0.5 + 3 * 1.0 + 2.0) / 7
    assert float(loss) == pytest.approx((3 * dpo[0] + dpo[1]) / 4 + 0.2 * sft, abs=1e-6)


def test_gradients_are_finite_differences() -> None:
    drawn = torch.Generator().manual_seed(0)
    mask = torch.rand(5, 4, generator=drawn) < 0.7
    mask[:, 0] = True
    tokens = [(-2 * torch.rand(5, 4, generator=drawn, dtype=torch.float64)).requires_grad_() for _ in range(2)]
    sums = [-2 * torch.rand(5, generator=drawn, dtype=torch.float64) for _ in range(2)]
    weights = torch.rand(5, generator=drawn, dtype=torch.float64)

    def loss(chosen: Any, rejected: Any) -> Any:
        return losses.contrastive_preference_loss(chosen, rejected, mask, mask, *sums, 0.4, 0.3, weights)

    assert torch.autograd.gradcheck(loss, tokens, eps=1e-6, atol=1e-6)
    target = torch.rand(5, generator=drawn, dtype=torch.float64)
    pair = [tokens[k][:, 0].detach().requires_grad_() for k in (0, 1)]
    assert torch.autograd.gradcheck(lambda a, b: losses.confidence_loss(a, b, target), pair, eps=1e-6, atol=1e-6)


def test_perplexity_is_a_geometric_mean_over_the_tokens_there_are() -> None:
    probabilities = torch.tensor([[0.5, 0.125], [0.25, 0.9]])
    mask = torch.tensor([[True, True], [True, False]])
    assert losses.perplexity(probabilities.log(), mask).tolist() == pytest.approx([(0.5 * 0.125) ** -0.5, 4.0])


def test_confidence_targets_keep_the_class_balance_of_the_weak_labels() -> None:
    weak, strong = torch.tensor([0.9, 0.1, 0.1, 0.1]), torch.tensor([0.45, 0.2, 0.3, 0.1])
    # 30 % weak positives: the likeliest one or two of four; all of the student's are below one half
    targets = losses.confidence_targets(weak, strong, 0.5)
    assert targets.tolist() == pytest.approx([0.95, 0.05, 0.05, 0.05])
    assert losses.confidence_targets(weak, strong, 0.0).tolist() == pytest.approx(weak.tolist())
    value = losses.confidence_loss(torch.tensor([0.5]).log(), torch.tensor([0.25]).log(), torch.tensor([0.75]))
    assert float(value) == pytest.approx(-(0.75 * math.log(0.5) + 0.25 * math.log(0.25)))


def test_each_selection_takes_what_it_says() -> None:
    # two proposals, three teachers: refuse, accept, accept; and accept, refuse, refuse
    candidates = torch.tensor([[[0, 0], [1, 1], [1, 2]], [[1, 0], [0, 1], [0, 2]]])
    student = torch.tensor([[1.1, 2.0, 1.5], [1.2, 3.0, 2.0]])
    teachers = [
        torch.tensor([[1.0, 8.0, 4.0], [1.0, 4.0, 2.0]]),  # teacher 1 of each candidate: surest of its own
        torch.tensor([[8.0, 2.0, 2.0], [4.0, 2.0, 2.0]]),
        torch.tensor([[8.0, 4.0, 2.0], [4.0, 2.0, 4.0]]),
    ]
    drawn = torch.Generator().manual_seed(0)

    def taken(rule: str) -> list[int]:
        return select(rule, candidates[:, :, 0], student, teachers, drawn)[0].tolist()  # type: ignore[no-any-return]

    assert taken("min_perplexity") == [0, 0]
    assert taken("majority") == [2, 2]  # of those that two agree with, the student's likelier
    # products over all: 64, 64, 16 and 16, 16, 16; a tie goes to the first
    assert taken("all_teachers") == [2, 0]
    # over the two others: 64, 32, 8 and 16, 8, 4
    assert taken("other_teachers") == [2, 2]
    several = torch.ones(3000, 3)
    drawn_at_random = select("random", torch.ones(3000, 3, dtype=torch.long), several, [several] * 3, drawn)[0]
    assert torch.bincount(drawn_at_random).float().sub(1000).abs().max() < 120


def test_balanced_pairs_give_both_decisions_the_same_weight() -> None:
    decisions = torch.tensor([1, 1, 1, 0])
    weights = decision_weights(decisions)
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])
    assert decision_weights(torch.tensor([1, 1])).tolist() == [1.0, 1.0]
    chosen, rejected = torch.tensor([[1, 0], [0, 1], [1, 2]]), torch.tensor([[1, 0], [1, 1], [1, 1]])
    pairs = Pairs.of(chosen, rejected, chosen[:, 0], drop_equal=True, who="student")
    assert pairs.rows.tolist() == [1, 2]
    assert pairs.weights.tolist() == [1.0, 1.0]


@pytest.fixture(scope="module")
def met() -> tuple[Any, Any]:
    config = load_config(None, list(SMALL))
    return weak_to_strong.rules_of(config), weak_to_strong.meet(config, 0, 5, 400)


def test_ground_truth_is_what_the_judge_says(met: tuple[Any, Any]) -> None:
    rules, contexts = met
    truth = preferences(rules, contexts)
    assert weak_to_strong.judged(rules, contexts, truth.chosen)["accuracy"] == 1.0
    assert weak_to_strong.judged(rules, contexts, truth.rejected)["accuracy"] == 0.0
    assert not bool(unfounded(contexts, truth.chosen).any())
    said = truth.chosen.clone()
    said[:, 1] = truth.rejected[:, 1]  # what speaks for the opposite: unsure, or against the decision
    assert torch.equal(unfounded(contexts, said), said[:, 1] != weak_teachers.UNSURE)
    said[:, 1] = torch.where(contexts.signal > 0, weak_teachers.LOOKS_HARMFUL, weak_teachers.LOOKS_SOUND)
    assert bool(unfounded(contexts, said).all())


@pytest.mark.parametrize("teacher", range(4))
def test_no_teacher_is_told_of_its_blind_spot(met: tuple[Any, Any], teacher: int) -> None:
    rules, contexts = met
    drawn = torch.Generator().manual_seed(1)
    rows, told = lesson(rules, contexts, teacher, Supervision(labels=100, wrong=0.25), drawn)
    spot = BLIND_SPOTS[teacher % 3]
    assert len(rows) == len(set(rows.tolist())) == 100
    assert bool(blind_to(rules, contexts, spot).any())
    assert not bool(blind_to(rules, contexts[rows], spot).any())
    right = weak_to_strong.judged(rules, contexts[rows], told.chosen)["accuracy"]
    assert 0.6 < right < 0.9  # a quarter exchanged
    everything = Supervision(labels=400, wrong=0.0, blind_spots=False)
    assert len(lesson(rules, contexts, teacher, everything, drawn)[0]) == 400


def test_partial_views_hide_what_they_say(met: tuple[Any, Any]) -> None:
    rules, contexts = met
    seen = [view_of(rules, k, Supervision(view="partial")) for k in range(3)]
    assert len({tuple(view.tolist()) for view in seen}) == 3
    assert bool((view_of(rules, 0, Supervision()) == 1).all())
    other = contexts.ledger.clone()
    other[:, 0] += 1.0  # the reading, which teacher 1 does not see and teacher 2 does
    changed = type(contexts)(contexts.view, other, contexts.p)
    same = [torch.equal(rules.first_context(contexts) * v, rules.first_context(changed) * v) for v in seen]
    assert same == [True, False, False]


def test_measures() -> None:
    assert standings.pgr(0.9, 0.8, 1.0) == pytest.approx(0.5)
    assert math.isnan(standings.pgr(0.9, 0.8, 0.8))
    everything = torch.tensor([[d, r] for d in range(2) for r in range(3)])
    assert weak_to_strong.diversity(everything, words.ANSWER) == pytest.approx(1.0)
    assert weak_to_strong.diversity(everything[:1].repeat(5, 1), words.ANSWER) == 0.0
    assert weak_to_strong.repeated(torch.tensor([[1, 0], [1, 0], [0, 0], [1, 1]])) == 0.5
    votes = torch.tensor([[[1, 0], [0, 1], [1, 2]], [[0, 2], [0, 0], [1, 1]]])
    assert weak_to_strong.majority(votes).tolist() == [[1, 0], [0, 2]]
    assert weak_to_strong.majority(votes[:, :2]).tolist() == [[0, 1], [0, 2]]  # of a tie, the refusal


def test_the_suite_is_what_the_market_says_of_itself() -> None:
    config = load_config(None, list(SMALL))
    rules, scenarios = weak_to_strong.rules_of(config), weak_to_strong.mixed(config, 0, 1)

    def wary(contexts: Any) -> governed.Decision:
        return governed.Decision(torch.stack([(contexts.signal > 0).long(), torch.zeros(len(contexts)).long()], dim=1))

    found = weak_to_strong.suite(scenarios, rules, wary, 6, seed=3)
    other = governed.govern(scenarios, rules, wary, 6, seed=3)
    for name in ("toxicity_rate", "quality_gap", "acceptance_rate", "total_welfare", "safety_f1"):
        assert found[name] == pytest.approx(other[name], nan_ok=True)
    assert math.isfinite(found["conditional_loss_initiator"])
    scripts = weak_to_strong.suite(scenarios, rules, None, 6, seed=3)
    assert scripts["acceptance_rate"] != found["acceptance_rate"]


def test_populations_shift_round_by_round() -> None:
    mixes = "mixes=[[6,0,2],[2,4,2],[1,1,6]]"
    more = ["fresh_contexts=true", "population_spread=0", "scenario=macpo_weak_to_strong"]
    config = load_config(None, [*SMALL, mixes, *more])
    names = weak_to_strong.mixed(config, 1, 0)[0].agent_names
    assert sum(name.startswith("opportunistic") for name in names) == 4
    assert not any(n.startswith("opportunistic") for n in weak_to_strong.mixed(config, 0, 0)[0].agent_names)


def test_the_note_has_a_place_for_results() -> None:
    from trainers.reproduce import macpo as study
    from trainers.reproduce import tables

    text = Path(study.NOTE).read_text(encoding="utf-8")
    assert tables.BEGIN in text
    assert "### Population" in text.partition(tables.BEGIN)[2].partition(tables.END)[0]
