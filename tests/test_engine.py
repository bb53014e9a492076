"""Jobs, the scheduler and the options of both engines, apart from any command."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import swarm_env
from swarm_env import cli
from swarm_env.engine import cluster, fingerprint, job, schedule
from swarm_env.engine.job import EngineError, Job
from swarm_env.engine.journal import Kind
from swarm_env.engine.pool import DIED, DONE, READY, Event
from swarm_env.engine.run import Engine
from swarm_env.engine.schedule import Limits, Schedule
from swarm_env.engine.worker import Outcome
from swarm_env.evaluation import screen
from swarm_env.evaluation.paired import Paired, run_jobs

KIND = Kind("trial", "trial/1", ("arm", "seed"))
SHORT = {"simulation.n_epochs": 2, "simulation.steps_per_epoch": 4}
OURS = {"Python": "3.11.7", "code of swarm_env": "abc"}


class Plan:
    """Jobs without any content."""

    job_kind = "paired"

    def __init__(self, count: int) -> None:
        self.num_units = count

    def job(self, index: int) -> Job:
        return Job("paired", {"index": index}, {})

    def title(self, index: int) -> str:
        return f"job {index}"

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        left = list(indices)
        for start in range(0, len(left), min(most, 3)):
            yield left[start : start + min(most, 3)]

    def here(self, indices: Sequence[int]) -> Iterator[int]:
        yield from indices


class Kept:
    """Results in a dict."""

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.given_up: list[int] = []

    def missing(self, plan: Any) -> Iterator[int]:
        yield from (index for index in range(plan.num_units) if index not in self.results)

    def add(self, index: int, job: Job, result: Any) -> None:
        assert index not in self.results
        self.results[index] = result

    def sync(self) -> None:
        pass

    def failed(self, index: int) -> None:
        self.given_up.append(index)


class Pool:
    """Two workers that do what `behave` says of a group, as (event, what is said), or None: nothing, for ever."""

    width = 2

    def __init__(self, behave: Any, said: Any = ("here", OURS)) -> None:
        self.behave, self.said, self.number = behave, said, 0
        self.events: list[Event] = []
        self.groups: list[list[int]] = []
        self.killed = 0
        self._start()
        self._start()

    def _start(self) -> None:
        self.events.append(Event(READY, self.number, self.said))
        self.number += 1

    def submit(self, worker: int, jobs: Sequence[Job]) -> None:
        indices = [each.params["index"] for each in jobs]
        self.groups.append(indices)
        event = self.behave(indices)
        if event is not None:
            self.events.append(Event(event[0], worker, event[1]))

    def wait(self, timeout: float) -> list[Event]:
        events, self.events = self.events[::-1], []  # the last comes first: no order is promised
        for event in events:
            if event.what == DIED:
                self._start()
        return events

    def kill(self, worker: int) -> None:
        self.killed += 1
        self._start()

    def close(self) -> None:
        pass


def good(indices: list[int]) -> tuple[str, Outcome]:
    return DONE, Outcome([f"result {index}" for index in indices])


def scheduled(count: int, behave: Any, limits: Limits = Limits()) -> tuple[Kept, list[schedule.Failure], Pool]:  # noqa: B008
    kept, pool = Kept(), Pool(behave)
    work = Schedule(Plan(count), kept, pool, OURS, limits, lambda done, total: None)
    return kept, work.run(kept.missing(Plan(count)), 0), pool


def test_all_jobs_are_done_once_in_whatever_order_results_come() -> None:
    kept, failures, pool = scheduled(50, good)
    assert not failures
    assert kept.results == {index: f"result {index}" for index in range(50)}
    assert sorted(index for group in pool.groups for index in group) == list(range(50))


@pytest.mark.parametrize("event", [(DIED, "killed"), (DONE, Outcome([], "ValueError: no"))])
def test_a_group_that_fails_is_split_so_that_one_bad_job_costs_no_other(event: Any) -> None:
    kept, failures, _ = scheduled(50, lambda indices: event if 7 in indices else good(indices), Limits(None, 2))
    assert [(failure.place, failure.tries) for failure in failures] == [(7, 3)]
    assert sorted(kept.results) == [index for index in range(50) if index != 7]
    assert kept.given_up == [7]


def test_a_job_past_its_limit_is_ended_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: clock.__setitem__(0, clock[0] + 0.5) or clock[0])
    hangs = iter([None])
    behave = lambda indices: next(hangs, good(indices)) if indices == [3] else good(indices)  # noqa: E731
    kept, failures, pool = scheduled(4, behave, Limits(20.0, 1))
    assert not failures
    assert pool.killed == 1
    assert sorted(kept.results) == [0, 1, 2, 3]
    _, failures, pool = scheduled(4, lambda indices: None if indices == [3] else good(indices), Limits(20.0, 1))
    assert [(failure.place, failure.tries, failure.why) for failure in failures] == [
        (3, 2, "ran past its limit of 20 s (--job-timeout)")
    ]
    assert pool.killed == 2


def test_when_too_many_fail_nothing_new_is_started() -> None:
    kept, failures, pool = scheduled(1000, lambda indices: (DONE, Outcome([], "OSError: no")), Limits(None, 0, 5))
    assert 5 <= len(failures) < 20
    assert len(pool.groups) < 20
    assert not kept.results


def test_a_worker_that_does_not_match_ends_the_work_before_it_gets_a_job() -> None:
    pool = Pool(good, ("far away", {"Python": "3.12.1", "code of swarm_env": "abc"}))
    work = Schedule(Plan(3), Kept(), pool, OURS, Limits(), lambda done, total: None)
    with pytest.raises(EngineError, match=r"on far away does not match the driver: Python 3.12.1, the driver has"):
        work.run(iter(range(3)), 0)
    assert not pool.groups


def test_a_hash_is_of_what_the_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    market = swarm_env.load_scenario("baseline", SHORT)
    one = Paired(KIND, {"a": market}, 3, 1)
    other = Paired(KIND, {"other": market}, 5, 1)
    assert [one.job(k).hash for k in range(3)] == [other.job(k).hash for k in range(3)]  # names and sizes aside
    different = [Paired(KIND, {"a": market}, 3, 2), Paired(KIND, {"a": market}, 3, 1, ["toxicity_rate"])]
    different.append(Paired(KIND, {"a": swarm_env.load_scenario(market, {"payoff.h": 0.5})}, 3, 1))
    hashes = [one.job(0).hash, one.job(1).hash, *(each.job(0).hash for each in different)]
    assert len(set(hashes)) == 5
    before = one.job(0).hash
    monkeypatch.setattr(job, "_code", lambda package: "another day's")
    assert one.job(0).hash != before
    monkeypatch.undo()
    monkeypatch.setattr(job, "__version__", "99")
    assert one.job(0).hash != before


def test_a_worker_makes_of_a_job_what_the_plan_makes_of_it() -> None:
    paired = Paired(KIND, {"a": swarm_env.load_scenario("baseline", SHORT)}, 3, 2, ["toxicity_rate"])
    jobs = [paired.job(index) for index in range(3)]
    assert str(run_jobs(jobs)) == str(list(paired.here([0, 1, 2])))
    assert str(run_jobs(jobs[1:2])) == str(list(paired.here([1])))
    wrong = jobs[0]._replace(params={**jobs[0].params, "scenario": "0" * 64})
    with pytest.raises(ValueError, match=r"reads as .* here"):
        run_jobs([wrong])


def test_the_fingerprint_sees_code_and_not_what_only_shows_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "some_package"
    (root / "report").mkdir(parents=True)
    for name in ("__init__.py", "rules.py", "cli.py", "report/page.py", "notes.txt"):
        (root / name).write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = fingerprint.code("some_package")
    for name in ("cli.py", "report/page.py", "notes.txt"):
        (root / name).write_text("x = 2\n")
    assert fingerprint.code("some_package") == before
    (root / "rules.py").write_text("x = 2\n")
    assert fingerprint.code("some_package") != before
    assert fingerprint.code("no_such_package") == fingerprint.MISSING
    ours = fingerprint.about(["swarm_env"])
    assert fingerprint.differences(ours, dict(ours)) == ""
    assert "swarm-env not installed, the driver has" in fingerprint.differences(ours, {"Python": ours["Python"]})


BAD = [
    (["--engine", "slurm"], "--engine: 'slurm' is not known; allowed: local, ray"),
    (["--address", "auto"], "--address is of a Ray cluster"),
    (["--workers", "-1"], "--workers -1 is out of range; allowed: 0.."),
    (["--engine", "ray", "--workers", "0"], "--workers 0 is out of range; allowed: 1.."),
    (["--job-timeout", "0"], "--job-timeout 0 is out of range"),
    (["--retries", "-1"], "--retries -1 is out of range"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_options_that_make_no_sense_are_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["sweep", "--scenario", "baseline", "--grid", "payoff.h=0,1", "--out", "out", *options]
    assert cli.main(line) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"swarm: {said}")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
    assert cli.main(["train", "ppo", "--engine", "ray"]) == 2
    assert "go with --seeds" in capsys.readouterr().err


def test_without_ray_a_line_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    line = ["sweep", "--scenario", "baseline", "--grid", "payoff.h=0,1", "--seeds", "1", "--episodes", "1"]
    assert cli.main([*line, "--out", str(tmp_path / "out"), "--engine", "ray", "--quiet"]) == 2
    assert "swarm: --engine ray needs ray: pip install 'swarm-env[ray]'" in capsys.readouterr().err


def test_an_address_that_does_not_answer_or_answers_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1")

    monkeypatch.setattr(cluster, "load_ray", lambda: SimpleNamespace(is_initialized=lambda: False, init=refuse))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, and nobody listens
        with pytest.raises(EngineError, match=f"127.0.0.1:{port}: nobody answers there"):
            cluster.connect(f"127.0.0.1:{port}")
        taken.listen()
        with pytest.raises(EngineError, match=r"no Ray cluster to be used there: Version mismatch: .* Python: 3.12.1"):
            cluster.connect(f"127.0.0.1:{port}")
    for address in ("somewhere", "host:", "host:0", "host:99999"):
        with pytest.raises(EngineError, match="must be HOST:PORT"):
            cluster.connect(address)


def test_workers_are_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_WORKERS", "3")
    assert (Engine()._size(), Engine(workers=5)._size(), Engine(workers=0).here) == (3, 5, True)
    monkeypatch.setenv("SWARM_WORKERS", "many")
    with pytest.raises(EngineError, match="SWARM_WORKERS=many: must be a whole number"):
        Engine()._size()
    monkeypatch.delenv("SWARM_WORKERS")
    assert Engine()._size() >= 1
    assert not Engine().here


def test_the_pace_counts_what_was_done_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: clock[0])
    pace = screen.Pace()
    assert pace.text(500, 1_000) == ""  # they were there before
    clock[0] += 10.0
    assert pace.text(600, 1_000) == "10/s, 0:00:40 left"


def test_python_objects_play_in_this_process_only() -> None:
    with pytest.raises(ValueError, match="policy mine: a Python object plays in this process only"):
        swarm_env.evaluate({"mine": lambda seen, mask: 0}, "baseline", 1, 1, engine=Engine(workers=1))


def test_importing_the_engine_loads_nothing_heavy() -> None:
    script = "import sys, swarm_env.engine.options, swarm_env.engine.job; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "ray", "pyarrow", "rich", "pydantic"} & set(done.stdout.split())
