"""Observations are a whitelist: what is hidden moves no observation, mask or state; what is shown moves its feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from swarm_env.compile import Compiled, compile_scenario
from swarm_env.core import features, observe
from swarm_env.core.types import State
from swarm_env.testing import sample
from tests.market import rich

#: Everything an agent must never see: latent quality, conduct, and what follows from them, of others and its own.
HIDDEN_OF_PROPOSALS = ("conduct", "p", "progress", "rework", "rejections", "misuse", "engagement")
HIDDEN_OF_AGENTS = (
    ("seats", "archetype"), ("books", "initiated_p"), ("books", "failed_audits"), ("books", "breaches"),
    ("books", "collusion_risk"), ("books", "threat"), ("agents", "heat"), ("pairs", "met_p"), ("pairs", "won"),
    ("relations", "initiated_p"),
)  # fmt: skip


def mid_episode() -> tuple[Compiled, State, Any]:
    """A market after thirty steps of legal random play by everybody, inboxes filled."""
    compiled = compile_scenario(rich(), "all")
    state, view = compiled.allocate(1)
    compiled.reset(state, view, 0, 1)
    rng = np.random.default_rng(0)
    played = 0
    while played < 30 or not state.agents["inbox"].any():
        played += 1
        actions = np.array([[sample(rng, compiled.nvec, mask) for mask in view.mask[0]]])
        compiled.advance(state, view, actions, 0, 1)
    return compiled, state, view


def see(compiled: Compiled, state: State) -> bytes:
    """Observation and mask as a further observe would write them, of an untouched copy."""
    copy = State(*(np.array(part) for part in state))
    _, view = compiled.allocate(1)
    observe_rows(compiled, copy, view)
    return view.observation.tobytes() + view.mask.tobytes()


def observe_rows(compiled: Compiled, state: State, view: Any) -> None:
    from swarm_env.core.compiled import kernel
    from swarm_env.core.sizes import UNKNOWN
    from swarm_env.core.types import market_of

    global _KERNEL
    if _KERNEL is None:

        def look(scene: Any, state: Any, view: Any) -> None:
            market = market_of(scene, state, 0, UNKNOWN)
            observe.observe(market, view.observation[0], view.mask[0], view.reward[0], view.info[0])

        _KERNEL = kernel(look)
    _KERNEL(compiled.scene, state, view)


_KERNEL: Any = None


@pytest.mark.parametrize("field", HIDDEN_OF_PROPOSALS)
def test_what_a_proposal_really_is_moves_no_observation(field: str) -> None:
    compiled, state, _ = mid_episode()
    before = see(compiled, state)
    column = state.proposals[field]
    column[:] = (column + 1) % 4 if column.dtype.kind == "i" else 1 - column
    assert see(compiled, state) == before


@pytest.mark.parametrize(("part", "field"), HIDDEN_OF_AGENTS)
def test_what_an_agent_really_is_moves_no_observation(part: str, field: str) -> None:
    compiled, state, _ = mid_episode()
    before = see(compiled, state)
    column = getattr(state if part in state._fields else compiled.scene, part)[field]
    column[:] = column + 1
    assert see(compiled, state) == before


def test_what_conduct_takes_moves_no_observation() -> None:
    compiled, state, _ = mid_episode()
    before = see(compiled, state)
    compiled.scene.params["extraction"] += 1.0
    compiled.scene.params["effort"] += 1.0
    assert see(compiled, state) == before


#: Shown: record, field, and the features that must move with it.
SHOWN = [
    ("agents", "reputation", {"own.reputation", "reputation"}),
    ("agents", "resources", {"own.resources", "own.may_act"}),
    ("contacts", "trust", {"trust"}),
    ("rows", "toxicity", {"own.market_toxicity"}),
    ("rows", "mean_p", {"own.market_mean_p"}),
]


@pytest.mark.parametrize(("part", "field", "features"), SHOWN)
def test_what_is_shown_moves_its_features_and_no_others(part: str, field: str, features: set[str]) -> None:
    compiled, state, view = mid_episode()
    observe_rows(compiled, state, view)
    before = view.observation.copy()
    column = getattr(state, part)[field]
    column[:] = column * 0.5 + 0.01
    observe_rows(compiled, state, view)
    moved = np.flatnonzero(np.any(view.observation != before, axis=(0, 1)))
    names = {compiled.feature_names[k] for k in moved}
    assert names, "nothing moved"
    assert {name if name.startswith("own.") else name.split(".")[1] for name in names} == features


def test_the_signal_is_shown_in_its_slot_only() -> None:
    compiled, state, view = mid_episode()
    observe_rows(compiled, state, view)
    before = view.observation.copy()
    state.proposals["signal"] += 0.25
    observe_rows(compiled, state, view)
    moved = np.flatnonzero(np.any(view.observation != before, axis=(0, 1)))
    assert {compiled.feature_names[k].split(".")[1] for k in moved} == {"signal"}


def test_layout_and_bounds_follow_the_registry() -> None:
    compiled, _, view = mid_episode()
    low, high = compiled.feature_bounds
    assert len(compiled.feature_names) == len(low) == view.observation.shape[2]
    assert np.all((view.observation >= low) & (view.observation <= high))
    slots = compiled.inbox * len(features.INBOX) + compiled.peers * len(features.PEER)
    assert len(compiled.feature_names) == len(features.OWN) + slots


def test_overseers_see_the_books() -> None:
    compiled, state, _ = mid_episode()
    before = compiled.ledger(state)
    assert before.shape == (1, compiled.num_agents, compiled.inbox, len(features.LEDGER))
    state.books["failed_audits"] += 1
    moved = np.flatnonzero(np.any(compiled.ledger(state) != before, axis=(0, 1, 2)))
    assert [list(features.LEDGER)[k] for k in moved] == ["failed_audits"]
