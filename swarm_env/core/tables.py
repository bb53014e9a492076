"""Records as NumPy dtypes, and the memory they lie in.

A record is declared as a class whose annotations give field and type: float, int, bool, `Short`, `Tiny`, an array of
fixed length (`Annotated[Floats, (10,)]`), or another record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.compiled import JIT

LINE = 64  #: bytes of a cache line

Floats = NDArray[np.float64]
Shorts = NDArray[np.int32]
Short = Annotated[np.int32, ()]  #: counts, and numbers of steps and epochs
Tiny = Annotated[np.int8, ()]  #: verbs and conducts
_ELEMENTS: dict[Any, type] = {Floats: np.float64, Shorts: np.int32}  # of arrays; others name their own


@cache  # one object a record: Numba tells equal but distinct dtypes apart field by field, at every call
def record(cls: type, plain: bool = not JIT) -> np.dtype[Any]:
    """The dtype of a record class, in the order of its annotations; `plain` as for `table`."""
    fields: list[tuple[Any, ...]] = []
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if get_origin(hint) is Annotated:
            base, shape = get_args(hint)
            fields.append((name, _ELEMENTS.get(base, base), shape))
        elif hint in (float, int, bool):
            fields.append((name, {float: np.float64, int: np.int64, bool: np.bool_}[hint]))
        else:
            fields.append((name, record(hint, plain)))
    dtype = np.dtype(fields, align=True)
    return np.dtype((np.record, dtype)) if plain else dtype


def nested(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as one record a row, with the row's entries in its field `of`: a view, `array` is C-contiguous.

    The number of entries is then part of the type, and machine code need not look it up.
    """
    if array.ndim == 1:
        return array
    return np.ndarray(len(array), _nest(array.dtype, array.shape[1:]), array)


@cache
def _nest(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.dtype[Any]:
    return np.dtype([("of", dtype, shape)])


def table(cls: type | np.dtype[Any], *shape: int, plain: bool = not JIT) -> NDArray[Any]:
    """A zeroed table of records, on a cache line's edge.

    plain: its elements have attributes in Python, which kernels do not need.
    """
    return tables([(cls if isinstance(cls, np.dtype) else record(cls, plain), shape)])[0]


def tables(layout: Sequence[tuple[np.dtype[Any], tuple[int, ...]]]) -> list[NDArray[Any]]:
    """Zeroed arrays of these types and shapes, one behind the other in one piece of memory, on cache lines' edges.

    One piece, so that large batches lie in large pages, which NumPy asks for: small ones cost a look-up each.
    """
    sizes = [-(-math.prod(shape) * dtype.itemsize // LINE) * LINE for dtype, shape in layout]
    room = np.zeros(sum(sizes) + LINE, np.uint8)
    at, made = -room.ctypes.data % LINE, []
    for (dtype, shape), size in zip(layout, sizes, strict=True):
        array = np.ndarray(shape, dtype, room, at)
        made.append(array.view(np.recarray) if dtype.type is np.record or (dtype.names and not JIT) else array)
        at += size
    return made
