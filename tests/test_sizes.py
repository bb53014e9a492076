"""Code made for one shape of batch: what it may take for granted, and that it plays the same market."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

import swarm_env
from swarm_env import testing
from swarm_env.compile import compile_scenario
from swarm_env.core import sizes, step
from swarm_env.core.sizes import UNKNOWN, Sizes, known
from swarm_env.core.tables import nested
from tests.market import rich

RING = {"topology": "small_world", "params": {"k": 2, "p": 0.5}}


def told(sizes: Sizes) -> tuple[int, ...]:
    """The numbers that it tells, 0 for what it does not."""
    return tuple(len(each) - 1 for each in sizes)


def sizes_of(scenario: Any, learners: Any = "all", unwatched: bool = True) -> Sizes:
    compiled = compile_scenario(swarm_env.load_scenario(scenario), learners)
    return known(compiled.scene, compiled.inbox, compiled.peers, unwatched)


def test_what_is_told_is_true_of_every_agent() -> None:
    data = rich().to_dict()
    num = len(swarm_env.load_scenario(data).agent_names)
    all_of_it = sizes_of(data)
    assert told(all_of_it)[0] == told(all_of_it)[4] == num
    assert told(all_of_it)[5] == 1
    assert told(sizes_of(data, "honest_1"))[4] == 0  # not everybody learns
    assert told(sizes_of(data, unwatched=False))[5] == 0
    assert told(sizes_of({**data, "network": {"topology": "complete"}}))[3] == num - 1
    assert told(UNKNOWN) == (0,) * 6


def test_unequal_numbers_of_contacts_and_large_markets_are_not_told() -> None:
    data = rich().to_dict()
    agents = [{"type": "honest", "count": 30}]
    uneven = sizes_of({**data, "agents": agents, "network": RING})
    assert told(uneven)[0] == 30
    assert told(uneven)[3] == 0
    many = sizes_of({**data, "agents": [{"type": "honest", "count": sizes.MOST + 1}], "network": RING})
    assert told(many)[0] == told(many)[4] == 0


@pytest.mark.parametrize("network", [{"topology": "complete"}, RING], ids=["even", "uneven"])
def test_rules_find_the_same_numbers_whether_they_are_told_or_not(network: dict[str, Any]) -> None:
    data = {**rich().to_dict(), "network": network}
    market = testing.plain_market(data, "all")
    compiled = compile_scenario(swarm_env.load_scenario(data), "all")
    informed = market._replace(sizes=known(compiled.scene, compiled.inbox, compiled.peers, False))
    for count in (sizes.agents_in, sizes.inbox_slots, sizes.peer_slots, sizes.is_watched):
        assert count(market) == count(informed)
    for i in range(sizes.agents_in(market)):
        for of_agent in (sizes.first_contact, sizes.num_contacts, sizes.contacts_of, sizes.learner_of):
            assert of_agent(market, i) == of_agent(informed, i)


def test_a_tuned_batch_plays_the_same_market_byte_for_byte() -> None:
    plain = swarm_env.vector_env(rich(), 5, seed=11)
    tuned = swarm_env.vector_env(rich(), 5, seed=11, tuned=True)
    plain.reset()
    tuned.reset()
    draws = np.random.default_rng(0)
    shape = (5, plain.num_learners, len(plain.compiled.nvec))
    for _ in range(150):  # illegal choices among them, and scripted ones
        actions = draws.integers(-1, np.maximum(plain.compiled.nvec, 2), shape)
        seen, rewards, _, over, infos = plain.step(actions)
        seen_too, rewards_too, _, over_too, infos_too = tuned.step(actions)
        assert seen["observation"].tobytes() == seen_too["observation"].tobytes()
        assert seen["action_mask"].tobytes() == seen_too["action_mask"].tobytes()
        assert rewards.tobytes() == rewards_too.tobytes()
        assert over.tobytes() == over_too.tobytes()
        assert infos.keys() == infos_too.keys()
    assert plain.snapshot() == tuned.snapshot()


def test_batches_of_one_shape_share_their_code_on_tables_of_another_it_would_not_run() -> None:
    before = None
    for num_envs in (2, 3):
        batch = swarm_env.vector_env(rich(), num_envs, tuned=True)
        batch.reset()
        batch.step(np.zeros((num_envs, batch.num_learners, len(batch.compiled.nvec))))
        made = len(step.advance_sized.overloads)
        assert before in (None, made)
        before = made
    data = rich().to_dict()
    longer = {**data, "market": {**data.get("market", {}), "history_per_agent": 7}}
    assert sizes_of(longer) == sizes_of(data)
    tables = [compile_scenario(swarm_env.load_scenario(each), "all").initial.history for each in (data, longer)]
    assert numba.typeof(nested(tables[0])) != numba.typeof(nested(tables[1]))


def test_a_nested_table_is_the_same_memory() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    view = nested(array)
    assert (view.shape, view["of"].shape) == ((2,), (2, 3, 4))
    view["of"][1, 2, 3] = -1
    assert array[1, 2, 3] == -1
    assert nested(array[:, 0, 0].copy()).shape == (2,)


def test_the_sb3_adapter_passes_the_wish_on() -> None:
    sb3 = pytest.importorskip("swarm_env.adapters.sb3")
    assert sb3.MarketVecEnv("baseline", 1, tuned=True).market._advance is not step.advance_unchecked
    assert sb3.MarketVecEnv("baseline", 1).market._advance is step.advance_unchecked


def test_a_gpu_has_no_tuned_code() -> None:
    with pytest.raises(ValueError, match="tuned"):
        swarm_env.vector_env("baseline", 1, device="cuda", tuned=True)
