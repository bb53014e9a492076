"""Annotations: the shipped ones are whole, a wrong one is named for what is wrong, arms are what they are called."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from swarm_env.core.governance import LEVERS
from swarm_env.scenario import ScenarioError, load_scenario
from swarm_env.study import Study, load_annotation
from swarm_env.study.arms import _apportion, build_arms, is_on, without
from tests.study_files import ANNOTATIONS, changed, write

SHIPPED = sorted(ANNOTATIONS.glob("*.yaml"))


def test_both_papers_are_shipped() -> None:
    ids = {load_annotation(path).paper.ids.arxiv for path in SHIPPED}
    assert {"2510.08240", "2410.07672"} <= ids


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_annotations_load_and_their_arms_with_them(path: Path) -> None:
    annotation = load_annotation(path)
    assert annotation.study == path.stem
    arms = Study(path, seeds=1, episodes=1).arms
    hashes = Counter(arm.scenario.content_hash for arm in arms.values())
    assert max(hashes.values()) == 1, "two arms are the same scenario"
    assert {claim.testable for claim in annotation.claims} == {True, False}
    shapes = {arm.scenario.num_agents for arm in arms.values()}
    assert len(shapes) == 1


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"claims__0__metric": "toxicty_rate"}, ["claims.0.metric", '"toxicty_rate"', 'did you mean "toxicity_rate"?']),
    ({"claims__0__metric": "return.martian"}, ["claims.0.metric", "unknown metric"]),
    ({"claims__0__metric": "return.cautious"}, ["claims.0.metric", "arm targeted has no", "return.cautious"]),
    ({"claims__0__metric": "passed.min_agents"}, ["claims.0.metric", "arm targeted has no"]),
    ({"claims__0__metric": None}, ["claims.0.metric", "is missing: a testable claim needs it"]),
    ({"claims__2__metric": "freezes"}, ["claims.2.metric", "no value for a part of the epochs"]),
    ({"claims__0__expected": {}}, ["claims.0.expected", "needs one of direction and range"]),
    ({"claims__0__expected": {"direction": "down"}}, ["claims.0.expected.direction", '"down"', "lower, higher"]),
    ({"claims__1__expected": {"range": [1.0, 0.0]}}, ["claims.1.expected.range", "lowest first"]),
    ({"claims__1__expected": {"range": [0.0]}}, ["claims.1.expected.range"]),
    ({"claims__1__expected": {"range": [None, None]}}, ["claims.1.expected.range", "not both null"]),
    ({"claims__0__condition": {"arm": "targetted"}}, ["claims.0.condition.arm", 'did you mean "targeted"?']),
    ({"claims__0__condition__against": "none"}, ["claims.0.condition.against", "unknown arm", "baseline"]),
    ({"claims__0__condition__against": "targeted"}, ["claims.0.condition", "compared with itself"]),
    ({"claims__0__condition__epochs": "first"}, ["claims.0.condition.epochs", '"first"', "early"]),
    ({"claims__1__id": "less_harm"}, ["claims", '"less_harm" is there twice']),
    ({"claims__3__reason": None}, ["claims.3.reason", "say why the claim cannot be tested"]),
    ({"claims__3__expected": {"direction": "lower"}}, ["claims.3.expected", "no meaning where testable is false"]),
    ({"claims__0__reason": "why"}, ["claims.0.reason", "no meaning where testable is true"]),
    ({"claims": []}, ["claims", "there are none"]),
    ({"claims": "all"}, ["claims", '"all"', "a list of claims"]),
    ({"claims__0__testable": None}, ["claims.0.testable", "is missing"]),
    ({"roles": []}, ["roles", "there are none"]),
    ({"roles__1__levers": ["audits"]}, ["roles.1.levers.0", '"audits"', 'did you mean "audit"?']),
    ({"roles__1__levers": ["audit"]}, ["roles", '"circuit_breaker" is on in the targeted arm, and no role has it']),
    ({"roles__1__levers": ["audit", "circuit_breaker", "staking"]}, ["roles.1.levers.2", '"staking" is off']),
    ({"roles__0__archetypes": ["honestly"]}, ["roles.0.archetypes.0", 'did you mean "honest"?']),
    ({"roles__0__archetypes": ["cautious"]}, ["roles.0.shares.0", "none of the scenario's agents"]),
    ({"roles__0__shares": [1.5]}, ["roles.0.shares.0", "1.5 is out of range", "(0, 1)"]),
    ({"roles__0__shares": [0.01]}, ["roles.0.shares.0", "0.01 of 7 agents is 0"]),
    ({"roles__0__shares": ["half"]}, ["roles.0.shares", '"half"']),
    ({"roles__0__archetypes": None}, ["roles.0.shares", "no archetypes to give a share to"]),
    ({"roles__1__levers": None}, ["roles.1", "stands for nothing"]),
    ({"scenario": "alignment_valse"}, ["alignment_valse", "no such file"]),
    (
        {"targeted": {"governance.audit_probabilty": 0.5}},
        ["targeted: governance.audit_prob", "audit_probability"],
    ),
    ({"targeted": []}, ["targeted", "a section of key.path: value"]),
    ({"always_on": {"governance.audit_threshold_p": 2}}, ["always_on: governance.audit_threshold_p", "[0, 1]"]),
    ({"always_on": {}}, ["always_on", "changes nothing"]),
    ({"always_on": None}, ["always_on", "is missing"]),
    ({"arms__0__name": "targeted"}, ["arms", '"targeted" is an arm of its own already']),
    ({"arms__0__set": {"payoff.h": "high"}}, ["arms.0.set: payoff.h", '"high"']),
    ({"paper__ids__arxiv": 2510.0824}, ["paper.ids.arxiv", "put it in quotes", "arXiv id"]),
    ({"paper__ids__arxiv": "abc"}, ["paper.ids.arxiv", '"abc"', "arXiv id"]),
    ({"paper__titel": "x"}, ["paper.titel", "unknown key", "title"]),
    (
        {"risk_profile__interaction_density": "lots"},
        ["interaction_density", '"lots"', "low, medium, high"],
    ),
    ({"study": "../../etc"}, ["study", "letters, digits"]),
    ({"metrics": ["brier"]}, ["metrics.0", 'did you mean "brier_score"?']),
    ({"goal": None}, ["goal", "is missing"]),
    ({"first_seed": -1}, ["first_seed", "out of range"]),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda v: str(v)[:60])
def test_what_is_wrong_is_said(changes: dict[str, Any], said: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, changed(**changes))
    with pytest.raises(ScenarioError) as caught:
        Study(path)
    text = str(caught.value)
    assert all(part in text for part in said), text
    assert "Traceback" not in text


@pytest.mark.parametrize("text", ["", "a", "- 1", "study: [", "study: a\nstudy: b"])
def test_a_file_that_is_no_annotation(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"a\.yaml"):
        load_annotation(tmp_path / "a.yaml")
    with pytest.raises(ScenarioError, match="no such file"):
        load_annotation(tmp_path / "b.yaml")


def test_arms_are_what_they_are_called(tmp_path: Path) -> None:
    path = write(tmp_path, changed())
    arms = build_arms(load_annotation(path), path)
    assert list(arms) == [
        "baseline", "always_on", "targeted", "without_audit", "without_circuit_breaker",
        "teacher_0.50", "teacher_0.50_ungoverned", "mine",
    ]  # fmt: skip
    on = {name: [lever for lever in LEVERS if is_on(arm.scenario, lever)] for name, arm in arms.items()}
    assert on["baseline"] == on["teacher_0.50_ungoverned"] == []
    assert on["targeted"] == on["always_on"] == on["mine"] == on["teacher_0.50"] == ["audit", "circuit_breaker"]
    assert on["without_audit"] == ["circuit_breaker"]
    assert on["without_circuit_breaker"] == ["audit"]
    mix = Counter(arms["teacher_0.50"].scenario.archetypes)  # round(3.5) = 4 of 7: 3 to 2 is 2.4 to 1.6
    assert mix == {"honest": 2, "opportunistic": 2, "deceptive": 2, "adversarial": 1}
    assert {arm.scenario.simulation.n_epochs for arm in arms.values()} == {3}


def test_an_ablated_lever_leaves_what_it_shares() -> None:
    waltz = load_scenario(ANNOTATIONS.parent.parent / "scenarios/alignment_waltz_targeted_feedback.yaml")
    bare = without(waltz, "circuit_breaker")
    assert not is_on(bare, "circuit_breaker")
    assert is_on(bare, "security")
    assert bare.governance.freeze_duration_epochs == 2  # quarantine needs it still


@pytest.mark.parametrize("lever", LEVERS)
def test_every_lever_can_be_told_on_and_turned_off(lever: str) -> None:
    strict = load_scenario(ANNOTATIONS.parent.parent / "scenarios/strict_governance.yaml")
    every = load_scenario(strict, {"governance.security_enabled": True, "governance.circuit_breaker_enabled": True})
    assert is_on(every, lever)
    off = without(every, lever)
    assert [each for each in LEVERS if not is_on(off, each)] == [lever]


@pytest.mark.parametrize(
    ("weights", "seats", "given"),
    [
        ([3, 2], 4, [2, 2]),
        ([3, 2], 5, [3, 2]),
        ([1, 1], 3, [2, 1]),
        ([4, 2], 3, [2, 1]),
        ([5], 2, [2]),
        ([1, 9], 1, [0, 1]),
    ],
)
def test_apportion_by_largest_remainders(weights: list[int], seats: int, given: list[int]) -> None:
    assert _apportion(weights, seats) == given
