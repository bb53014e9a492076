"""The Ray engine on a real cluster of this machine: the local engine's bytes, whatever befalls a worker or the driver.

`make test-ray`; not part of the default suite.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine_work import ROOT, command, contents, environment, killed_when, line, prepare

pytest.importorskip("ray")
# clusters and drivers of these tests, and nobody else: Ray takes a token from the environment of both
os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def cluster(folder: Path, path: str) -> Iterator[str]:
    """A head node of two cores whose workers look for modules in `path`; gives its address. Ends it, and it alone."""
    port, temporary = free_port(), Path(tempfile.mkdtemp(prefix="ray_"))  # short: sockets lie in it
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    start += ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000", "--disable-usage-stats"]
    start += [f"--temp-dir={temporary}", "--node-ip-address=127.0.0.1"]
    quiet = {**environment(folder), "PYTHONPATH": path, "RAY_DISABLE_IMPORT_WARNING": "1"}
    with (folder / "ray.log").open("w") as log:
        head = subprocess.Popen(start, env=quiet, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            _wait_for(port, head, folder / "ray.log")
            yield f"127.0.0.1:{port}"
        finally:
            head.send_signal(signal.SIGTERM)  # --block: ends what it started
            try:
                head.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
            shutil.rmtree(temporary, ignore_errors=True)


def _wait_for(port: int, head: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if head.poll() is not None:
            raise RuntimeError(log.read_text())
        if "Ray runtime started" in log.read_text():
            return
        time.sleep(0.1)
    raise RuntimeError(f"no answer on port {port}: {log.read_text()}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the policies lie, on the path of driver and workers, and all commands run."""
    made = tmp_path_factory.mktemp("ray")
    prepare(made)
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with cluster(folder, environment(folder)["PYTHONPATH"]) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    """What the same evaluation leaves that the local engine plays on two workers."""
    done = command(folder, *line("local", "--workers", "2"))
    assert done.returncode == 0, done.stderr
    return contents(folder / "local")


def on_ray(address: str, out: str, *more: str, policy: str = "coin") -> list[str]:
    return line(out, "--engine", "ray", "--address", address, *more, policy=policy)


def test_the_bytes_are_those_of_the_local_engine(folder: Path, address: str, undisturbed: dict[str, bytes]) -> None:
    done = command(folder, *on_ray(address, "plain"))
    assert done.returncode == 0, done.stderr
    assert contents(folder / "plain") == undisturbed
    again = command(folder, *[part for part in on_ray("127.0.0.1:1", "plain") if part != "--quiet"])
    assert again.returncode == 0, again.stderr  # all is there: the cluster is not even asked
    assert "8 of 8 are there already: nothing to do" in again.stderr


@pytest.mark.parametrize("mischief", ["kill", "raise", "hang", "full"])
def test_a_job_that_fails_once_is_done_again(
    mischief: str, folder: Path, address: str, undisturbed: dict[str, bytes]
) -> None:
    prepare(folder, mischief)
    done = command(folder, *on_ray(address, mischief, "--job-timeout", "8"))
    assert done.returncode == 0, done.stderr
    assert contents(folder / mischief) == undisturbed
    assert (folder / "done").read_text().splitlines()[-1] == mischief


@pytest.mark.parametrize(
    ("mischief", "why"),
    [("kill", "its worker died"), ("raise", "RuntimeError: no such luck"), ("hang", "ran past its limit of 5 s")],
)
def test_a_job_that_always_fails_is_named_and_the_others_are_kept(
    mischief: str, why: str, folder: Path, address: str, undisturbed: dict[str, bytes]
) -> None:
    prepare(folder, f"{mischief} always")
    out = f"always_{mischief}"
    done = command(folder, *on_ray(address, out, "--retries", "1", "--job-timeout", "5"))
    assert done.returncode == 3, done.stderr
    assert why in done.stderr
    (failure,) = json.loads((folder / out / "failures.json").read_text())["failures"]
    assert (failure["index"], failure["tries"]) == (5, 2)
    assert len((folder / out / "units.jsonl").read_bytes().splitlines()) == 8
    (folder / "mischief").unlink()
    done = command(folder, *line(out, "--workers", "1"))  # the other engine goes on where this one stopped
    assert done.returncode == 0, done.stderr
    assert contents(folder / out) == undisturbed


def test_a_driver_that_is_killed_goes_on_where_it_stopped(folder: Path, address: str) -> None:
    slow = on_ray(address, "slow", policy="slow")
    assert killed_when(folder, slow, 3, "slow") == -signal.SIGKILL
    assert 3 <= len((folder / "slow/units.jsonl").read_bytes().splitlines()) - 1 < 8
    assert command(folder, *slow).returncode == 0
    assert command(folder, *line("slow_here", "--workers", "0", policy="slow")).returncode == 0
    assert contents(folder / "slow") == contents(folder / "slow_here")


def test_a_cluster_of_its_own_is_started_and_ended(folder: Path, undisturbed: dict[str, bytes]) -> None:
    done = command(folder, *line("own", "--engine", "ray", "--workers", "1"))
    assert done.returncode == 0, done.stderr
    assert contents(folder / "own") == undisturbed


def test_workers_of_other_code_are_refused_before_any_job(folder: Path, tmp_path: Path) -> None:
    for package in ("swarm_env", "trainers"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    with (tmp_path / "swarm_env/batch.py").open("a") as file:
        file.write("\n# another day's work\n")
    with cluster(tmp_path, os.pathsep.join((str(tmp_path), str(folder)))) as other:
        done = command(folder, *on_ray(other, "refused"))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "does not match the driver: code of swarm_env" in done.stderr
    assert len((folder / "refused/units.jsonl").read_bytes().splitlines()) == 1  # not one unit


def test_an_address_where_nobody_answers_is_one_clear_line(folder: Path) -> None:
    for address, said in ((f"127.0.0.1:{free_port()}", "nobody answers there"), ("here", "must be HOST:PORT")):
        done = command(folder, *on_ray(address, "nobody"))
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert said in done.stderr
