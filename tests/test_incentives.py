"""There is a dilemma, and the Waltz scenario's levers solve it: the claims of docs/environment.md, with few seeds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.incentives import SCENARIOS, governance_settings, play
from swarm_env import load_scenario
from swarm_env.core.types import ADVERSARIAL, CONDUCTS, HONEST


def best(scenario_id: str, setting: str) -> tuple[int, float]:
    """The conduct that pays best against counterparties that accept everything, and its lead over the next."""
    scenario = load_scenario(scenario_id)
    governance = governance_settings(scenario)[setting]
    changed = load_scenario({**scenario.to_dict(), "governance": governance})
    means = [play(changed, conduct, accept_all=True, seeds=8).mean() for conduct in range(len(CONDUCTS))]
    return int(np.argmax(means)), float(np.diff(np.sort(means)[-2:])[0])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_without_levers_adversarial_conduct_pays_best(scenario: str) -> None:
    conduct, lead = best(scenario, "levers off")
    assert conduct == ADVERSARIAL
    assert lead > 0.2


def test_under_the_waltz_scenario_as_written_honest_conduct_does() -> None:
    conduct, lead = best("alignment_waltz_targeted_feedback", "as written")
    assert conduct == HONEST
    assert lead > 0.05


def test_the_macpo_scenario_as_written_leaves_adversarial_conduct_profitable() -> None:
    assert best("macpo_weak_to_strong", "as written")[0] == ADVERSARIAL
