"""What work keeps: a journal and parts of Parquet, the same bytes in any order, whole after any stop."""

from __future__ import annotations

import math
import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm_env.engine import journal, parts
from swarm_env.engine.job import Job
from swarm_env.engine.journal import Kind
from swarm_env.engine.parts import PART
from swarm_env.engine.store import Store
from swarm_env.evaluation import results
from swarm_env.recording import RecordingError

pytest.importorskip("pyarrow", reason="parts are Parquet")
KIND = Kind("trial", "trial/1", ("arm", "seed"))


class Plan:
    """Seeds of one arm."""

    job_kind = "paired"

    def __init__(self, count: int) -> None:
        self.num_units = count

    def job(self, index: int) -> Job:
        return Job("paired", {"seed": index}, {})

    title = groups = here = None  # type: ignore[assignment]


def unit(index: int, metrics: int = 6) -> dict[str, Any]:
    drawn = np.random.default_rng(index).normal(size=metrics).tolist()
    values = {f"metric_{k}": value for k, value in enumerate(drawn)}
    values["metric_1"] = math.nan if index % 3 == 0 else values["metric_1"]
    roles = {"honest": drawn[0] / 3.0, "adversarial": math.nan}
    criteria = {"toxicity": {"bound": 0.35, "value": drawn[1], "passed": 1.0}} if index % 2 else {}
    return {"arm": "a", "seed": index, "episodes": 4, "metrics": values, "roles": roles, "criteria": criteria}


def opened(folder: Path | None, count: int, **identity: Any) -> Store:
    return Store(folder, {"name": "x", **identity}, KIND, Plan(count))  # type: ignore[arg-type]


def fill(folder: Path, count: int, order: list[int]) -> dict[str, bytes]:
    with closing(opened(folder, count)) as kept:
        for index in order:
            kept.add(index, Plan(count).job(index), unit(index))
        kept.finish()
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.mark.parametrize("count", [50, 2 * PART + 100])
def test_any_order_leaves_the_same_bytes_and_every_bit(count: int, tmp_path: Path) -> None:
    shuffled = list(range(count))
    random.Random(0).shuffle(shuffled)
    straight = fill(tmp_path / "a", count, list(range(count)))
    assert fill(tmp_path / "b", count, shuffled) == straight
    names = {f"units/part-{k:06d}.parquet" for k in range(3 if count > PART else 0)}
    assert set(straight) == {"units.jsonl", *names}
    with closing(opened(tmp_path / "b", count)) as kept:
        assert len(kept) == count
        assert not list(kept.missing(kept.plan))
        assert str(list(kept.units())) == str([unit(index) for index in range(count)])  # repr: to the bit, NaN too
    assert contents(tmp_path / "b") == straight


def test_parts_have_one_schema_that_others_can_read(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    fill(tmp_path, PART + 1, list(range(PART + 1)))
    table = parquet.read_table(tmp_path / "units")
    assert tuple(table.column_names) == parts.COLUMNS
    rows = table.filter((np.array(table["section"]) == "metrics") & (np.array(table["metric"]) == "metric_0"))
    assert rows["index"].to_pylist() == rows["seed"].to_pylist() == list(range(PART + 1))
    assert rows["value"].to_pylist() == [unit(index)["metrics"]["metric_0"] for index in range(PART + 1)]
    assert set(rows["label"].to_pylist()) == {"a"}


def test_stopped_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """A copy of the folder after every write is what a kill at that moment leaves."""
    count = PART + 40
    whole = fill(tmp_path / "whole", count, list(range(count)))
    order = list(range(count))
    random.Random(1).shuffle(order)
    for stop in (1, PART - 1, count - 10, count - 1):
        folder = tmp_path / f"stopped_{stop}"
        with closing(opened(folder, count)) as kept:
            for index in order[:stop]:
                kept.add(index, Plan(count).job(index), unit(index))
        with (folder / "units.jsonl").open("ab") as file:
            file.write(b'{"index":3,"job":"cut off')
        temporary = folder / "units/.part-000000.parquet.99"  # a part that was being written
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_bytes(b"PAR1")
        with closing(opened(folder, count)) as kept:
            assert len(kept) == stop
            left = list(kept.missing(kept.plan))
            assert left == sorted(order[stop:])
            for index in left:
                kept.add(index, Plan(count).job(index), unit(index))
            kept.finish()
        temporary.unlink()
        assert contents(folder) == whole


def test_a_part_that_a_full_disk_refused_is_written_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = PART + 1
    whole = fill(tmp_path / "whole", count, list(range(count)))
    with monkeypatch.context() as patch, closing(opened(tmp_path / "full", count)) as kept:
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
        for index in range(PART - 1):
            kept.add(index, Plan(count).job(index), unit(index))
        with pytest.raises(RecordingError, match="No space left on device"):
            kept.add(PART - 1, Plan(count).job(PART - 1), unit(PART - 1))
    assert set(contents(tmp_path / "full")) == {"units.jsonl"}
    with closing(opened(tmp_path / "full", count)) as kept:
        assert list(kept.missing(kept.plan)) == [PART]
        kept.add(PART, Plan(count).job(PART), unit(PART))
        kept.finish()
    assert contents(tmp_path / "full") == whole


def test_damage_and_other_work_are_refused(tmp_path: Path) -> None:
    count = PART + 1
    fill(tmp_path, count, list(range(count)))
    part, other = (tmp_path / f"units/part-00000{k}.parquet" for k in (0, 1))
    good = part.read_bytes()
    for content, said in ((good[:-100], "damaged, no Parquet file"), (other.read_bytes(), None)):
        part.write_bytes(content)
        if said is None:  # whole, of other jobs: as good as none
            with closing(opened(tmp_path, count)) as kept:
                assert len(list(kept.missing(kept.plan))) == PART
            continue
        with pytest.raises(ValueError, match=f"part-000000.parquet: {said}; remove it, and its units run again"):
            opened(tmp_path, count)
    part.write_bytes(good[:2000] + bytes(50) + good[2050:])
    with closing(opened(tmp_path, count)) as kept, pytest.raises(ValueError, match=r"part-000000.parquet: damaged"):
        list(kept.units())
    part.write_bytes(good)
    with pytest.raises(ValueError, match='belongs to another trial: name "x", not "y"'):
        opened(tmp_path, count, name="y")
    head = (tmp_path / "units.jsonl").read_bytes()
    (tmp_path / "units.jsonl").write_bytes(head.replace(b'"code":"', b'"code":"0'))
    with pytest.raises(ValueError, match="was computed by other code of this package"):
        opened(tmp_path, count)


def test_what_is_there_can_be_read_while_others_write(tmp_path: Path) -> None:
    count = PART + 10
    with closing(opened(tmp_path, count)) as kept:
        for index in range(5, count):
            kept.add(index, Plan(count).job(index), unit(index))
        with (tmp_path / "units.jsonl").open("ab") as file:
            file.write(b'{"index":0,"job":')
        there = [each.place for each in journal.partial(tmp_path)]
    assert there == list(range(5, count))
    with pytest.raises(ValueError, match="holds no units"):
        list(journal.partial(tmp_path / "nothing"))


def test_reading_and_merging_hold_no_more_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the work: four times the units, about the same peak."""
    monkeypatch.setattr(results, "ROWS", 2_000)
    monkeypatch.setattr(parts, "ROWS", 2_000)
    fill(tmp_path / "small", 2 * PART, list(range(2 * PART)))
    fill(tmp_path / "large", 8 * PART, list(range(8 * PART)))

    def rows(kept: Store) -> Iterator[tuple[Any, ...]]:
        for each in kept.units():
            for metric, value in each["metrics"].items():
                yield each["seed"], metric, value

    def peak(name: str, count: int) -> int:
        with closing(opened(tmp_path / name, count)) as kept:
            tracemalloc.start()
            results.write_long(tmp_path / name, ("seed", "metric", "value"), rows(kept))
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    small = peak("small", 2 * PART)
    assert peak("large", 8 * PART) < 1.2 * small
    assert (tmp_path / "large/runs.csv").read_bytes().count(b"\n") == 8 * PART * 6 + 1


def test_without_pyarrow_the_journal_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "available", lambda: False)
    count = PART + 5
    assert set(fill(tmp_path, count, list(reversed(range(count))))) == {"units.jsonl"}
    with closing(opened(tmp_path, count)) as kept:
        assert [each["seed"] for each in kept.units()] == list(range(count))
