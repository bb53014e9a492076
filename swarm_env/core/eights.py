"""Eight draws at once: a proposal takes eight, which differ in nothing but their stream.

Machine code mixes the eight in one vector; the operations are those of `random.mix`, so the bits are too. LLVM splits
the vector where a machine's registers are shorter, and left to itself draws one number after the other.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from swarm_env.core.addresses import element
from swarm_env.core.compiled import alternative, rule

WIDTH = 8
_WORD, _PLACE = ir.IntType(64), ir.IntType(32)
_WORDS, _FLOATS = ir.VectorType(_WORD, WIDTH), ir.VectorType(ir.DoubleType(), WIDTH)
GOLDEN, MULTIPLY_1, MULTIPLY_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  #: splitmix64's
UNIT = 1.0 / 9007199254740992.0  #: 2**-53, the distance between two draws
_WRAP = (1 << 64) - 1


def mix(key: int, index: int) -> int:
    """The index-th output of the splitmix64 sequence that starts at key, in plain integers."""
    x = (key + (index + 1) * GOLDEN) & _WRAP
    x = ((x ^ (x >> 30)) * MULTIPLY_1) & _WRAP
    x = ((x ^ (x >> 27)) * MULTIPLY_2) & _WRAP
    return x ^ (x >> 31)


def _same(number: int) -> ir.Constant:
    return ir.Constant(_WORDS, [number] * WIDTH)


def _mix(builder: Any, key: Any, index: Any) -> Any:
    """The outputs at index, index + 1, ..., index + 7; index counts steps of the sequence."""
    start = builder.add(key, builder.mul(index, _WORD(GOLDEN)))
    x = ir.Constant(_WORDS, ir.Undefined)
    x = builder.insert_element(x, start, _PLACE(0))
    x = builder.shuffle_vector(x, x, ir.Constant(ir.VectorType(_PLACE, WIDTH), [0] * WIDTH))
    x = builder.add(x, ir.Constant(_WORDS, [(k + 1) * GOLDEN & _WRAP for k in range(WIDTH)]))
    for shift, factor in ((30, MULTIPLY_1), (27, MULTIPLY_2)):
        x = builder.mul(builder.xor(x, builder.lshr(x, _same(shift))), _same(factor))
    return builder.xor(x, builder.lshr(x, _same(31)))


@intrinsic
def _spread(context: Any, key: Any, index: Any, spans: Any, row: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.lshr(_mix(builder, arguments[0], arguments[1]), _same(11))
        draws = builder.fmul(builder.uitofp(bits, _FLOATS), ir.Constant(_FLOATS, [UNIT] * WIDTH))
        kind = signature.args[2]
        start = element(target, builder, kind, arguments[2], arguments[3], _WORD(0))
        scaled = builder.fmul(draws, builder.load(builder.bitcast(start, _FLOATS.as_pointer()), align=8))
        numbers = [builder.extract_element(scaled, _PLACE(k)) for k in range(WIDTH)]
        return target.make_tuple(builder, signature.return_type, numbers)

    returned: Any = types.UniTuple(types.float64, WIDTH)  # type: ignore[no-untyped-call]
    return returned(types.uint64, types.uint64, spans, types.intp), generate


def _spread_in_python(key: Any, index: Any, spans: Any, row: int) -> tuple[float, ...]:
    draws = (float(mix(int(key), int(index) + k) >> 11) * UNIT for k in range(WIDTH))
    return tuple(u * float(span) for u, span in zip(draws, spans[row], strict=True))


@rule
def _spread_in_kernels(key: Any, index: Any, spans: Any, row: int) -> tuple[float, ...]:
    return _spread(key, index, spans, row)  # type: ignore[call-arg]


#: Draws from U[0, spans[row, k]), k = 0..7, at index + k of the key's sequence; spans: (rows, 8) float64, contiguous.
spread = alternative(_spread_in_kernels, _spread_in_python)
