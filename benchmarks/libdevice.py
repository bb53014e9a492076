"""How far NVIDIA's exp, log, cos and pow are from the CPU's, without a GPU: `python benchmarks/libdevice.py`.

CUDA kernels take these functions from libdevice, a library of LLVM code. Here that code runs on the CPU, its
instructions replaced by their like, and is compared by number and in whole episodes of a market. Two things are not
the GPU's: its approximate reciprocal, from which log and pow start and which they then refine, is cut from the exact
one; angles beyond some 1e5, which the market never takes, are left out. Needs the wheel nvidia-nvvm (make cuda-ptx).
"""

from __future__ import annotations

import ctypes
import math
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script it sees its own folder alone

import llvmlite.binding as llvm
import numpy as np

import swarm_env

NAMES = ("__nv_exp", "__nv_log", "__nv_cos", "__nv_pow")
SLOW = "__internal_trig_reduction_slowpathd"  # of angles that do not occur; in inline PTX
#: Instructions of the GPU, as the CPU does them: name, arguments, result, code.
INSTRUCTIONS = (
    ("llvm.nvvm.fma.rn.d", "double %a, double %b, double %c", "double",
     "%r = call double @llvm.fma.f64(double %a, double %b, double %c)"),
    ("llvm.nvvm.add.rn.d", "double %a, double %b", "double", "%r = fadd double %a, %b"),
    ("llvm.nvvm.mul.rn.d", "double %a, double %b", "double", "%r = fmul double %a, %b"),
    ("llvm.nvvm.fabs.f64", "double %a", "double", "%r = call double @llvm.fabs.f64(double %a)"),
    ("llvm.nvvm.fabs.f32", "float %a", "float", "%r = call float @llvm.fabs.f32(float %a)"),
    ("llvm.nvvm.fabs.ftz.f32", "float %a", "float", "%r = call float @llvm.fabs.f32(float %a)"),
    ("llvm.nvvm.trunc.d", "double %a", "double", "%r = call double @llvm.trunc.f64(double %a)"),
    ("llvm.nvvm.d2i.rn", "double %a", "i32",
     "%q = call double @llvm.rint.f64(double %a)\n %r = fptosi double %q to i32"),
    ("llvm.nvvm.d2i.lo", "double %a", "i32", "%q = bitcast double %a to i64\n %r = trunc i64 %q to i32"),
    ("llvm.nvvm.d2i.hi", "double %a", "i32",
     "%q = bitcast double %a to i64\n %s = lshr i64 %q, 32\n %r = trunc i64 %s to i32"),
    ("llvm.nvvm.lohi.i2d", "i32 %lo, i32 %hi", "double",
     "%a = zext i32 %lo to i64\n %b = zext i32 %hi to i64\n %c = shl i64 %b, 32\n %d = or i64 %a, %c\n"
     " %r = bitcast i64 %d to double"),
    ("llvm.nvvm.rcp.approx.ftz.d", "double %a", "double",
     "%q = fdiv double 1.0, %a\n %b = bitcast double %q to i64\n %m = and i64 %b, -4294967296\n"
     " %r = bitcast i64 %m to double"),
    ("__nvvm_reflect", "ptr %a", "i32", "%r = add i32 0, 0"),
)  # fmt: skip
DECLARED = (
    "double @llvm.fma.f64(double, double, double)", "double @llvm.fabs.f64(double)", "float @llvm.fabs.f32(float)",
    "double @llvm.trunc.f64(double)", "double @llvm.rint.f64(double)", "i64 @llvm.ctlz.i64(i64, i1)",
    "i32 @llvm.smin.i32(i32, i32)",
)  # fmt: skip


def source() -> str:
    """LLVM code of NAMES and all that they call, for the CPU."""
    found = [*Path(np.__file__).parents[1].glob("nvidia/**/libdevice.10.bc")]
    if not found:
        sys.exit("error: libdevice is not here: pip install nvidia-nvvm")
    text = str(llvm.parse_bitcode(found[0].read_bytes()))
    functions = re.finditer(r"^define [^\n]*@([\w.]+)\([^\n]*\{\n.*?^\}", text, re.M | re.S)
    defined = {match[1]: match[0] for match in functions}
    head = defined[SLOW].splitlines()[0]
    defined[SLOW] = f"{head}\n ret {head.split('@')[0].split()[-1]} zeroinitializer\n}}"
    needed, open_ = [], list(NAMES)
    while open_:
        name = open_.pop()
        needed.append(name)
        called = re.findall(r"@([\w.]+)", defined[name].split("\n", 1)[1])
        open_ += [other for other in dict.fromkeys(called) if other in defined and other not in [*needed, *open_]]
    body = re.sub(r" #\d+(?=[ {,\n])", "", "\n".join(defined[name] for name in needed))
    constants = [line for line in text.splitlines() if re.match(r"%struct|@(\.str|__cudart)", line)]
    shims = []
    for name, arguments, result, code in INSTRUCTIONS:
        own = "cpu_" + re.sub(r"\W", "_", name)
        body = body.replace(f"@{name}(", f"@{own}(")
        shims.append(f"define {result} @{own}({arguments}) {{\n {code}\n ret {result} %r\n}}")
    return "\n".join([*constants, *shims, body, *(f"declare {each}" for each in DECLARED)])


def functions() -> tuple[Any, dict[str, Callable[..., float]]]:
    """(what keeps them alive, name -> function of floats)."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(source())
    module.verify()
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=1, features=features)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    double = ctypes.c_double
    shapes = {name: [double] * (2 if name == "__nv_pow" else 1) for name in NAMES}
    return engine, {n: ctypes.CFUNCTYPE(double, *s)(engine.get_function_address(n)) for n, s in shapes.items()}


def by_number(there: dict[str, Callable[..., float]], size: int = 300_000) -> None:
    """Share of arguments, drawn from where the market takes them, at which the two differ, and by how much."""
    rng = np.random.default_rng(0)
    cases: dict[str, tuple[Callable[..., float], list[Any]]] = {
        "__nv_exp": (math.exp, [rng.uniform(-10, 10, size)]),
        "__nv_log": (math.log, [1.0 - rng.random(size)]),
        "__nv_cos": (math.cos, [2.0 * math.pi * rng.random(size)]),
        "__nv_pow": (pow, [rng.random(size), rng.integers(0, 6, size)]),
    }
    for name, (here, arguments) in cases.items():
        lists = [values.tolist() for values in arguments]
        ours, theirs = np.array(list(map(here, *lists)), float), np.array(list(map(there[name], *lists)))
        apart = np.abs(ours.view(np.int64) - theirs.view(np.int64))
        print(f"{name}: {(apart > 0).mean():.2%} differ, by {apart.max()} units in the last place at most", flush=True)


def episode(scenario: str, rows: int) -> list[Any]:
    """(observation, mask, reward, metrics of the episode) of every step of one episode, under random actions."""
    venv = swarm_env.vector_env(scenario, rows, learners="honest_*", seed=1, copy=True)
    venv.reset()
    rng, nvec, out = np.random.default_rng(0), venv.single_action_space.nvec, []
    for _ in range(int(venv._steps[0])):
        seen, reward, _, _, infos = venv.step(rng.integers(0, nvec, (rows, venv.num_learners, len(nvec))))
        out.append((seen["observation"], seen["action_mask"], reward, infos.get("episode", {})))
    return out


def episode_there(there: dict[str, Callable[..., float]], scenario: str, rows: int) -> list[Any]:
    """`episode` with libdevice's functions; only where rules are plain Python."""
    from swarm_env.core import proxy, random

    power = there["__nv_pow"]
    theirs = SimpleNamespace(exp=there["__nv_exp"], log=there["__nv_log"], cos=there["__nv_cos"])
    theirs.sqrt, theirs.pi = math.sqrt, math.pi
    patched: Any = (proxy, random)
    for module in patched:
        module.math = theirs
    patched[0].count_signal = lambda count, decay: 2.0 * power(decay, count) - 1.0
    return episode(scenario, rows)


def by_episode(scenario: str, rows: int) -> None:
    """A market with the CPU's functions beside one with libdevice's."""
    command = [sys.executable, __file__, "--there", scenario, str(rows)]
    done = subprocess.run(command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, check=True)
    ours, theirs = episode(scenario, rows), pickle.loads(done.stdout)
    for k, name in enumerate(("observation", "action_mask", "reward")):
        left, right = (np.stack([step[k] for step in said]).astype(float) for said in (ours, theirs))
        print(f"{scenario}, {name}: {(left == right).mean():.3%} equal, within {np.abs(left - right).max():.1e}")
    left, right = ours[-1][3], theirs[-1][3]
    worst = max(float(np.nanmax(np.abs(left[name] - right[name]), initial=0.0)) for name in left)
    print(f"{scenario}, metrics of {left['total_interactions'].sum():.0f} interactions: within {worst:.1e}", flush=True)


def main() -> None:
    """Compare, and print."""
    _engine, there = functions()
    if sys.argv[1:2] == ["--there"]:
        sys.stdout.buffer.write(pickle.dumps(episode_there(there, sys.argv[2], int(sys.argv[3]))))
        return
    by_number(there)
    for scenario in ("strict_governance", "security_evaluation"):
        by_episode(scenario, rows=8)


if __name__ == "__main__":
    main()
