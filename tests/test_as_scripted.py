"""A learner may leave answers and verbs to its archetype; and what is pending is what the next step answers."""

from __future__ import annotations

import numpy as np
import pytest

import swarm_env
from swarm_env.core.types import AS_SCRIPTED

SCENARIO = "alignment_waltz_targeted_feedback"
POPULATION = [
    "agents=[{type: honest, count: 2}, {type: opportunistic, count: 2}, {type: deceptive}, {type: adversarial},"
    " {type: cautious}, {type: adaptive_adversary}]"
]


def play(learners: str, steps: int = 60, answer: int | None = None) -> list[np.ndarray]:
    """Settled deals step by step; every head of the learners AS_SCRIPTED, or their answers as given."""
    scenario = swarm_env.load_scenario(SCENARIO, POPULATION)
    env = swarm_env.vector_env(scenario, 3, learners, seed=5, record=True)
    env.reset()
    actions = np.full((3, env.num_learners, len(env.single_action_space.nvec)), AS_SCRIPTED)
    if answer is not None:
        actions[..., :-3] = answer
    out = []
    for _ in range(steps):
        env.step(actions)
        out.append(env.interactions())
    env.close()
    return out


def test_learners_that_leave_everything_to_their_scripts_play_the_scripted_market() -> None:
    one, everybody = play("honest_1"), play("all")
    assert sum(map(len, one)) > 100
    for here, there in zip(one, everybody, strict=True):
        assert here.tobytes() == there.tobytes()


def test_the_scripted_run_is_that_market() -> None:
    result = swarm_env.run(swarm_env.load_scenario(SCENARIO, POPULATION), seed=5, out=None)
    env = swarm_env.vector_env(swarm_env.load_scenario(SCENARIO, POPULATION), 1, "all", seed=5)
    env.reset()
    actions = np.full((1, 8, len(env.single_action_space.nvec)), AS_SCRIPTED)
    infos: dict = {}
    while not infos:
        *_, infos = env.step(actions)
    for name in ("toxicity_rate", "acceptance_rate", "total_welfare"):
        assert infos["episode"][name][0] == pytest.approx(result.metrics[name], rel=1e-12)


def test_answers_can_be_given_while_the_rest_is_scripted() -> None:
    refused, accepted = np.concatenate(play("all", answer=0)), np.concatenate(play("all", answer=1))
    assert len(refused) > 100
    assert not refused["accepted"].any()
    assert accepted["accepted"][accepted["responded"]].all()


def test_as_scripted_is_not_illegal_but_other_strange_values_are() -> None:
    env = swarm_env.parallel_env(SCENARIO, "all")
    env.reset(seed=3)
    nothing = np.full(len(env.compiled.nvec), AS_SCRIPTED)
    for _ in range(5):
        *_, infos = env.step(dict.fromkeys(env.agents, nothing))
        assert not any(info["illegal_actions"] for info in infos.values())
    strange = nothing.copy()
    strange[-3] = -2
    *_, infos = env.step(dict.fromkeys(env.agents, strange))
    assert all(info["illegal_actions"] == 1 for info in infos.values())


def test_what_is_pending_is_what_the_next_step_answers() -> None:
    env = swarm_env.vector_env(SCENARIO, 16, "all", seed=1, record=True)
    with pytest.raises(RuntimeError, match="reset"):
        env.pending()
    seen, _ = env.reset()
    actions = np.full((16, 7, len(env.single_action_space.nvec)), AS_SCRIPTED)
    answered = 0
    for _ in range(239):
        waiting = env.pending()
        at = 13 + 4 * waiting["slot"]  # 13 own features, then four a slot
        row, who = waiting["row"], waiting["responder"]
        assert (seen["observation"][row, who, at] == 1).all()
        shown = seen["observation"][row, who, at + 1]
        assert np.allclose(shown, np.clip(waiting["signal"], -4, 4), atol=1e-6)
        seen, *_ = env.step(actions)
        settled = env.interactions()
        settled = settled[settled["responded"]]
        for name, other in (
            ("row", "row"),
            ("initiator", "initiator"),
            ("responder", "counterparty"),
            ("p", "p_offer"),
        ):
            assert np.array_equal(waiting[name], settled[other]), name
        answered += len(settled)
    assert answered > 1000
