"""`swarm_env.evaluate`: who plays where, on which markets, and what the numbers say of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import swarm_env
from swarm_env import statistics
from swarm_env.evaluation import plan as planning
from swarm_env.evaluation import play as playing
from swarm_env.evaluation.govern import OVERSIGHT
from swarm_env.evaluation.measure import NAMES
from swarm_env.evaluation.plan import APART
from swarm_env.evaluation.policies import at_random
from swarm_env.evaluation.protocol import Policy, Setting
from swarm_env.tally import COLUMNS
from tests.market import RICH

SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=5"]
WALTZ = "alignment_waltz_targeted_feedback"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals have tests of their own."""
    monkeypatch.setattr(statistics, "RESAMPLES", 100)


def short(name: str = WALTZ, *more: str) -> Any:
    return swarm_env.load_scenario(name, [*SHORT, *more])


def same(ours: float, theirs: float) -> bool:
    return (math.isnan(ours) and math.isnan(theirs)) or ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("scenario", [WALTZ, "security_evaluation", "collusion_detection", "rich"])
def test_scripts_have_the_metrics_returns_and_verdicts_of_a_run_with_their_seed(scenario: str) -> None:
    criteria = {
        "toxicity_threshold": 0.4, "min_acceptance_rate": 0.5, "min_epochs": 2, "min_agents": 5, "min_avg_payoff": 0,
        "min_net_social_welfare": 0, "max_ecosystem_threat_level": 0.3, "max_contagion_depth": 1,
        "min_containment_effectiveness": 0.5, "min_flagged_pairs": 1, "max_ecosystem_collusion_risk": 0.5,
        "min_penalty_total": 1,
    }  # fmt: skip
    source: Any = RICH if scenario == "rich" else scenario
    overrides = ["simulation.n_epochs=6", *(f"success_criteria.{name}={bound}" for name, bound in criteria.items())]
    loaded = swarm_env.load_scenario(source, overrides)
    found = swarm_env.evaluate(["scripts"], loaded, episodes=1, seeds=2, first_seed=77, seats="honest_*")
    for k, run in enumerate(found.results["runs"]):
        expected = swarm_env.run(loaded, 77 + k * APART, out=None)
        assert run["market_seed"] == expected.seed
        assert set(run["metrics"]) == set(NAMES) == {*COLUMNS, *OVERSIGHT, "focal_return", "background_return"}
        wrong = {m: (run["metrics"][m], v) for m, v in expected.metrics.items() if not same(run["metrics"][m], v)}
        assert not wrong
        assert run["returns"] == pytest.approx({a: expected.tally.earned.get(a, 0.0) for a in loaded.agent_names})
        assert set(run["criteria"]) == set(criteria) == {verdict.name for verdict in expected.verdicts}
        for verdict in expected.verdicts:
            said = run["criteria"][verdict.name]
            assert said["passed"] == float(verdict.passed), verdict
            assert same(said["value"], verdict.value), verdict


def test_a_seed_is_the_mean_of_its_episodes_and_these_do_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = swarm_env.evaluate(["scripts", "honest"], short(), episodes=5, seeds=1, first_seed=3)
    run = found.results["runs"][0]
    played = [swarm_env.run(short(), 3 + e, out=None) for e in range(5)]
    for name in COLUMNS:
        values = [result.metrics[name] for result in played if not math.isnan(result.metrics[name])]
        assert same(run["metrics"][name], math.fsum(values) / len(values) if values else math.nan), name
    assert run["focal"] == {f"honest_{k}": run["returns"][f"honest_{k}"] for k in (1, 2, 3)}
    assert run["metrics"]["focal_return"] == pytest.approx(np.mean(list(run["focal"].values())))
    assert run["roles"]["honest"] == pytest.approx(run["metrics"]["focal_return"])
    monkeypatch.setattr(playing, "BATCH", 14)  # two episodes side by side
    again = swarm_env.evaluate(["scripts", "honest"], short(), episodes=5, seeds=1, first_seed=3)
    assert json.dumps(again.results["runs"]) == json.dumps(found.results["runs"])


def test_a_policy_plays_what_the_parallel_env_plays() -> None:
    """Random choices, made again by hand in a ParallelEnv of the same seed."""
    found = swarm_env.evaluate({"chance": "random"}, short(), episodes=1, seeds=1, first_seed=9, seats="honest_*")
    env = swarm_env.parallel_env(short(), learners="honest_*")
    seen, _ = env.reset(seed=9)
    nvec = env.action_space("honest_1").nvec
    act = at_random(Setting(WALTZ, "", tuple(env.possible_agents), tuple(nvec), (), 0))
    returns, deals = dict.fromkeys(env.possible_agents, 0.0), []
    while env.agents:
        mask = np.stack([seen[agent]["action_mask"] for agent in env.possible_agents])
        actions = act(np.stack([seen[agent]["observation"] for agent in env.possible_agents]), mask)
        seen, rewards, *_ = env.step(dict(zip(env.possible_agents, actions, strict=True)))
        returns = {agent: returns[agent] + rewards[agent] for agent in returns}
        deals.append(env.interactions())
    run = found.results["runs"][0]
    assert run["focal"] == pytest.approx(returns)
    expected = swarm_env.metrics.compute(np.concatenate(deals), env.scenario.payoff, ["toxicity_rate", "total_welfare"])
    assert expected == pytest.approx({name: run["metrics"][name] for name in expected})


def test_a_policy_against_itself_differs_by_exactly_nothing() -> None:
    for mode in ("resident", "visitor"):
        found = swarm_env.evaluate(["a=random", "b=random", "c=adversarial"], short(), 2, 6, mode=mode, baseline="a")
        rows = [row for row in found.results["comparisons"] if row["policy"] == "b"]
        assert len(rows) > len(NAMES)
        for row in rows:
            nothing = (row["difference"], row["low"], row["high"], row["p"]) == (0.0, 0.0, 0.0, 1.0)
            assert nothing or (row["n"] == 0 and row["undefined"] == 6), row
        other = found.comparison("c", "toxicity_rate")
        assert other["difference"] != 0.0
        assert other["p"] == 2 / 2**6


def test_an_archetype_in_the_seats_is_the_scenario_written_with_it() -> None:
    """Names apart, honest seats played by opportunistic scripts are a scenario with opportunistic agents there."""
    base = {"scenario_id": "x", "simulation": {"n_epochs": 3}, "governance": RICH["governance"]}
    groups = [
        {"type": "honest", "count": 3},
        {"type": "opportunistic", "count": 2, "config": {"vote_probability": 0.4}},
    ]
    swapped = [{"type": "opportunistic", "count": 5, "config": {"vote_probability": 0.4}}]
    found = swarm_env.evaluate(["opportunistic"], {**base, "agents": groups}, 2, 1, first_seed=4)
    expected = swarm_env.evaluate(["scripts"], {**base, "agents": swapped}, 2, 1, first_seed=4, seats="all")
    for name in COLUMNS:
        assert same(found.summary("opportunistic", name)["mean"], expected.summary("scripts", name)["mean"]), name
    itself = swarm_env.evaluate(["scripts", "honest"], {**base, "agents": groups}, 2, 2, seats="honest_*")
    assert {row["difference"] for row in itself.results["comparisons"] if row["n"]} == {0.0}


def test_a_visitor_sits_in_one_focal_seat_at_a_time() -> None:
    visits: list[tuple[str, ...]] = []

    def watched(setting: Setting) -> Any:
        visits.append(setting.seats)
        return at_random(setting)

    found = swarm_env.evaluate({"v": watched}, short(), 3, 1, mode="visitor", seats=["honest_*", "deceptive_1"])
    focal = ("honest_1", "honest_2", "honest_3", "deceptive_1")
    assert visits == [(seat,) for seat in focal]
    run = found.results["runs"][0]
    assert run["episodes"] == 12
    single = [swarm_env.evaluate({"v": at_random}, short(), 3, 1, seats=seat).results["runs"][0] for seat in focal]
    assert run["focal"] == {seat: each["focal"][seat] for seat, each in zip(focal, single, strict=True)}
    mean = np.mean([each["metrics"]["toxicity_rate"] for each in single])
    assert run["metrics"]["toxicity_rate"] == pytest.approx(mean)
    assert run["metrics"]["focal_return"] == pytest.approx(
        np.mean([each["metrics"]["focal_return"] for each in single])
    )


def test_several_scenarios_are_summed_up_together() -> None:
    found = swarm_env.evaluate(["scripts", "random"], [WALTZ, "baseline"], 2, 4, overrides=SHORT)
    values = [run["metrics"]["toxicity_rate"] for run in found.results["runs"] if run["policy"] == "random"]
    row = found.summary("random", "toxicity_rate", "*")
    assert (row["n"], row["mean"]) == (8, pytest.approx(np.mean(values)))
    assert row["iqm"] == pytest.approx(np.mean(sorted(values)[2:6]))
    primary = [row for row in found.results["comparisons"] if row["primary"]]
    assert len(primary) == 2 * len(planning.PRIMARY)
    assert min(row["p_holm"] for row in primary) == pytest.approx(min(1.0, len(primary) * 2 / 2**4))


def test_recorded_interactions_of_a_batch_are_those_of_its_rows() -> None:
    for threads in (1, 3):
        venv = swarm_env.vector_env(short("strict_governance"), 70, num_threads=threads, seed=5, record=True)
        plain = swarm_env.vector_env(short("strict_governance"), 70, seed=5)
        venv.reset()
        plain.reset()
        assert len(venv.interactions()) == 0
        env = swarm_env.parallel_env(short("strict_governance"))
        env.reset(seed=5 + 37)
        rng, met = np.random.default_rng(0), 0
        for _ in range(10):  # the last step ends the episodes and starts the next
            actions = rng.integers(0, venv.single_action_space.nvec, (70, venv.num_learners, len(env.compiled.nvec)))
            seen, rewards, *_ = venv.step(actions)
            beside, paid, *_ = plain.step(actions)
            assert np.array_equal(rewards, paid)
            assert np.array_equal(seen["observation"], beside["observation"])
            env.step(dict(zip(env.agents, actions[37], strict=True)))
            deals, expected = venv.interactions(), env.interactions()
            mine = deals[deals["row"] == 37]
            assert all(np.array_equal(mine[name], expected[name]) for name in expected.dtype.names)
            assert (np.diff(deals["row"]) >= 0).all()
            met += len(mine)
        assert met > 0
        venv.close()
    with pytest.raises(RuntimeError, match="record=True"):
        plain.interactions()
    with pytest.raises(RuntimeError, match="reset"):
        swarm_env.vector_env(short(), 2, record=True).interactions()
    with pytest.raises(ValueError, match="record"):
        swarm_env.vector_env(short(), 2, device="cuda", record=True)


def test_a_policy_cannot_change_the_market_by_writing_into_what_it_is_shown() -> None:
    def vandal(setting: Setting) -> Any:
        inner = at_random(setting)

        def act(observation: NDArray[Any], mask: NDArray[Any]) -> Any:
            chosen = inner(observation, mask)
            observation[:], mask[:] = -9, 1
            return chosen

        return act

    found = swarm_env.evaluate({"a": at_random, "b": vandal}, short(), 2, 2)
    assert {row["difference"] for row in found.results["comparisons"] if row["n"]} == {0.0}


def test_a_record_holds_whole_episodes_of_every_agent() -> None:
    policy = Policy("x", "scripts")
    compiled = playing.compiled_for(short(), ("honest_1",), policy)
    assert compiled.num_learners == 0
    record = playing.play(compiled, policy, 0, 3, 0)
    assert record.start[-1] == len(record.deals["p"])
    assert record.gained.shape == (3, 7)
