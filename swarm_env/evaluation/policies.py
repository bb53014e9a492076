"""What can fill a seat: SPECs of the command line, and Python objects, as policies.

A SPEC is, in this order: `scripts`, `random`, the name of an archetype, the folder of a training run (or a part of it,
FOLDER#PART), or a `module:function`.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.evaluation.protocol import Act, Governing, Make, Policy, PolicyError, Setting, marked, one_line
from swarm_env.evaluation.trained import folder_of, from_run
from swarm_env.metrics.tabulate import nearest

SCRIPTS, RANDOM = "scripts", "random"
NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


def at_random(setting: Setting) -> Act:
    """Draws every legal choice of a head alike, each head by itself."""
    rng, ends = np.random.default_rng(setting.seed), np.cumsum(setting.nvec)[:-1]

    def act(observation: NDArray[np.float32], mask: NDArray[np.int8]) -> NDArray[np.int64]:
        drawn = rng.random(mask.shape) * (mask > 0)
        return np.stack([part.argmax(axis=1) for part in np.split(drawn, ends, axis=1)], axis=1)

    return act


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
    run = folder_of(spec)
    if run is not None:
        return from_run(name, spec, *run)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", spec):
        return _from_entry_point(name, spec)
    known = [SCRIPTS, RANDOM, *ARCHETYPES]
    raise PolicyError(
        f"policy {name}: {spec!r} is no policy; {nearest(spec, known).rstrip('?')}; "
        "allowed: scripts, random, an archetype, module:function, the folder of a training run, or FOLDER#PART"
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
    """A callable of two arguments acts or governs itself; one that takes a `Setting` makes what does."""
    if _takes(what, 2):
        itself = Governing(what) if marked(what) else what
        return lambda setting: itself
    if not _takes(what, 1):
        raise PolicyError(
            f"policy {name}: takes neither (observation, mask), as a policy does, nor (view, ledger), as one that "
            "governs, nor (setting), as a factory does"
        )

    def make(setting: Setting) -> Act | Governing:
        made = what(setting)
        if not callable(made) or not _takes(made, 2):
            raise PolicyError(
                f"policy {name}: its factory returned no callable of (observation, mask) or (view, ledger)"
            )
        return Governing(made) if marked(what) or marked(made) else made

    return make


def _takes(what: Any, count: int) -> bool:
    try:
        inspect.signature(what).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # no signature to be had, as of some built-ins: the call will tell
        return count == 2
    return True
