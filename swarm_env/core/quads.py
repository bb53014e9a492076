"""Four numbers at once: a slot of an observation is four float32, and machine code writes them with one store.

Left to itself the compiler writes them one by one, as it cannot know that none of the places it reads from lies among
those it writes to. Each rule does what its plain version says; `out` is contiguous and float32, and `at` not negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from swarm_env.core.addresses import element
from swarm_env.core.compiled import alternative, rule

_FLOAT, _WORD = ir.FloatType(), ir.IntType(32)
_QUAD = ir.VectorType(_FLOAT, 4)


def _store(target: Any, builder: Any, kind: Any, out: Any, at: Any, quad: Any) -> None:
    """out[at:at+4] = quad."""
    start = builder.gep(target.make_array(kind)(target, builder, out).data, [at])
    builder.store(quad, builder.bitcast(start, _QUAD.as_pointer()), align=4)


@intrinsic
def _put(context: Any, out: Any, at: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        quad = ir.Constant(_QUAD, ir.Undefined)
        for k, number in enumerate(arguments[2:]):
            quad = builder.insert_element(quad, number, _WORD(k))
        _store(target, builder, signature.args[0], arguments[0], arguments[1], quad)
        return target.get_dummy_value()

    number = types.float32
    return types.void(out, types.intp, number, number, number, number), generate


def _put_in_python(out: Any, at: int, a: float, b: float, c: float, d: float) -> None:
    out[at], out[at + 1], out[at + 2], out[at + 3] = a, b, c, d


@rule
def _put_in_kernels(out: Any, at: int, a: float, b: float, c: float, d: float) -> None:
    _put(out, at, np.float32(a), np.float32(b), np.float32(c), np.float32(d))  # type: ignore[call-arg]


#: out[at:at+4] = a, b, c, d.
put = alternative(_put_in_kernels, _put_in_python)


@intrinsic
def _put_peer(context: Any, out: Any, at: Any, shown: Any, peer: Any, trust: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[2]
        record = element(target, builder, kind, arguments[2], arguments[3])
        looks = builder.load(builder.bitcast(record, _QUAD.as_pointer()), align=4)
        quad = builder.insert_element(looks, arguments[4], _WORD(2))
        _store(target, builder, signature.args[0], arguments[0], arguments[1], quad)
        return target.get_dummy_value()

    return types.void(out, types.intp, shown, types.intp, types.float32), generate


def _put_peer_in_python(out: Any, at: int, shown: Any, peer: int, trust: float) -> None:
    _put_in_python(out, at, shown[peer].present, shown[peer].reputation, trust, shown[peer].frozen)


@rule
def _put_peer_in_kernels(out: Any, at: int, shown: Any, peer: int, trust: float) -> None:
    _put_peer(out, at, shown, peer, np.float32(trust))  # type: ignore[call-arg]


#: out[at:at+4] = present, the peer's reputation, trust in it, whether it is frozen: a peer slot. shown: table of
#: `Shown`, whose records are such a slot, but for the trust.
put_peer = alternative(_put_peer_in_kernels, _put_peer_in_python)
