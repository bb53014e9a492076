"""Where entries of tables and their fields lie, for rules that are written in LLVM's instructions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils


def element(target: Any, builder: Any, kind: Any, array: Any, *index: Any) -> Any:
    """The address of array[index]; kind: the array's type. No index is negative."""
    view = target.make_array(kind)(target, builder, array)
    return cgutils.get_item_pointer(target, builder, kind, view, list(index), wraparound=False)  # type: ignore[no-untyped-call]


def field(builder: Any, kind: Any, record: Any, name: str) -> Any:
    """The address of a record's field, as one of bytes; kind: the record's type, record: its address."""
    byte = ir.IntType(8).as_pointer()
    return builder.gep(builder.bitcast(record, byte), [ir.IntType(32)(kind.offset(name))])
