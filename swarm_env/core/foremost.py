"""The most visible of an agent's contacts, for code that may not guess: a short sorted list kept in a vector.

Sorted by insertion with branches, every contact is a guess at where it belongs, and half of a large market's time went
there. Here a contact is one number, its visibility and then how early it comes, 0 if it is severed, and goes into the
list by one smaller-of and one larger-of for all places.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from swarm_env.core.addresses import element, field
from swarm_env.core.compiled import alternative, rule

MOST = 16  #: places that a list can have
_NUMBER, _WORD = ir.IntType(64), ir.IntType(32)
_LIST = ir.VectorType(_NUMBER, MOST)
_LAST = 2**31 - 1  # an earlier contact is the larger number: its place among the agent's is taken from this


def _all(number: int) -> Any:
    return ir.Constant(_LIST, [_NUMBER(number)] * MOST)


def _read(target: Any, builder: Any, kind: Any, table: Any, index: Any, name: str, number: Any) -> Any:
    """table[index].name, a number of that type."""
    place = field(builder, kind.dtype, element(target, builder, kind, table, index), name)
    return builder.load(builder.bitcast(place, number.as_pointer()), align=4)


def _spread(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_LIST, ir.Undefined), number, _WORD(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_WORD, MOST), [_WORD(0)] * MOST))


def _insert(builder: Any, entries: Any, number: Any) -> Any:
    """A list with one number more and the least one less: at place k is the larger of what was there and the smaller of
    the new one and what was at k-1."""
    downwards = ir.Constant(ir.VectorType(_WORD, MOST), [_WORD(MOST), *(_WORD(k) for k in range(MOST - 1))])
    new, above = _spread(builder, number), builder.shuffle_vector(entries, _all(2**63 - 1), downwards)
    moved = builder.select(builder.icmp_signed("<", above, new), above, new)
    return builder.select(builder.icmp_signed(">", entries, moved), entries, moved)


@intrinsic
def _put(context: Any, slots: Any, shown: Any, edges: Any, contacts: Any, start: Any, stop: Any, places: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (slots, shown, edges, contacts, start, stop, places), kinds = arguments, signature.args
        entries = cgutils.alloca_once_value(builder, _all(0))  # type: ignore[no-untyped-call]
        with cgutils.for_range_slice(builder, start, stop, _NUMBER(1)) as (index, _):
            peer = builder.zext(_read(target, builder, kinds[2], edges, index, "peer", _WORD), _NUMBER)
            # of floats that are not negative the larger has the larger bits
            seen = builder.bitcast(_read(target, builder, kinds[1], shown, peer, "visibility", ir.FloatType()), _WORD)
            earliness = builder.sub(_NUMBER(_LAST), builder.sub(index, start))
            number = builder.or_(builder.shl(builder.zext(seen, _NUMBER), _NUMBER(32)), earliness)
            weight = _read(target, builder, kinds[3], contacts, index, "weight", ir.DoubleType())
            stands = builder.fcmp_ordered(">", weight, ir.Constant(ir.DoubleType(), 0.0))
            number = builder.select(stands, number, _NUMBER(0))
            builder.store(_insert(builder, builder.load(entries), number), entries)
        found = builder.load(entries)
        latest = _spread(builder, builder.add(start, _NUMBER(_LAST)))
        chosen = builder.sub(latest, builder.and_(found, _all(_LAST)))
        chosen = builder.select(builder.icmp_signed("==", found, _all(0)), _all(-1), chosen)
        shorts = builder.trunc(chosen, ir.VectorType(_WORD, MOST))
        out = element(target, builder, kinds[0], slots, start)  # a slot is its contact's number and nothing else
        with builder.if_else(builder.icmp_signed("==", places, _NUMBER(MOST))) as (all_places, some_places):
            with all_places:  # in one piece, as it will be read
                builder.store(shorts, builder.bitcast(out, shorts.type.as_pointer()), align=4)
            with some_places:
                taken = cgutils.alloca_once_value(builder, shorts)  # type: ignore[no-untyped-call]
                taken, out = (builder.bitcast(each, _WORD.as_pointer()) for each in (taken, out))
                with cgutils.for_range(builder, places) as loop:
                    number = builder.load(builder.gep(taken, [loop.index]))
                    builder.store(number, builder.gep(out, [loop.index]), align=4)
        return target.get_dummy_value()

    return types.void(slots, shown, edges, contacts, types.intp, types.intp, types.intp), generate


def put_foremost_in_python(
    slots: Any, shown: Any, edges: Any, contacts: Any, start: int, stop: int, places: int
) -> None:
    """What `put_foremost` does, for any number of places: insertion into a short sorted list."""
    filled = 0
    for index in range(start, stop):
        if contacts[index].weight <= 0.0:
            continue
        here, k = shown[edges[index].peer].visibility, filled
        while k > 0 and shown[edges[slots[start + k - 1].contact].peer].visibility < here:
            k -= 1
        if k >= places:
            continue
        filled = min(filled + 1, places)
        for moved in range(filled - 1, k, -1):
            slots[start + moved].contact = slots[start + moved - 1].contact
        slots[start + k].contact = index
    for k in range(filled, places):
        slots[start + k].contact = -1


_put_by_branches = rule(put_foremost_in_python)


@rule
def _put_foremost_in_kernels(
    slots: Any, shown: Any, edges: Any, contacts: Any, start: int, stop: int, places: int
) -> None:
    if places > MOST:
        _put_by_branches(slots, shown, edges, contacts, start, stop, places)
    else:
        _put(slots, shown, edges, contacts, start, stop, places)  # type: ignore[call-arg]


#: slots[start:start+places].contact = the contacts start..stop-1 whose agents are most visible, the earlier of equals
#: first; severed ones are none, and -1 stands where there are no more. There are more contacts than places.
put_foremost = alternative(_put_foremost_in_kernels, put_foremost_in_python)
