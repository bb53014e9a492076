"""Whom a phase has to do with: up to 64 agents at a time, as bits of a word.

A processor guesses which way a branch will go, and a wrong guess costs as much as some hundred instructions. What
agents choose cannot be guessed, so a phase looks at all of them without asking (comparisons joined by & and |, one
value or another) and keeps those who need more as bits. It then goes through these alone, and wrong is at most the
guess at how many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from swarm_env.core.compiled import alternative, rule

BITS = 64  #: of a word
NO_BIT, ONE_BIT = np.uint64(0), np.uint64(1)


@rule
def bit(picked: bool, k: int) -> np.uint64:
    """Bit k, 0..63, or none."""
    return np.uint64(picked) << np.uint64(k)


@intrinsic
def _trailing_zeros(context: Any, bits: Any) -> Any:
    """llvm.cttz of a word that is not 0. (Numba's own, in `numba.cpython.unsafe`, is unknown to numba-cuda.)"""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@rule
def _first_in_kernels(bits: np.uint64) -> int:
    return _trailing_zeros(bits)  # type: ignore[call-arg]


def _first_in_python(bits: np.uint64) -> int:
    return (int(bits) & -int(bits)).bit_length() - 1


first_of = alternative(_first_in_kernels, _first_in_python)  #: the lowest bit's number; there is one


@rule
def without_first(bits: np.uint64) -> np.uint64:
    """All but the lowest bit; there is one."""
    return bits & (bits - ONE_BIT)
