"""A training run's folder: settings, versions, metrics, TensorBoard, checkpoints. Knows nothing of what is trained.

    <folder>/config.yaml      settings as used
             run.json         what the run is (its identity), versions, machine, start
             metrics.csv      a row for each logged step; no clock in it, so that equal runs leave equal bytes
             tensorboard/     the same numbers, and the speed
             checkpoints/     step_<n>.safetensors, the newest few

`Run.create` starts a folder, `Run.resume` goes on in one: `load` gives the newest checkpoint and takes back what
metrics.csv says beyond it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainers import checkpoint
from trainers.checkpoint import Checkpoint, RunError, State, Tensors, clear_unfinished, write_whole

PACKAGES = ("swarm-env", "torch", "numpy", "numba", "stable-baselines3", "sb3-contrib", "safetensors")
KEPT = 2  #: checkpoints: the newest, and one to fall back on


def versions() -> dict[str, str]:
    """Python and the packages that results depend on, those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Run:
    """One run in its folder; a context manager that closes its files.

    Attributes:
        folder: where everything is.
        identity: what must agree for a checkpoint to be this run's: short texts, such as hashes, by name.
        leads: whether this process writes; the others of a run on several processes read, and are silent.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], *, leads: bool = True) -> None:
        self.folder, self.identity, self.leads = folder, dict(identity), leads
        self._columns: list[str] = []
        self._board: Any = None

    @classmethod
    def create(cls, folder: str | os.PathLike[str], config: Mapping[str, Any], identity: Mapping[str, str]) -> Self:
        """Start a run in a new or empty folder.

        Raises:
            RunError: a folder that already holds something, or cannot be written.
        """
        run = cls(Path(folder), identity)
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            if any(run.folder.iterdir()):
                raise RunError(f"{folder}: not empty; go on with it by --resume {folder}, or choose another --out")
            write_whole(run.folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())
            write_whole(run.folder / "run.json", _text({"identity": run.identity, **about()}))
        except OSError as error:
            raise RunError(f"{folder}: cannot be written ({error.strerror})") from error
        return run

    @classmethod
    def resume(cls, folder: str | os.PathLike[str], identity: Mapping[str, str]) -> Self:
        """Go on with the run in a folder; what a killed one was writing goes.

        Raises:
            RunError: no run there, or one of another identity.
        """
        path = Path(folder) / "run.json"
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))["identity"]
        except OSError as error:
            raise RunError(f"{folder}: holds no run ({path.name}: {error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged, not what a run wrote") from error
        _same(str(folder), theirs, identity)
        clear_unfinished(Path(folder))
        return cls(Path(folder), identity)

    @classmethod
    def follow(cls, folder: str | os.PathLike[str], identity: Mapping[str, str]) -> Self:
        """The run that another process leads."""
        return cls(Path(folder), identity, leads=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    @property
    def table(self) -> Path:
        """metrics.csv."""
        return self.folder / "metrics.csv"

    def checkpoints(self) -> list[Path]:
        """Checkpoint files, oldest first."""
        return sorted((self.folder / "checkpoints").glob("step_*.safetensors"))

    def log(self, step: int, values: Mapping[str, float], **clocked: float) -> None:
        """Log a step's values, always of the same names; undefined ones are NaN (an empty cell).

        `clocked` are values that depend on the machine's clock: they go to TensorBoard alone.
        """
        if not self.leads:
            return
        if not self._columns:
            self._open_table(list(values))
        if list(values) != self._columns:
            raise ValueError(f"log: expected {self._columns}, got {list(values)}")
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([step, *(_cell(value) for value in values.values())])
        with self.table.open("a", encoding="utf-8") as file:
            file.write(line.getvalue())
        for name, value in {**values, **{f"time/{k}": v for k, v in clocked.items()}}.items():
            if not math.isnan(value):
                self._writer(step).add_scalar(name, value, step)

    def _open_table(self, columns: list[str]) -> None:
        if not self.table.exists():
            write_whole(self.table, (",".join(["step", *columns]) + "\n").encode())
        self._columns = columns

    def _writer(self, step: int) -> Any:
        if self._board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError("training logs need tensorboard: pip install 'swarm-env[train]'") from error
            # a resumed run takes back what the killed one had shown beyond its checkpoint
            self._board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        return self._board

    def save(self, step: int, tensors: Tensors, state: State) -> None:
        """Write the checkpoint of a step, with the global generators' states; keep the newest KEPT."""
        if not self.leads:
            return
        randomness, drawn = checkpoint.pack_randomness()
        size = self.table.stat().st_size if self.table.exists() else 0
        whole = {"step": step, "identity": self.identity, "state": state, "random": drawn, "metrics_bytes": size}
        path = self.folder / "checkpoints" / f"step_{step:012d}.safetensors"
        checkpoint.write(path, {**tensors, **randomness}, whole)
        for old in self.checkpoints()[:-KEPT]:
            old.unlink()

    def load(self) -> Checkpoint | None:
        """The newest checkpoint, its `state` as given to `save`; None if the run has none yet.

        Sets the global generators, and cuts metrics.csv back to where it was.

        Raises:
            RunError: a checkpoint that is damaged or of another run; nothing is changed then.
        """
        found = self.checkpoints()
        if not found:
            self._cut(0)
            return None
        kept = checkpoint.read(found[-1])
        _same(str(kept.path), kept.state["identity"], self.identity)
        self._cut(kept.state["metrics_bytes"])
        checkpoint.unpack_randomness(kept.tensors, kept.state["random"])
        return kept._replace(state=kept.state["state"])

    def write(self, name: str, tensors: Tensors) -> None:
        """Write a file of weights, named with the run's identity; it appears whole."""
        if self.leads:
            checkpoint.write(self.folder / name, tensors, {"identity": self.identity})

    def _cut(self, size: int) -> None:
        if not self.leads:
            return
        there = self.table.stat().st_size if self.table.exists() else 0
        if there < size:
            raise RunError(f"{self.table}: shorter than when the checkpoint was written ({there} of {size} bytes)")
        if self.table.exists():
            os.truncate(self.table, size)
            if not size:
                self.table.unlink()

    @contextmanager
    def progress(self, total: int, done: int, unit: str, quiet: bool = False) -> Iterator[Any]:
        """A bar on stderr; yields show(done, text)."""
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True, quiet=quiet or not self.leads), transient=True) as bar:
            task = bar.add_task(self.folder.name, total=total, completed=done, text="")
            yield lambda now, text="": bar.update(task, completed=now, text=text)


def _same(what: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    differing = [name for name in ours if theirs.get(name) != ours[name]]
    if differing:
        pairs = ", ".join(f"{name} {theirs.get(name, 'none')}, not {ours[name]}" for name in differing)
        raise RunError(f"{what}: belongs to another run: {pairs}")


def about() -> dict[str, Any]:
    """Versions, kind of machine, and when."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"versions": versions(), "machine": platform.machine(), "cores": os.cpu_count(), "started": started}


def _cell(value: float) -> str:
    """Shortest text that reads back as the same number; undefined is empty."""
    return "" if math.isnan(value) else repr(float(value))


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
