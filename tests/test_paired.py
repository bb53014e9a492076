"""Arms on the same seeds: the same markets as `swarm run`, the same numbers by hand, the same bits after a stop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env.engine.journal import Kind
from swarm_env.evaluation.paired import FIRST_SEED, Paired, by_seed, interventions, names
from swarm_env.evaluation.store import EvaluationError
from swarm_env.metrics import METRICS

KIND = Kind("trial", "trial/1", ("arm", "seed"))
SHORT = {"simulation.n_epochs": 3, "simulation.steps_per_epoch": 6}


def scenario(**more: Any) -> Any:
    return swarm_env.load_scenario("alignment_waltz_targeted_feedback", {**SHORT, **more})


def played(paired: Paired) -> list[dict[str, Any]]:
    return paired.play(paired.store(None))


def test_a_seed_is_the_market_that_swarm_run_plays() -> None:
    market = scenario()
    units = played(Paired(KIND, {"as written": market}, 3, 1))
    for unit in units:
        run = swarm_env.run(market, seed=unit["market_seed"], out=None).metrics
        for name in METRICS:
            assert unit["metrics"][name] == pytest.approx(run[name], nan_ok=True, rel=1e-9), name
    assert [unit["market_seed"] for unit in units] == [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2]
    assert set(units[0]["metrics"]) == set(names(market))


def test_a_seed_is_the_mean_of_its_episodes_however_they_were_batched() -> None:
    one, two = {"a": scenario()}, {"a": scenario()}
    single = [unit["metrics"] for unit in played(Paired(KIND, one, 6, 1))]
    double = [unit["metrics"] for unit in played(Paired(KIND, two, 3, 2))]
    for k, unit in enumerate(double):
        for name, value in unit.items():
            parts = [single[2 * k][name], single[2 * k + 1][name]]
            kept = [part for part in parts if not math.isnan(part)]
            assert value == pytest.approx(sum(kept) / len(kept) if kept else math.nan, nan_ok=True)


def test_arms_differ_only_where_their_rules_do() -> None:
    arms = {"a": scenario(), "twin": scenario(), "fined": scenario(**{"governance.audit_penalty_multiplier": 0.0})}
    values = by_seed(played(Paired(KIND, arms, 4, 1)), "arm")
    assert all(np.array_equal(values["a"][m], values["twin"][m], equal_nan=True) for m in values["a"])
    assert not np.array_equal(values["a"]["governance_cost"], values["fined"]["governance_cost"])
    assert not values["fined"]["charged.adversarial"].any() or values["fined"]["governance_cost"].any()


def test_windows_are_the_first_and_the_last_third_of_the_epochs() -> None:
    whole = swarm_env.load_scenario("alignment_waltz_targeted_feedback", {**SHORT, "simulation.n_epochs": 7})
    (unit,) = played(Paired(KIND, {"a": whole}, 1, 1, ["toxicity_rate", "total_interactions"]))
    epochs = swarm_env.run(whole, seed=unit["market_seed"], out=None).epochs  # thirds of 7: two epochs
    early, late = (sum(row["total_interactions"] for row in part) for part in (epochs[:2], epochs[-2:]))
    assert unit["metrics"]["total_interactions@early"] == early
    assert unit["metrics"]["total_interactions@late"] == late
    accepted = [row["accepted_interactions"] for row in epochs]
    toxic = [0.0 if math.isnan(row["toxicity_rate"]) else row["toxicity_rate"] for row in epochs]
    expected = (toxic[0] * accepted[0] + toxic[1] * accepted[1]) / (accepted[0] + accepted[1])
    assert unit["metrics"]["toxicity_rate@early"] == pytest.approx(expected)


def test_interventions_by_hand() -> None:
    deals = {
        "c_a": np.array([0.1, 0.0, 0.0, 0.2, 0.0]),
        "c_b": np.array([0.0, 0.3, 0.0, 0.0, 0.0]),
        "p_offer": np.array([0.2, 0.4, 0.49, 0.5, 0.9]),
    }
    assert interventions(deals, 0.5) == {
        "intervention_rate": 3 / 5, "intervention_rate_risky": 2 / 3, "intervention_rate_sound": 1 / 2,
        "intervention_selectivity": pytest.approx(1 / 6),
    }  # fmt: skip
    nothing = interventions({name: column[:0] for name, column in deals.items()}, 0.5)
    assert all(math.isnan(value) for value in nothing.values())
    sound = interventions({name: column[3:] for name, column in deals.items()}, 0.5)
    assert sound["intervention_rate_sound"] == 0.5
    assert math.isnan(sound["intervention_selectivity"])


def test_what_archetypes_are_charged_adds_up() -> None:
    market = scenario(**{"governance.audit_probability": 1.0, "governance.audit_threshold_p": 1.0})
    values = by_seed(played(Paired(KIND, {"a": market}, 2, 1)), "arm")["a"]
    counts = {"honest": 3, "opportunistic": 2, "deceptive": 1, "adversarial": 1}
    total = sum(n * values[f"charged.{role}"] for role, n in counts.items())
    assert total == pytest.approx(values["governance_cost"])
    assert (values["governance_cost"] > 0).all()
    calm = by_seed(played(Paired(KIND, {"a": scenario(governance=None)}, 2, 1)), "arm")["a"]
    assert not calm["sidelined.honest"].any()


def test_groups_are_seeds_of_one_arm_without_gaps_and_of_a_bounded_length() -> None:
    paired = Paired(KIND, {"a": scenario(), "b": scenario()}, 5, 1)
    assert list(paired.groups([0, 1, 2, 3, 4], 2)) == [[0, 1], [2, 3], [4]]
    assert list(paired.groups([1, 2, 4, 5, 6, 9], 9)) == [[1, 2], [4], [5, 6], [9]]
    assert list(Paired(KIND, {"a": scenario()}, 5, 40).groups([0, 1, 2], 9)) == [[0], [1], [2]]  # a batch has no room


@pytest.mark.parametrize(("seeds", "episodes", "said"), [(0, 1, "seeds"), (1025, 1, "seeds"), (1, 0, "episodes")])
def test_numbers_out_of_range(seeds: int, episodes: int, said: str) -> None:
    with pytest.raises(EvaluationError, match=f"{said} must be a whole number in 1"):
        Paired(KIND, {"a": scenario()}, seeds, episodes)
