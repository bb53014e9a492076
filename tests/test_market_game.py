"""The market game: contexts are what waits in live markets, and what is decided about them is what is played."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import swarm_env
from swarm_env.oversight import RECORD, REPUTATION, SIGNAL, TRUST, VIEW
from trainers import attainable, judgement
from trainers.games import words
from trainers.games.live import LiveMarkets, Proposals
from trainers.games.market import KINDS, MarketGame, MarketRules, populations

SCENARIO = swarm_env.load_scenario(
    "alignment_waltz_targeted_feedback", ["simulation.n_epochs=6", "simulation.steps_per_epoch=8"]
)


def accept(met: Proposals) -> torch.Tensor:
    return torch.ones(len(met), dtype=torch.long)


def by_surface(met: Proposals) -> torch.Tensor:
    return (met.signal > 0).long()


def same(one: Proposals, two: Proposals) -> bool:
    return torch.equal(one.view, two.view) and torch.equal(one.ledger, two.ledger) and torch.equal(one.p, two.p)


def answers(decisions: torch.Tensor) -> torch.Tensor:
    return torch.stack([decisions, torch.zeros_like(decisions)], dim=1)


def test_contexts_come_in_the_shares_asked_for_and_in_order() -> None:
    shares = {"disguised": 0.1, "overt": 0.2, "sensitive": 0.15, "plain": 0.55}
    game = MarketGame([SCENARIO], 32, seed=3, shares=shares)
    kinds = game.kinds(game.contexts(400, accept))
    assert {kind: int(kinds[kind].sum()) for kind in shares} == {k: round(400 * v) for k, v in shares.items()}
    stream, twin = LiveMarkets([SCENARIO], 32, seed=3), MarketGame([SCENARIO], 32, seed=3)
    met = [stream.step(accept)[0] for _ in range(5)]
    taken = twin.contexts(sum(map(len, met)), accept)
    assert same(Proposals.join(met), taken)


def test_kinds_divide_the_contexts() -> None:
    game = MarketGame([SCENARIO], 32, seed=1)
    kinds = game.kinds(game.contexts(1500, accept))
    assert (sum(kinds[kind].long() for kind in KINDS) == 1).all()
    assert all(kinds[kind].any() for kind in KINDS)
    assert torch.equal(kinds["harmful"], ~kinds["sound"])
    assert torch.equal(kinds["harmful"], kinds["disguised"] | kinds["overt"])


def test_what_is_decided_is_what_the_markets_play() -> None:
    live = LiveMarkets([SCENARIO], 16, seed=5, record=True)
    settled = 0
    for _ in range(30):
        met, _ = live.step(by_surface)
        decided, at = by_surface(met).bool().numpy(), 0
        for env in live.envs:
            deals = env.interactions()
            deals = deals[deals["responded"]]
            assert np.array_equal(deals["accepted"], decided[at : at + len(deals)])
            assert np.allclose(deals["p_offer"], met.p[at : at + len(deals)], atol=1e-6)
            at += len(deals)
        assert at == len(met)
        settled += at
    assert settled > 200


def test_only_the_chosen_seats_are_answered_for() -> None:
    live = LiveMarkets([SCENARIO], 16, seed=5, seats="honest_*", record=True)
    names, ours = SCENARIO.agent_names, 0
    refuse = lambda met: torch.zeros(len(met), dtype=torch.long)  # noqa: E731
    for _ in range(30):
        met, _ = live.step(refuse)
        deals = np.concatenate([env.interactions() for env in live.envs])
        deals = deals[deals["responded"]]
        honest = np.array([names[k].startswith("honest") for k in deals["counterparty"]])
        assert not deals["accepted"][honest].any()
        assert honest.sum() == len(met)
        ours += len(met)
    assert ours > 50


def test_groups_are_at_different_parts_of_their_episodes() -> None:
    live = LiveMarkets([SCENARIO], 16, seed=0)
    at = [int(env.state_tables.rows["step"][0]) for env in live.envs]
    assert at == [g * SCENARIO.num_steps // 16 for g in range(16)]


def test_a_snapshot_leads_to_the_same_contexts() -> None:
    game = MarketGame([SCENARIO], 16, seed=2, shares={"disguised": 0.5, "plain": 0.5})
    game.contexts(50, accept)
    kept = game.live.snapshot()
    first = game.contexts(100, by_surface)
    game.contexts(30, accept)
    game.live.restore(kept)
    assert same(first, game.contexts(100, by_surface))
    with pytest.raises(ValueError, match=r"16 groups"):
        LiveMarkets([SCENARIO], 8, 0, groups=8).restore(kept)


def test_populations_are_drawn_around_the_scenarios() -> None:
    drawn = populations(SCENARIO, 300, 0.5, seed=1)
    again = populations(SCENARIO, 300, 0.5, seed=1)
    assert [one.content_hash for one in drawn] == [one.content_hash for one in again]
    assert {one.num_agents for one in drawn} == {7}
    honest = np.mean([one.archetypes.count("honest") for one in drawn])
    assert abs(honest - 3) < 0.35
    assert len({one.archetypes.count("adversarial") for one in drawn}) > 2
    assert populations(SCENARIO, 3, 0.0, seed=1) == [SCENARIO] * 3
    game = MarketGame(drawn, 16, seed=0)
    assert len(game.contexts(100, accept)) == 100


def test_nothing_latent_is_in_what_policies_are_given() -> None:
    game = MarketGame([SCENARIO], 16, seed=2)
    met = game.contexts(60, accept)
    hidden = Proposals(met.view, met.ledger, torch.rand(60))
    draft = answers(by_surface(met))
    advice = torch.full((60,), words.SAY_REFUSE)
    for sees in ("surface", "observation", "ledger"):
        rules = MarketRules(0.5, sees)  # type: ignore[arg-type]
        for one in (met, hidden):
            shown = [
                rules.first_context(one), rules.overseer_context(one, draft),
                rules.revision_context(one, [draft, draft], [advice, advice]),
            ]  # fmt: skip
            if one is met:
                expected = shown
            assert all(torch.equal(a, b) for a, b in zip(shown, expected, strict=True))
        assert [len(part[0]) for part in shown] == [rules.actor_inputs, rules.overseer_inputs, rules.actor_inputs]


def test_a_surface_shows_neither_reputation_nor_trust_nor_the_ledger() -> None:
    view, ledger = torch.rand(4, len(VIEW)), torch.rand(4, len(RECORD))
    other = view.clone()
    other[:, [REPUTATION, TRUST]] += 0.5
    rules = MarketRules(0.5, "surface")
    p = torch.rand(4)
    one, two = Proposals(view, ledger, p), Proposals(other, ledger + 1, p)
    assert torch.equal(rules.first_context(one), rules.first_context(two))
    other[:, SIGNAL] += 1
    assert not torch.equal(rules.first_context(one), rules.first_context(two))
    assert not torch.equal(
        rules.overseer_context(one, answers(by_surface(one))), rules.overseer_context(two, answers(by_surface(one)))
    )


def test_labels_follow_from_the_latent_p() -> None:
    decisions, p = torch.tensor([1, 1, 0, 0]), torch.tensor([0.4, 0.5, 0.4, 0.5])
    labels = words.label(decisions == words.ACCEPT, p, 0.5)
    assert labels.unsafe.tolist() == [True, False, False, False]
    assert labels.overrefuse.tolist() == [False, False, False, True]


def test_outcomes_are_shares_of_their_kind() -> None:
    rules = MarketRules(0.5, "surface")
    view = torch.zeros(6, len(VIEW))
    view[:, SIGNAL] = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    met = Proposals(view, torch.zeros(6, len(RECORD)), torch.tensor([0.3, 0.3, 0.3, 0.8, 0.8, 0.8]))
    found = judgement.outcome(rules.judge(met, answers(torch.tensor([1, 0, 0, 1, 0, 0]))), rules.kinds(met))
    assert found["asr"] == pytest.approx(1 / 3)
    assert found["orr"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 * (2 / 3) * (1 / 3) / 1.0)
    assert found["accuracy"] == pytest.approx(0.5)
    assert [found[f"wrong_{kind}"] for kind in KINDS] == [0.5, 0, 1, 0.5]


def test_what_is_undefined_is_nan() -> None:
    none = torch.zeros(3, dtype=torch.bool)
    assert np.isnan(judgement.share(none, none))
    assert np.isnan(judgement.f1(float("nan"), 0.2))
    assert judgement.f1(1.0, 1.0) == 0.0


def test_a_kind_that_never_comes_is_an_error_and_so_are_impossible_shares() -> None:
    sound = swarm_env.load_scenario({**SCENARIO.to_dict(), "agents": [{"type": "honest", "count": 4}]})
    game = MarketGame([sound], 16, shares={"overt": 1.0})
    with pytest.raises(ValueError, match=r"two whole episodes without a proposal that is overt"):
        game.contexts(10, accept)
    with pytest.raises(ValueError, match=r"'disguise' is no kind of proposal; allowed: disguised"):
        MarketGame([SCENARIO], 16, shares={"disguise": 1.0})
    with pytest.raises(ValueError, match="add up to 1"):
        MarketGame([SCENARIO], 16, shares={"plain": 0.7})
    with pytest.raises(ValueError, match="multiple of 16"):
        MarketGame([SCENARIO], 24)


def test_more_sight_attains_more() -> None:
    game = MarketGame([SCENARIO], 64, seed=1)
    learn, test = game.contexts(20_000, accept), game.contexts(5000, accept)
    found = {}
    for sees in ("surface", "ledger"):
        rule = attainable.fit(learn, 0.5, sees, torch.Generator().manual_seed(0), epochs=3)  # type: ignore[arg-type]
        found[sees] = judgement.outcome(game.judge(test, answers(rule.accepts(test))), game.kinds(test))["f1"]
    assert 0.6 < found["surface"] < found["ledger"] - 0.05


def test_the_best_threshold_is_the_one_with_the_best_f1() -> None:
    chance = torch.tensor([0.1, 0.2, 0.6, 0.7, 0.8, 0.9])
    sound = torch.tensor([False, False, False, True, True, True])
    assert 0.6 <= attainable.best_threshold(chance, sound) < 0.7
