"""device="cuda": the kernels in Numba's CUDA simulator, compiled for a GPU that is not there, and on one that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import swarm_env
from swarm_env.catalog import shipped

ROOT = Path(__file__).resolve().parent.parent
HAS_GPU_COMPILER = find_spec("numba_cuda") is not None and find_spec("nvidia") is not None


def run(module: str, **environment: str) -> Any:
    """What `python -m module` prints as JSON, in a process of its own: the simulator is chosen when Numba loads."""
    done = subprocess.run(
        [sys.executable, "-m", module], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_in_the_simulator_the_kernels_play_what_the_cpu_plays_to_the_bit() -> None:
    said = run("tests.devices", NUMBA_ENABLE_CUDASIM="1", PYTHONWARNINGS="default")
    assert said.pop("snapshots") is True
    assert set(said) == {*shipped(), "lengths"}
    for name, result in said.items():
        assert result["difference"] == 0.0, name
        assert result["same_bytes"] == 1.0, name
        assert result["accepted"] > 0, name
        assert result["ended"] >= 2, name


@pytest.mark.skipif(not HAS_GPU_COMPILER, reason="needs numba-cuda and NVIDIA's NVVM: make cuda-ptx")
def test_the_kernels_compile_for_a_gpu() -> None:
    said = run("tests.ptx")
    assert set(said) == {"advance", "reset", "global_state", "ledger"}
    for name, kernel in said.items():
        assert kernel["instructions"] > 100, name
        assert kernel["unresolved"] == [], name
        assert kernel["fusible"] == 0, f"{name}: sums of products may be rounded otherwise than on the CPU"
        assert kernel.get("spills", 0) == 0, name
    assert said["advance"]["rounded"] > 100


def has_gpu() -> bool:
    if not HAS_GPU_COMPILER:
        return False
    import torch

    return torch.cuda.is_available()


def test_a_gpu_plays_what_the_cpu_plays() -> None:
    if not has_gpu():
        pytest.skip("no GPU")
    said = run("tests.devices")
    assert set(said) == {*shipped(), "lengths", "snapshots"}
    for name in {*said} - {"snapshots"}:
        assert said[name]["difference"] < 1e-9, name


def refusal(code: str) -> str:
    """The last line of the error that a script ends in."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


WITHOUT = """
import sys
sys.modules[{missing!r}] = None
import swarm_env
swarm_env.vector_env("baseline", 2, device="cuda")
"""


@pytest.mark.parametrize("missing", ["torch", "numba_cuda"])
def test_without_its_libraries_the_device_names_the_extra(missing: str) -> None:
    said = refusal(WITHOUT.format(missing=missing))
    assert said == "ImportError: device='cuda' needs PyTorch and numba-cuda: pip install 'swarm-env[cuda]'"


def test_without_a_gpu_the_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from swarm_env.adapters import cuda

    monkeypatch.setattr(cuda, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="PyTorch finds no GPU"):
        swarm_env.vector_env("baseline", 2, device="cuda")
    monkeypatch.setattr(cuda, "JIT", False)
    with pytest.raises(RuntimeError, match="unset NUMBA_DISABLE_JIT"):
        swarm_env.vector_env("baseline", 2, device="cuda")


def test_another_device_is_refused() -> None:
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', got 'tpu'"):
        swarm_env.vector_env("baseline", 2, device="tpu")


def test_bad_arguments_on_the_device_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from swarm_env.adapters import cuda

    monkeypatch.setattr(cuda.kernels, "SIMULATED", True)  # tables in host memory; nothing is launched here
    with pytest.raises(ValueError, match="num_threads is for the CPU"):
        swarm_env.vector_env("baseline", 4, num_threads=2, device="cuda")
    venv = swarm_env.vector_env("baseline", 2, device="cuda")
    actions = torch.zeros((2, 5, 7), dtype=torch.int64)
    with pytest.raises(RuntimeError, match="reset the environment"):
        venv.step(actions)
    monkeypatch.setattr(cuda.kernels, "launch", lambda *arguments: None)
    with pytest.raises(ValueError, match="seed must be in"):
        venv.reset(seed=-1)
    venv.reset()
    with pytest.raises(ValueError, match=r"shape \(2, 5\); they must be \(2, 5, 7\)"):
        venv.step(actions[:, :, 0])
