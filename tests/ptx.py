"""The kernels compiled for a GPU that need not be there: ``python -m tests.ptx`` prints what they take, as JSON.

numba-cuda compiles them to PTX, NVIDIA's ptxas (if it is installed) to the GPU's own machine code. By kernel:
instructions of PTX; `rounded` and `fusible`, its sums and products of doubles that are rounded each, and that the GPU
may round together; `unresolved`, functions that nobody defines; with ptxas, registers a thread and bytes of stack and
of spills.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba import cuda
from numba.core import types

import swarm_env
from swarm_env.core import cuda as kernels

TARGET = (9, 0)  #: compute capability: an H100


def signatures() -> dict[str, tuple[Any, ...]]:
    """Kernel -> arrays as it is launched on, of one layout for all scenarios."""
    venv = swarm_env.vector_env("baseline", 2)
    there = venv._scene, venv._initial, venv.state_tables, venv._view
    actions = np.zeros((2, venv.num_learners, len(venv.compiled.nvec)), np.int64)
    scene, initial, state, view = there
    return {
        "advance": (scene, state, view, actions),
        "reset": (scene, initial, state, view, np.zeros(2, np.int64)),
        "global_state": (scene, state, venv.state()),
        "ledger": (scene, state, np.zeros((2, venv.compiled.num_agents, venv.compiled.inbox, 6), np.float32)),
    }


def to_ptx(name: str, arrays: tuple[Any, ...]) -> str:
    """PTX of a kernel for TARGET, compiled as a launch compiles it."""
    from numba.cuda import dispatcher

    # device functions are compiled for the current device, which is not there
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=TARGET)
    signature = types.void(*map(numba.typeof, arrays))
    with kernels.unfused():
        ptx, _ = cuda.compile(getattr(kernels, name).py_func, signature, device=False, cc=TARGET, abi="numba")
    return str(ptx)


def assemble(ptx: str) -> dict[str, int]:
    """What ptxas says of the kernel: {} without ptxas."""
    found = [*Path(np.__file__).parents[1].glob("nvidia/**/bin/ptxas"), shutil.which("ptxas")]
    tool = next((path for path in found if path), None)
    if tool is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        command = [tool, "-v", f"-arch=sm_{TARGET[0]}{TARGET[1]}", source, "-o", Path(folder, "kernel.cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    entry = said[said.index("Compiling entry function") :]
    numbers = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spills": r"(\d+) bytes spill st",
    }
    return {key: int(re.findall(pattern, entry)[0]) for key, pattern in numbers.items()}


def report() -> dict[str, dict[str, Any]]:
    """Every kernel, see the module."""
    out: dict[str, dict[str, Any]] = {}
    for name, arrays in signatures().items():
        ptx = to_ptx(name, arrays)
        lines = [line.strip() for line in ptx.splitlines()]
        out[name] = {
            "instructions": sum(line.endswith(";") and not line.startswith(".") for line in lines),
            "rounded": len(re.findall(r"\s(?:add|sub|mul)\.rn\.f64", ptx)),
            "fusible": len(re.findall(r"\s(?:add|sub|mul)\.f64", ptx)),
            "unresolved": [line for line in lines if line.startswith(".extern")],
            **assemble(ptx),
        }
    return out


if __name__ == "__main__":
    json.dump(report(), sys.stdout, indent=2)
