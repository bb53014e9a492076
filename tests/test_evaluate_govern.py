"""Governing policies: they answer for their seats, their scripts do the rest, and nothing that they do wrong passes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import swarm_env
from swarm_env import AS_SCRIPTED, cli, statistics
from swarm_env.evaluation import FIRST_SEED, governs
from swarm_env.evaluation import play as playing
from swarm_env.evaluation.measure import NAMES
from swarm_env.oversight import RECORD, SIGNAL, VIEW
from tests.market import RICH

SHORT = ["simulation.n_epochs=3", "simulation.steps_per_epoch=5"]
WALTZ = "alignment_waltz_targeted_feedback"
SEATS = ["honest_2", "opportunistic_1", "deceptive_1", "adversarial_1"]  # rows of learners are no agent numbers
FEEDBACK = ("feedback_trigger_rate", "revisions_per_decision")
Decide = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals have tests of their own."""
    monkeypatch.setattr(statistics, "RESAMPLES", 100)


def short(name: Any = WALTZ, *more: str) -> Any:
    return swarm_env.load_scenario(name, [*SHORT, *more])


def always(answer: int) -> Decide:
    return governs(lambda view, ledger: np.full(len(view), answer))


@governs
def wary(view: NDArray[np.float32], ledger: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Accepts what looks sound, from those with a good record."""
    return (view[:, SIGNAL] > 0) & (ledger[:, RECORD.index("mean_p")] > 0.45)


@pytest.mark.parametrize("mode", ["resident", "visitor"])
@pytest.mark.parametrize("scenario", [WALTZ, RICH])
def test_answers_left_to_the_scripts_give_the_scripts_market(scenario: Any, mode: str) -> None:
    policies = {"scripts": "scripts", "governed": always(AS_SCRIPTED), "eager": always(1)}
    seats = ["honest_*", "opportunistic_*"]
    found = swarm_env.evaluate(policies, short(scenario), 6, 1, seats=seats, mode=mode, baseline="scripts")
    ours, theirs = ([run for run in found.results["runs"] if run["policy"] == name] for name in ("governed", "scripts"))
    for mine, other in zip(ours, theirs, strict=True):
        assert json.dumps({**mine, "policy": ""}) == json.dumps({**other, "policy": ""})
    assert found.comparison("eager", "acceptance_rate")["difference"] > 0


@pytest.mark.parametrize(("threshold", "answer"), [(0, 1), (1, 0)])
def test_a_policy_that_answers_as_the_scripts_do_gives_their_market(threshold: int, answer: int) -> None:
    """A cautious agent whose line is 0 accepts whatever comes, one whose line is 1 nothing."""
    agents = "agents=[{type: honest, count: 2}, {type: opportunistic, count: 2}, {type: cautious, count: 3, "
    drawn = short(WALTZ, agents + f"config: {{threshold: {threshold}}}}}]")
    policies = {"scripts": "scripts", "same": always(answer), "other": always(1 - answer)}
    scripts, same, other = swarm_env.evaluate(policies, drawn, 6, 1, seats="cautious_*").results["runs"]
    assert json.dumps({**same, "policy": ""}) == json.dumps({**scripts, "policy": ""})
    assert (other["metrics"]["acceptance_rate"] > same["metrics"]["acceptance_rate"]) == (answer == 0)


def test_who_answers_for_all_decides_what_is_accepted() -> None:
    found = swarm_env.evaluate({"eager": always(1), "never": always(0)}, short(), 2, 1, seats="all")
    eager, never = found.results["runs"]
    assert eager["metrics"]["overrefusal_rate"] == 0.0
    assert never["metrics"]["acceptance_rate"] == 0.0
    assert math.isnan(never["metrics"]["toxicity_rate"])


def test_a_rule_governs_as_it_does_in_a_market_played_by_hand() -> None:
    """The rule is told again, slot by slot, from observations and ledger of a batch of its own."""
    found = swarm_env.evaluate({"wary": wary}, short(), 4, 1, seats=SEATS)
    venv = swarm_env.vector_env(short(), 4, SEATS, seed=FIRST_SEED, record=True)
    seen, _ = venv.reset()
    names, deals = venv.compiled.feature_names, []
    slots = range(venv.compiled.inbox)
    signal = [names.index(f"inbox_{k}.signal") for k in slots]
    for _ in range(15):
        actions = np.full((4, 4, len(venv.compiled.nvec)), AS_SCRIPTED)
        ledger = venv.ledger()
        for k in slots:
            actions[:, :, k] = (seen["observation"][:, :, signal[k]] > 0) & (ledger[:, :, k, 1] > 0.45)
        seen, *_ = venv.step(actions)
        deals.append(venv.interactions())
    every = np.concatenate(deals)
    assert len(every) > 50
    for name in ("toxicity_rate", "total_welfare", "acceptance_rate", "quality_gap"):
        by_episode = [
            swarm_env.metrics.compute(every[every["row"] == e], venv.compiled.scenario.payoff, [name])[name]
            for e in range(4)
        ]
        assert found.results["runs"][0]["metrics"][name] == pytest.approx(np.nanmean(by_episode)), name
    venv.close()


class Coin:
    """An overseer by chance; writes into what it is shown."""

    governs = True
    met: list[int]

    def __init__(self, setting: Any) -> None:
        self.rng = np.random.default_rng(setting.seed)
        type(self).met, type(self).asked = [], []

    def __call__(self, view: NDArray[np.float32], ledger: NDArray[np.float32]) -> tuple[Any, Any]:
        assert view.shape == (len(view), len(VIEW))
        assert ledger.shape == (len(view), len(RECORD))
        assert (view.dtype, ledger.dtype) == (np.float32, np.float32)
        revisions = self.rng.integers(0, 3, len(view))
        type(self).asked += revisions.tolist()
        view[:], ledger[:] = np.nan, np.nan
        return self.rng.integers(0, 2, len(view)), revisions


def test_an_overseers_part_is_counted(tmp_path: Path) -> None:
    found = swarm_env.evaluate({"scripts": "scripts", "wary": wary, "coin": Coin}, short(), 1, 1, out=tmp_path)
    scripts, alone, coin = (run["metrics"] for run in found.results["runs"])
    assert set(FEEDBACK) < set(NAMES)
    assert all(math.isnan(run[name]) for run in (scripts, alone) for name in FEEDBACK)
    assert len(Coin.asked) > 9
    assert coin["feedback_trigger_rate"] == pytest.approx(np.mean(np.array(Coin.asked) > 0))
    assert coin["revisions_per_decision"] == pytest.approx(np.mean(Coin.asked))
    assert 0 < coin["toxicity_rate"] < 1  # nothing that it wrote came through
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["schema"] == "swarm-evaluation/2"
    assert written["runs"][0]["metrics"]["feedback_trigger_rate"] is None
    (row,) = [r for r in written["summary"] if (r["policy"], r["metric"]) == ("coin", "revisions_per_decision")]
    assert row["mean"] == coin["revisions_per_decision"]


def test_episodes_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    first = swarm_env.evaluate({"wary": wary}, short(), 5, 1)
    monkeypatch.setattr(playing, "BATCH", 14)  # two episodes side by side
    again = swarm_env.evaluate({"wary": wary}, short(), 5, 1)
    assert json.dumps(again.results["runs"]) == json.dumps(first.results["runs"])


def test_an_episode_without_decisions_has_no_rate() -> None:
    found = swarm_env.evaluate(
        {"coin": Coin}, short(WALTZ, "simulation.n_epochs=1", "simulation.steps_per_epoch=1"), 2, 1
    )
    assert all(math.isnan(found.summary("coin", name)["mean"]) for name in FEEDBACK)


FACTORIES: dict[str, Any] = {
    "a marked callable": wary,
    "a factory of one": lambda setting: wary,
    "a marked factory": governs(lambda setting: lambda view, ledger: wary(view, ledger)),
}


@pytest.mark.parametrize("how", FACTORIES)
def test_ways_of_saying_that_a_policy_governs(how: str) -> None:
    plain = swarm_env.evaluate({"x": wary}, short(), 1, 1)
    found = swarm_env.evaluate({"x": FACTORIES[how]}, short(), 1, 1)
    assert json.dumps(found.results["runs"]) == json.dumps(plain.results["runs"])


POLICIES = """
import numpy as np
from swarm_env.evaluation import governs

@governs
def signal(view, ledger): return view[:, 13] > 0

calls = []
def bad(make):
    return governs(lambda view, ledger: make(len(view)))

nan = bad(lambda n: np.full(n, np.nan))
two = bad(lambda n: np.full(n, 2))
half = bad(lambda n: np.full(n, 0.5))
deep = bad(lambda n: np.zeros((n, 1), dtype=int))
text = bad(lambda n: ["yes"] * n)
ragged = bad(lambda n: [[1], [1, 2]])
three = bad(lambda n: (np.ones(n), np.ones(n), np.ones(n)))
less = bad(lambda n: (np.ones(n), np.full(n, -1)))
some = bad(lambda n: (np.ones(n), np.full(n, np.inf)))
short = bad(lambda n: (np.ones(n), 1))
broken = bad(lambda n: {}["weights"])
def sometimes(n):
    calls.append(n)
    return np.ones(n) if len(calls) % 2 else (np.ones(n), np.ones(n))
now_and_then = bad(sometimes)
"""

BAD: list[tuple[str, list[str]]] = [
    ("nan", ["answers[0]", "proposal to honest_", "is nan", "allowed: 0, 1 and -1"]),
    ("two", ["answers[0]", "is 2"]),
    ("half", ["is 0.5"]),
    ("deep", ["answers have shape", ",) whole numbers"]),
    ("text", ["answers are of type", "whole numbers"]),
    ("ragged", ["answers are no array"]),
    ("three", ["tuple of 3", "(accept, revisions)"]),
    ("less", ["revisions[0]", "is -1", "from 0 to"]),
    ("some", ["revisions[0]", "is inf"]),
    ("short", ["revisions have shape ()"]),
    ("broken", ["raised KeyError", "weights"]),
    ("now_and_then", ["revisions come with all of its answers or with none"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "governing_policies.py").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "governing_policies", raising=False)
    return tmp_path


@pytest.mark.parametrize(("name", "said"), BAD, ids=[name for name, _ in BAD])
def test_a_bad_answer_is_one_clear_line_and_loses_nothing(
    name: str, said: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["evaluate", "--policy", "good=governing_policies:signal", "--policy", f"p=governing_policies:{name}"]
    line += ["--scenario", WALTZ, "--episodes", "2", "--seeds", "1", "--set", SHORT[0], "--set", SHORT[1]]
    assert cli.main([*line, "--out", "out", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"swarm: policy p in {WALTZ}, step ")
    assert all(part in error for part in said), error
    assert len(error.strip().splitlines()) == 1
    kept = (folder / "out/units.jsonl").read_text().splitlines()
    assert [json.loads(unit)["policy"] for unit in kept[1:]] == ["good"]


def test_the_command_shows_an_overseers_part_where_there_is_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "governing_policies.py").write_text(
        POLICIES + "overseer = bad(lambda n: (np.ones(n), np.arange(n) % 2))\n"
    )
    line = ["evaluate", "--policy", "scripts", "--policy", "signal=governing_policies:signal", "--scenario", WALTZ]
    line += ["--episodes", "1", "--seeds", "1", "--set", SHORT[0], "--set", SHORT[1]]
    assert cli.main(line) == 0
    assert "feedback_trigger_rate" not in capsys.readouterr().out
    assert cli.main([*line, "--policy", "o=governing_policies:overseer"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in FEEDBACK)
