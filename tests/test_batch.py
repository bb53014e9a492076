"""The vectorised environment plays what the ParallelEnv plays, row by row, and forgets nothing in a snapshot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import swarm_env
from swarm_env.batch import EPISODE_METRICS
from swarm_env.catalog import shipped

SHORT = ["simulation.n_epochs=3", "simulation.steps_per_epoch=5"]


def short(name: str = "strict_governance", *more: str) -> Any:
    return swarm_env.load_scenario(name, [*SHORT, *more])


def choices(venv: Any, steps: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Random actions (steps, B, L, heads), legal or not."""
    rng = np.random.default_rng(seed)
    nvec = venv.single_action_space.nvec
    return rng.integers(0, nvec, (steps, venv.num_envs, venv.num_learners, len(nvec)))


@pytest.mark.parametrize("scenario", sorted(shipped()))
@pytest.mark.parametrize("threads", [1, 3])
def test_a_row_is_the_parallel_env_of_its_seed_over_episodes(scenario: str, threads: int) -> None:
    loaded, rows, seed = short(scenario), 5, 40
    venv = swarm_env.vector_env(loaded, rows, num_threads=threads, seed=seed, copy=True)
    envs = [swarm_env.parallel_env(loaded) for _ in range(rows)]
    seen, _ = venv.reset()
    firsts = [env.reset(seed=seed + b)[0] for b, env in enumerate(envs)]
    for actions in choices(venv, 34):  # two episodes and a bit
        for b, observations in enumerate(firsts):
            for k, agent in enumerate(venv.possible_agents):
                for key in ("observation", "action_mask"):
                    assert np.array_equal(seen[key][b, k], observations[agent][key])
        seen, rewards, _, truncations, _ = venv.step(actions)
        for b, env in enumerate(envs):
            observations, paid, _, over, _ = env.step(dict(zip(env.agents, actions[b], strict=True)))
            assert rewards[b].tolist() == list(paid.values())
            assert truncations[b].tolist() == list(over.values())
            firsts[b] = observations if env.agents else env.reset()[0]
    venv.close()


def test_an_ended_episode_leaves_its_last_observation_returns_and_metrics() -> None:
    loaded = short("alignment_waltz_targeted_feedback")
    venv = swarm_env.vector_env(loaded, 4, learners="honest_*", seed=3)
    venv.reset()
    env = swarm_env.parallel_env(loaded, learners="honest_*")
    env.reset(seed=4)
    returns = np.zeros((4, 3))
    deals: list[Any] = []
    for actions in choices(venv, 15):
        _, rewards, terminations, truncations, infos = venv.step(actions)
        last, *_ = env.step(dict(zip(env.agents, actions[1], strict=True)))
        deals.append(env.interactions())
        returns += rewards
        assert not terminations.any()
        assert bool(infos) == truncations.all() == (len(deals) == 15)
    assert infos["final_rows"].tolist() == [0, 1, 2, 3]
    shown = np.stack([last[agent]["observation"] for agent in venv.possible_agents])
    assert np.array_equal(infos["final_observation"]["observation"][1], shown)
    episode = infos["episode"]
    assert episode["return"] == pytest.approx(returns)
    assert episode["length"].tolist() == [15] * 4
    recorded = np.concatenate(deals)
    expected = swarm_env.metrics.compute(recorded, loaded.payoff, EPISODE_METRICS)
    for name in EPISODE_METRICS:
        assert episode[name][1] == pytest.approx(expected[name], nan_ok=True), name


def test_a_snapshot_resumes_in_mid_episode_as_if_unbroken() -> None:
    venv = swarm_env.vector_env(short(), 6, seed=1, copy=True)
    venv.reset()
    actions = choices(venv, 30)
    for now in actions[:11]:
        venv.step(now)
    kept = venv.snapshot()
    unbroken = [venv.step(now) for now in actions[11:]]
    other = swarm_env.vector_env(short(), 6, seed=99, copy=True)
    other.restore(kept)
    for (seen, rewards, *_), now in zip(unbroken, actions[11:], strict=True):
        again, paid, *_ = other.step(now)
        assert all(np.array_equal(seen[key], again[key]) for key in seen)
        assert np.array_equal(rewards, paid)
    assert other.snapshot() == venv.snapshot()


def test_a_snapshot_of_something_else_is_refused() -> None:
    venv = swarm_env.vector_env(short(), 2)
    venv.reset()
    before = venv.snapshot()
    for other in (
        swarm_env.vector_env(short(), 3),
        swarm_env.vector_env(short(), 2, learners="honest_*"),
        swarm_env.vector_env(short("strict_governance", "payoff.h=1"), 2),
    ):
        other.reset()
        with pytest.raises(ValueError, match="this environment is"):
            venv.restore(other.snapshot())
    with pytest.raises(ValueError, match="not a snapshot"):
        venv.restore(b"nonsense")
    with pytest.raises(ValueError, match="this environment is"):
        venv.restore(before[:-8])
    assert venv.snapshot() == before


def test_one_batch_sweeps_a_lever_and_each_row_is_its_own_scenario() -> None:
    rates = (0.0, 0.3, 0.9)
    scenarios = [short("strict_governance", f"governance.transaction_tax_rate={rate}") for rate in rates]
    venv = swarm_env.vector_env(scenarios, 3, seed=0)
    venv.reset(seed=7)
    for now in choices(venv, 14):
        venv.step(now)
    for b, scenario in enumerate(scenarios):
        alone = swarm_env.vector_env(scenario, 1)
        alone.reset(seed=7 + b)
        for now in choices(venv, 14):
            alone.step(now[b : b + 1])
        for ours, theirs in zip(venv.state_tables.agents[b], alone.state_tables.agents[0], strict=True):
            assert ours.tobytes() == theirs.tobytes()
    lengths = [swarm_env.load_scenario("baseline", [f"simulation.n_epochs={n}"]) for n in (2, 1)]
    uneven = swarm_env.vector_env(lengths, 2)
    uneven.reset()
    for played, now in enumerate(choices(uneven, 20), 1):
        *_, infos = uneven.step(now)
        assert infos.get("final_rows", np.array([])).tolist() == {10: [1], 20: [0, 1]}.get(played, [])


def test_rows_that_end_at_different_times_do_not_depend_on_the_threads() -> None:
    lengths = [short("baseline", f"simulation.n_epochs={epochs}") for epochs in (1, 3, 2)]
    one, three = (swarm_env.vector_env(lengths * 40, 120, num_threads=n, seed=5) for n in (1, 3))
    one.reset()
    three.reset()
    ends = 0
    for now in choices(one, 17):
        seen, *_, over, infos = one.step(now)
        others, *_, others_over, others_infos = three.step(now)
        assert all(np.array_equal(seen[key], others[key]) for key in seen)
        assert np.array_equal(over, others_over)
        assert infos.keys() == others_infos.keys()
        ends += len(infos.get("final_rows", ()))
        assert np.array_equal(infos.get("final_rows", ()), others_infos.get("final_rows", ()))
    assert ends == 40 * (3 + 1 + 1)
    assert one.snapshot() == three.snapshot()
    three.close()


def test_actions_of_every_memory_layout_and_integer_type_are_the_same_actions() -> None:
    venvs = [swarm_env.vector_env(short(), 2, seed=1) for _ in range(4)]
    for venv in venvs:
        venv.reset()
    for now in choices(venvs[0], 6):
        frozen = now.copy()
        frozen.flags.writeable = False
        forms = (now, frozen, np.asfortranarray(now), np.repeat(now.astype(np.int8), 2, axis=2)[:, :, ::2])
        views = [venv.step(form)[0]["observation"] for venv, form in zip(venvs, forms, strict=True)]
        assert all(np.array_equal(view, views[0]) for view in views[1:])


def test_views_are_overwritten_and_copies_are_not() -> None:
    for copy in (False, True):
        venv = swarm_env.vector_env(short(), 3, copy=copy)
        seen, _ = venv.reset()
        before = {key: value.copy() for key, value in seen.items()}
        for now in choices(venv, 5):
            venv.step(now)
        assert np.array_equal(seen["observation"], before["observation"]) == copy


def test_observations_lie_in_the_space_and_state_and_ledger_have_their_shapes() -> None:
    venv = swarm_env.vector_env(short(), 3, learners="opportunistic_*")
    seen, _ = venv.reset()
    for now in choices(venv, 12):
        seen, *_ = venv.step(now)
        row = {key: value[1, 0] for key, value in seen.items()}
        assert venv.single_observation_space.contains(row)
    assert venv.state().shape == (3, len(venv.compiled.state_bounds[0]))
    assert venv.ledger().shape == (3, 2, venv.compiled.inbox, 6)


def test_bad_arguments_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="num_envs and num_threads must be at least 1"):
        swarm_env.vector_env("baseline", 0)
    with pytest.raises(ValueError, match="2 scenarios for 3 environments"):
        swarm_env.vector_env(["baseline", "baseline"], 3)
    with pytest.raises(ValueError, match="differ in shape"):
        swarm_env.vector_env(["baseline", "strict_governance"], 2)
    venv = swarm_env.vector_env("baseline", 2)
    with pytest.raises(RuntimeError, match="reset the environment"):
        venv.step(np.zeros((2, 5, 7)))
    venv.reset()
    with pytest.raises(ValueError, match=r"shape \(2, 5\); they must be \(2, 5, 7\)"):
        venv.step(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="seed must be in"):
        venv.reset(seed=-1)
