"""What can fill a seat: SPECs of the command line, and Python objects, as policies.

A SPEC is, in this order: `scripts`, `random`, the name of an archetype, a `module:function`, or the folder of a
training run. To add a kind of training run, write a loader and enter it into `TRAINED` under the name that the run's
``run.json`` gives as its trainer.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.metrics.tabulate import nearest

SCRIPTS, RANDOM = "scripts", "random"
NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


class PolicyError(ValueError):
    """A policy that cannot be used, or has done what no policy may; one line."""


@dataclass(frozen=True)
class Setting:
    """What a factory is told of the episodes to come; a policy is made anew for each batch of whole episodes."""

    scenario: str  # id
    content_hash: str  # of the scenario
    seats: tuple[str, ...]  # L agents that the policy acts for: rows of a batch are (episode, seat), seats last
    nvec: tuple[int, ...]  # choices of each action head
    feature_names: tuple[str, ...]  # F, of an observation
    seed: int  # 0..2**31-1, the same for every policy: draw from it and nothing else


class Act(Protocol):
    """Observations float32 (n, F) and masks int8 (n, M) in, whole numbers (n, heads) out; only what the mask allows."""

    def __call__(self, observation: NDArray[np.float32], mask: NDArray[np.int8], /) -> Any:
        """One action for each row."""
        ...


Make = Callable[[Setting], Act]


def one_line(error: BaseException) -> str:
    """What an exception says, whatever it is."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@dataclass(frozen=True)
class Policy:
    """A named policy.

    Exactly one of these: `make` builds what acts; `archetype` names the script that fills the seats; neither: the
    scenario's own scripts.
    """

    name: str
    spec: str
    make: Make | None = None
    archetype: str | None = None
    identity: str = ""  # hash of what it is, so that a resumed run goes on with the same
    check: Callable[[Setting, bool], None] | None = None  # raises PolicyError where it does not fit; see `_fits`


def at_random(setting: Setting) -> Act:
    """Draws every legal choice of a head alike, each head by itself."""
    rng, ends = np.random.default_rng(setting.seed), np.cumsum(setting.nvec)[:-1]

    def act(observation: NDArray[np.float32], mask: NDArray[np.int8]) -> NDArray[np.int64]:
        drawn = rng.random(mask.shape) * (mask > 0)
        return np.stack([part.argmax(axis=1) for part in np.split(drawn, ends, axis=1)], axis=1)

    return act


@dataclass(frozen=True)
class Trained:
    """What a loader of `TRAINED` returns."""

    scenario: str  # first 16 digits or more of the content hash of the scenario that it was trained in
    num_features: int
    nvec: tuple[int, ...]
    make: Make
    identity: str


def _ppo(folder: Path) -> Trained:
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
        model.observation_space.shape[0],
        tuple(model.action_space.nvec.tolist()),
        lambda setting: evaluation.Learned(model, setting.seed),
        hashlib.sha256((folder / "policy.safetensors").read_bytes()).hexdigest()[:16],
    )


#: Trainer, as run.json names it -> what loads its runs.
TRAINED: dict[str, Callable[[Path], Trained]] = {"ppo": _ppo}


def _trainers(name: str) -> Any:
    try:
        return import_module(f"trainers.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(f"trained policies need {error.name}: pip install 'swarm-env[train]'") from error


def parse(specs: Sequence[str] | Mapping[str, Any]) -> list[Policy]:
    """Policies from "NAME=SPEC" (or "SPEC") texts, or from a mapping of names to SPECs, callables and factories.

    Raises:
        PolicyError: none at all, a name given twice or out of order, or a SPEC that is nothing known.
    """
    if isinstance(specs, str):
        specs = [specs]
    named = list(specs.items()) if isinstance(specs, Mapping) else [_split(text) for text in specs]
    if not named:
        raise PolicyError("policies: none given; name at least one, as in --policy scripts")
    seen: set[str] = set()
    for name, _ in named:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PolicyError(f"policy name {name!r}: use 1 to 64 letters, digits, _ . + or -")
        if name in seen:
            raise PolicyError(f"policy name {name!r} is given twice; tell them apart by NAME=SPEC")
        seen.add(name)
    return [_policy(name, what) for name, what in named]


def _split(text: str) -> tuple[str, str]:
    if "=" in text:
        name, _, spec = text.partition("=")
        return name, spec
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", Path(text).name)[:64], text


def _policy(name: str, what: Any) -> Policy:
    if not isinstance(what, str | Path):
        if not callable(what):
            raise PolicyError(f"policy {name}: {type(what).__name__} is neither a SPEC nor callable")
        return Policy(name, getattr(what, "__qualname__", type(what).__qualname__), _maker(name, what))
    spec = str(what)
    if spec == SCRIPTS:
        return Policy(name, spec)
    if spec == RANDOM:
        return Policy(name, spec, at_random)
    if spec in ARCHETYPES:
        return Policy(name, spec, archetype=spec)
    if Path(spec).is_dir():
        return _from_run(name, spec)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", spec):
        return _from_entry_point(name, spec)
    known = [SCRIPTS, RANDOM, *ARCHETYPES]
    raise PolicyError(
        f"policy {name}: {spec!r} is no policy; {nearest(spec, known).rstrip('?')}; "
        "allowed: scripts, random, an archetype, module:function, or the folder of a training run"
    )


def _from_entry_point(name: str, spec: str) -> Policy:
    module_name, _, attribute = spec.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # as python -m has it: modules where the command is given
    try:
        found: Any = import_module(module_name)
    except Exception as error:
        raise PolicyError(f"policy {name}: cannot import {module_name!r} ({one_line(error)})") from error
    origin = getattr(found, "__file__", None)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise PolicyError(f"policy {name}: {module_name} has no {part!r}; {nearest(part, dir(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise PolicyError(f"policy {name}: {spec} is {type(found).__name__}, not callable")
    content = Path(origin).read_bytes() if origin and Path(origin).is_file() else b""
    return Policy(name, spec, _maker(name, found), identity=hashlib.sha256(content).hexdigest()[:16])


def _maker(name: str, what: Any) -> Make:
    """A callable that takes observation and mask acts itself; one that takes a `Setting` makes what acts."""
    if _takes(what, 2):
        return lambda setting: what
    if not _takes(what, 1):
        raise PolicyError(
            f"policy {name}: takes neither (observation, mask), as a policy does, nor (setting), as a factory does"
        )

    def make(setting: Setting) -> Act:
        made = what(setting)
        if not callable(made) or not _takes(made, 2):
            raise PolicyError(f"policy {name}: its factory returned no callable of (observation, mask)")
        return made  # type: ignore[no-any-return]

    return make


def _takes(what: Any, count: int) -> bool:
    try:
        inspect.signature(what).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # no signature to be had, as of some built-ins: the call will tell
        return count == 2
    return True


def _from_run(name: str, spec: str) -> Policy:
    """The policy of a training run's folder."""
    folder = Path(spec)
    try:
        trainer = json.loads((folder / "run.json").read_text(encoding="utf-8"))["identity"]["trainer"]
    except OSError as error:
        raise PolicyError(f"policy {name}: {folder}: holds no training run (run.json: {error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"policy {name}: {folder / 'run.json'}: damaged, not what a training run writes") from error
    if trainer not in TRAINED:
        raise PolicyError(f"policy {name}: {folder}: trained by {trainer!r}; {nearest(str(trainer), TRAINED)}")
    try:
        trained = TRAINED[trainer](folder)
    except PolicyError as error:
        raise PolicyError(f"policy {name}: {error}") from error
    except ValueError as error:
        raise PolicyError(f"policy {name}: {error}") from error

    def check(setting: Setting, transfer: bool) -> None:
        _fits(name, folder, trained, setting, transfer)

    return Policy(name, spec, trained.make, identity=trained.identity, check=check)


def _fits(name: str, folder: Path, trained: Trained, setting: Setting, transfer: bool) -> None:
    """Refuse a scenario of another layout of observations or actions; and any other one, unless transfer is on."""
    ours, theirs = (len(setting.feature_names), setting.nvec), (trained.num_features, trained.nvec)
    if ours != theirs:
        raise PolicyError(
            f"policy {name}: {folder} has another layout: trained with {theirs[0]} features and actions "
            f"{list(theirs[1])}, {setting.scenario} has {ours[0]} and {list(ours[1])}"
        )
    if not transfer and not setting.content_hash.startswith(trained.scenario):
        raise PolicyError(
            f"policy {name}: {folder} was trained in another scenario ({trained.scenario}) than {setting.scenario} "
            f"({setting.content_hash[:16]}); --transfer judges it there all the same"
        )
