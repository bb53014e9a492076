"""Policies of training runs: SPEC is FOLDER, or FOLDER#PART for another part of what the run left.

To add a kind of training run, write a loader and enter it into `TRAINED` under the name that the run's ``run.json``
gives as its trainer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from swarm_env.evaluation.protocol import Governing, Make, Policy, PolicyError, Setting
from swarm_env.metrics.tabulate import nearest


class Layout(NamedTuple):
    """What an acting policy was trained with."""

    num_features: int
    nvec: tuple[int, ...]


@dataclass(frozen=True)
class Trained:
    """What a loader of `TRAINED` returns."""

    scenario: str  # first 16 digits or more of the content hash of the scenario that it was trained in
    layout: Layout | None  # None: it governs, and what it is shown does not depend on the scenario
    make: Make
    identity: str


class Kind(NamedTuple):
    """A kind of training run."""

    load: Callable[[Path, str], Trained]  # folder and part; "" is what the training was for
    parts: tuple[str, ...] | None = ()  # what else can be asked for; None: it depends on the run, and `load` knows


def _ppo(folder: Path, part: str) -> Trained:
    """A run of `swarm train ppo`: its policy, drawing its actions."""
    checkpoint, evaluation, ppo = (_trainers(name) for name in ("checkpoint", "evaluation", "ppo"))
    kept = checkpoint.read(folder / "policy.safetensors")
    said = kept.state.get("identity") if isinstance(kept.state, dict) else None
    if not isinstance(said, dict) or said.get("trainer") != "ppo" or not isinstance(said.get("scenario"), str):
        raise PolicyError(f"{folder / 'policy.safetensors'}: not what 'swarm train ppo' writes")
    try:
        model = ppo.load(folder).model
    except (RuntimeError, KeyError) as error:  # weights of another shape than the settings ask for
        raise PolicyError(f"{folder}: policy.safetensors does not fit config.yaml") from error
    return Trained(
        said["scenario"],
        Layout(model.observation_space.shape[0], tuple(model.action_space.nvec.tolist())),
        lambda setting: evaluation.Learned(model, setting.seed),
        _digest(folder / "policy.safetensors"),
    )


#: Parts of a WaltzRL run: file and whether its overseer takes part.
WALTZ: dict[str, tuple[str, bool]] = {
    "": ("policy", True),
    "conversation": ("policy", False),
    "base": ("base", True),
    "base-conversation": ("base", False),
}


def _waltz(folder: Path, part: str) -> Trained:
    """A run of `swarm train waltz`: its pair, or its conversation policy alone, as trained or as training started."""
    pairs, governed = _trainers("pairs"), _trainers("governed")
    which, overseen = WALTZ[part]
    pair = pairs.load(folder, which)
    if not overseen:
        pair = pair._replace(feedback=None)
    return Trained(
        pair.identity["scenario"],
        None,
        lambda setting: Governing(governed.deployed(pair.rules, pair.decider(setting.seed))),
        _digest(folder / f"{which}.safetensors"),
    )


def _macpo(folder: Path, part: str) -> Trained:
    """A run of `swarm train macpo`: its student, or another of its policies by name, such as teacher_1."""
    weak_to_strong, governed = _trainers("weak_to_strong"), _trainers("governed")
    policy = weak_to_strong.load(folder, part or "student")
    return Trained(
        policy.identity["scenario"],
        None,
        lambda setting: Governing(governed.deployed(policy.rules, policy.decider(setting.seed))),
        _digest(folder / "policy.safetensors"),
    )


#: Trainer, as run.json names it -> what its runs hold.
TRAINED: dict[str, Kind] = {
    "ppo": Kind(_ppo),
    "waltz": Kind(_waltz, tuple(part for part in WALTZ if part)),
    "macpo": Kind(_macpo, None),
}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _trainers(name: str) -> Any:
    try:
        return import_module(f"trainers.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(f"trained policies need {error.name}: pip install 'swarm-env[train]'") from error


def folder_of(spec: str) -> tuple[Path, str] | None:
    """(folder, part) of FOLDER or FOLDER#PART; None if there is no such folder."""
    if Path(spec).is_dir():
        return Path(spec), ""
    folder, mark, part = spec.rpartition("#")
    return (Path(folder), part) if mark and folder and Path(folder).is_dir() else None


def absolute(spec: str) -> str:
    """FOLDER or FOLDER#PART for somebody who looks from another folder; any other SPEC as it is."""
    found = folder_of(spec)
    return spec if found is None else f"{found[0].resolve()}{'#' * bool(found[1])}{found[1]}"


def from_run(name: str, spec: str, folder: Path, part: str) -> Policy:
    """The policy of a training run's folder.

    Raises:
        PolicyError: no training run, one of no kind in `TRAINED`, a part that it has not, or a damaged file.
    """
    try:
        trainer = json.loads((folder / "run.json").read_text(encoding="utf-8"))["identity"]["trainer"]
    except OSError as error:
        raise PolicyError(f"policy {name}: {folder}: holds no training run (run.json: {error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"policy {name}: {folder / 'run.json'}: damaged, not what a training run writes") from error
    if not isinstance(trainer, str) or trainer not in TRAINED:
        raise PolicyError(f"policy {name}: {folder}: trained by {trainer!r}; {nearest(str(trainer), TRAINED)}")
    kind = TRAINED[trainer]
    if kind.parts is not None and part not in ("", *kind.parts):
        known = nearest(part, kind.parts) if kind.parts else "it has none"
        raise PolicyError(f"policy {name}: {folder}, trained by {trainer}: no part {part!r}; {known}")
    try:
        trained = kind.load(folder, part)
    except ValueError as error:
        raise PolicyError(f"policy {name}: {error}") from error

    def check(setting: Setting, transfer: bool) -> None:
        _fits(name, folder, trained, setting, transfer)

    return Policy(name, spec, trained.make, identity=trained.identity, check=check)


def _fits(name: str, folder: Path, trained: Trained, setting: Setting, transfer: bool) -> None:
    """Refuse a scenario of another layout of observations or actions; and any other one, unless transfer is on."""
    ours, theirs = Layout(len(setting.feature_names), setting.nvec), trained.layout
    if theirs is not None and ours != theirs:
        raise PolicyError(
            f"policy {name}: {folder} has another layout: trained with {theirs.num_features} features and actions "
            f"{list(theirs.nvec)}, {setting.scenario} has {ours.num_features} and {list(ours.nvec)}"
        )
    if not transfer and not setting.content_hash.startswith(trained.scenario):
        raise PolicyError(
            f"policy {name}: {folder} was trained in another scenario ({trained.scenario}) than {setting.scenario} "
            f"({setting.content_hash[:16]}); --transfer judges it there all the same"
        )
