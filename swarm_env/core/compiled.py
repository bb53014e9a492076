"""How a rule becomes machine code: `rule` for what is called from kernels, `kernel` for what Python calls.

Numba's own cache looks at the file of the kernel alone and would run stale code after an edit in a rule it calls,
so kernels are cached in a folder named by a hash of all sources under ``swarm_env/core``. With
``NUMBA_DISABLE_JIT=1`` both decorators return the plain function.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import config as numba_config
from numba.core.registry import CPUDispatcher

F = TypeVar("F", bound=Callable[..., object])

#: True when rules run as machine code (the default); False under NUMBA_DISABLE_JIT=1.
JIT: bool = not getattr(numba_config, "DISABLE_JIT", 0)


def _source_hash() -> str:
    """Hash of everything that machine code depends on: the core's sources, Numba, Python."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """NUMBA_CACHE_DIR or the user's cache folder; if neither can be written, a fresh folder that nobody else knows."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for base in (os.environ.get("NUMBA_CACHE_DIR"), home):
        if not base:
            continue
        folder = Path(base) / "swarm_env" / _source_hash()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="swarm_env_"))


CACHE_FOLDER: Path = _cache_folder()


class Rule(CPUDispatcher):
    """A rule: machine code inside kernels, the plain function when Python calls it.

    Kernels need no entry from Python for each of some two hundred rules, and making these entries would take as long as
    compiling the rules; tests, debuggers and the odd caller get the function as it is written.
    """

    plain: Callable[..., object] | None = None

    def __call__(self, *args: object) -> object:
        """Run the function as Python."""
        return (self.plain or self.py_func)(*args)


def rule(function: F) -> F:
    """Make a rule. IEEE division: a rule that could divide by zero must say what it returns. No allocation."""
    return _rule(function, "never")


def shorthand(function: F) -> F:
    """A rule that may return records: it is copied into its callers."""
    return _rule(function, "always")


def _rule(function: F, inline: str) -> F:
    if not JIT:
        return function
    # one machine-code function a kernel: rules that are called pass their arguments through memory, at twice the time
    options: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    options |= {"error_model": "numpy", "inline": inline}
    dispatcher: Any = numba.njit(**options)(function)
    dispatcher.__class__ = Rule
    return cast(F, dispatcher)


@rule
def natural(index: int) -> Any:
    """An index known not to be negative: machine code then does not ask whether it counts from the end."""
    return np.uint64(index)


def alternative(compiled: F, plain: F) -> F:
    """The rule `compiled`, for which Python calls `plain`."""
    if not JIT:
        return plain
    cast(Rule, compiled).plain = plain
    return compiled


def kernel(function: F) -> F:
    """Compile an entry point: it releases the GIL, allocates nothing and is cached on disk."""
    if not JIT:
        return function
    config: Any = numba_config
    before, config.CACHE_DIR = config.CACHE_DIR, str(CACHE_FOLDER)
    try:
        options: dict[str, Any] = {"no_cfunc_wrapper": True, "_nrt": False}
        return cast(F, numba.njit(error_model="numpy", nogil=True, cache=True, **options)(function))
    finally:
        config.CACHE_DIR = before


class Unchecked:
    """A kernel for callers whose arguments never change in type, number of axes and memory layout.

    Numba looks at the type of every table at every call; here it does so once, in the first call of the process. Of a
    step of a single market the look is a seventh. A caller that later passes another type, or an array that is not
    contiguous as the first ones were, reads and writes memory that is not its own.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._entry: Any = None if JIT else kernel

    def __call__(self, *arguments: object) -> None:
        """Run the kernel."""
        if self._entry is None:
            self._entry = self._kernel.compile(tuple(map(numba.typeof, arguments)))
        self._entry(*arguments)


def is_warm() -> bool:
    """Whether machine code for this version already lies in the cache (a cold start compiles for some seconds)."""
    return not JIT or any(CACHE_FOLDER.rglob("*.nbi"))
