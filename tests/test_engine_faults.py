"""The local engine through the command that a user types: any number of workers, and what may befall them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from swarm_env import cli
from swarm_env.engine import store
from tests.engine_work import contents, killed_when, line, prepare


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an evaluation leaves that runs in this process, with nothing in its way."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, folder)
        assert cli.main(line("out", "--workers", "0")) == 0
        return contents(folder / "out")


def enter(patch: pytest.MonkeyPatch, folder: Path, mischief: str = "") -> None:
    prepare(folder, mischief)
    patch.chdir(folder)
    patch.syspath_prepend(str(folder))
    patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    patch.delitem(__import__("sys").modules, "engine_policies", raising=False)


@pytest.mark.parametrize("mischief", ["kill", "raise", "hang"])
def test_a_job_that_fails_once_is_done_again_and_the_bytes_are_the_same(
    mischief: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes]
) -> None:
    enter(monkeypatch, tmp_path, mischief)
    assert cli.main(line("out", "--workers", "2", "--job-timeout", "4")) == 0
    assert (tmp_path / "done").read_text() == f"{mischief}\n"
    assert contents(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(("mischief", "why"), [("kill", "killed by signal 9"), ("raise", "RuntimeError: no such luck")])
def test_a_job_that_always_fails_is_named_and_the_others_are_kept(
    mischief: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    enter(monkeypatch, tmp_path, f"{mischief} always")
    assert cli.main(line("out", "--workers", "2", "--retries", "1")) == 3
    said = capsys.readouterr().err
    assert said.startswith("swarm: 1 of 8 jobs could not be done, the first: coin in ")
    assert why in said
    assert (tmp_path / "done").read_text() == f"{mischief}\n" * 2
    (failure,) = json.loads((tmp_path / "out/failures.json").read_text())["failures"]
    assert (failure["index"], failure["tries"], failure["params"]["seed"]) == (5, 2, 2)
    assert why in failure["why"]
    lines = (tmp_path / "out/units.jsonl").read_text().splitlines()[1:]
    assert sorted(json.loads(unit)["index"] for unit in lines) == [0, 1, 2, 3, 4, 6, 7]
    assert set(contents(tmp_path / "out")) == {"failures.json", "units.jsonl"}  # no results of a part of the work
    (tmp_path / "mischief").unlink()
    assert cli.main(line("out", "--workers", "0")) == 0
    assert contents(tmp_path / "out") == undisturbed


def test_a_driver_that_is_killed_goes_on_and_its_workers_go_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, tmp_path)
    slow = line("out", "--workers", "2", policy="slow")
    assert killed_when(tmp_path, slow, 3, "out") == -signal.SIGKILL
    held = len((tmp_path / "out/units.jsonl").read_bytes().splitlines()) - 1
    assert 3 <= held < 8
    with (tmp_path / "out/units.jsonl").open("ab") as journal:
        journal.write(b'{"index":7,"job":"')  # and cut off in the last line
    assert cli.main(line("out", "--workers", "2", policy="slow")) == 0
    assert cli.main(line("whole", "--workers", "0", policy="slow")) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    before = contents(tmp_path / "out")
    assert cli.main([part for part in slow if part != "--quiet"]) == 0  # a second run starts no worker and says so
    assert contents(tmp_path / "out") == before


def test_a_full_disk_ends_the_command_and_what_was_kept_is_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    enter(monkeypatch, tmp_path)
    written = [0]

    def full(file: Any, content: bytes) -> int:
        """Half of the fifth unit still fits."""
        written[0] += 1
        if written[0] > 5:
            file.write(content[: len(content) // 2])
            raise OSError(28, os.strerror(28))
        return put(file, content)

    put = store._write
    monkeypatch.setattr(store, "_write", full)
    assert cli.main(line("out", "--workers", "2")) == 2
    assert "out: cannot be written (No space left on device); what is there is whole" in capsys.readouterr().err
    assert len((tmp_path / "out/units.jsonl").read_bytes().splitlines()) == 5
    assert (tmp_path / "out/units.jsonl").read_bytes().endswith(b"\n")
    monkeypatch.setattr(store, "_write", put)
    assert cli.main(line("out", "--workers", "0")) == 0
    assert contents(tmp_path / "out") == undisturbed
