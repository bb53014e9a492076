"""What results depend on besides their settings: Python, packages, and the code itself.

This module goes to Ray's workers as it is (pickled by value), so that a worker with another version of the package, or
none, can still say what it has: it needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import socket
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

#: Files and folders of a package that no result depends on: what shows results, and the command line.
SHOWS: tuple[str, ...] = ("__main__.py", "analysis", "cli.py", "commands.py", "render", "report")
NUMERIC: tuple[str, ...] = ("numpy", "numba", "torch")  #: packages whose versions results may depend on
MISSING = "not installed"


def code(package: str) -> str:
    """SHA-256 (16 hex digits) over a package's sources, names and bytes; MISSING where there is none.

    All ``*.py`` below the package's folder count, but for those in SHOWS: a job's results can depend on no others.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return MISSING
    root, digest = Path(found.origin).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.split("/")[0] not in SHOWS:
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def about(packages: Sequence[str]) -> dict[str, str]:
    """What must be the same for a driver and its workers; `packages`: those whose code jobs depend on."""
    said = {"Python": platform.python_version()}
    for name in ("swarm-env", *NUMERIC):
        try:
            said[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            said[name] = MISSING
    return said | {f"code of {package}": code(package) for package in packages}


def introduce(packages: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The machine's name, and what it has; called on a worker."""
    return socket.gethostname(), about(packages)


def differences(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What a worker has otherwise than the driver, in words; empty if nothing."""
    return "; ".join(
        f"{name} {theirs.get(name, MISSING)}, the driver has {value}"
        for name, value in ours.items()
        if theirs.get(name, MISSING) != value
    )
