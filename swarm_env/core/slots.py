"""Many slots of a view at once, as vectors: for code that knows how many there are (`sizes.py`).

Written slot by slot, a view takes two fifths of a step's instructions. A vector takes what one number does, and
processors have no branch to mispredict in it. Each rule does what its plain version says, to the bit; LLVM splits the
vectors where a processor's are shorter. Tables are contiguous, numbers of slots the lengths of tuples, less one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from swarm_env.core.addresses import element, field
from swarm_env.core.compiled import alternative, rule

_FLOAT, _DOUBLE, _BYTE, _WORD = ir.FloatType(), ir.DoubleType(), ir.IntType(8), ir.IntType(32)
_BIT = ir.IntType(1)
_GROUP = 4  # slots that are written together: sixteen float32, the longest vectors there are


def _vector(element: Any, length: int) -> Any:
    return ir.VectorType(element, length)


def _lanes(chosen: Sequence[int]) -> Any:
    return ir.Constant(_vector(_WORD, len(chosen)), [ir.Constant(_WORD, lane) for lane in chosen])


def _constant(element: Any, values: list[float]) -> Any:
    return ir.Constant(_vector(element, len(values)), [ir.Constant(element, value) for value in values])


def _shuffle(builder: Any, vector: Any, chosen: Sequence[int]) -> Any:
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), _lanes(chosen))


def _load(builder: Any, start: Any, element: Any, length: int, align: int) -> Any:
    return builder.load(builder.bitcast(start, _vector(element, length).as_pointer()), align=align)


def _store(builder: Any, start: Any, vector: Any, align: int) -> None:
    builder.store(vector, builder.bitcast(start, vector.type.as_pointer()), align=align)


@intrinsic
def _put_shares(context: Any, out: Any, at: Any, agent: Any, params: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        used = _load(builder, field(builder, kinds[2], arguments[2], "posts"), _WORD, 4, 4)
        budgets = _load(builder, field(builder, kinds[3], arguments[3], "budgets"), _FLOAT, 4, 4)
        none, one = _constant(_FLOAT, [0.0] * 4), _constant(_FLOAT, [1.0] * 4)
        left = builder.fsub(budgets, builder.sitofp(used, budgets.type))
        left = builder.select(builder.fcmp_ordered(">", left, none), left, none)
        whole = builder.select(builder.fcmp_ordered(">", budgets, one), budgets, one)
        _store(builder, element(target, builder, kinds[0], arguments[0], arguments[1]), builder.fdiv(left, whole), 4)
        return target.get_dummy_value()

    return types.void(out, types.intp, agent, params), generate


def _put_shares_in_python(out: Any, at: int, agent: Any, params: Any) -> None:
    for k, used in enumerate((agent.posts, agent.votes, agent.tasks, agent.actions)):
        left = max(params.budgets[k] - np.float32(used), np.float32(0.0))
        out[at + k] = left / max(params.budgets[k], np.float32(1.0))


@rule
def _put_shares_in_kernels(out: Any, at: int, agent: Any, params: Any) -> None:
    _put_shares(out, at, agent, params)  # type: ignore[call-arg]


#: out[at:at+4] = what is left of an agent's budgets of posts, votes, tasks and actions, as shares.
put_shares = alternative(_put_shares_in_kernels, _put_shares_in_python)


@intrinsic
def _clear_inbox(context: Any, out: Any, at: Any, mask: Any, slots: Any) -> Any:
    count = len(slots) - 1

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if count > 0:
            start = element(target, builder, signature.args[0], arguments[0], arguments[1])
            answers = element(target, builder, signature.args[2], arguments[2], ir.IntType(64)(0))
            _store(builder, start, _constant(_FLOAT, [0.0] * (4 * count)), 4)
            _store(builder, answers, _constant(_BYTE, [1, 0] * count), 1)
        return target.get_dummy_value()

    return types.void(out, types.intp, mask, slots), generate


def _clear_inbox_in_python(out: Any, at: int, mask: Any, slots: Any) -> None:
    for slot in range(len(slots) - 1):
        out[at + 4 * slot : at + 4 * slot + 4] = 0.0
        mask[2 * slot], mask[2 * slot + 1] = 1, 0


@rule
def _clear_inbox_in_kernels(out: Any, at: int, mask: Any, slots: Any) -> None:
    _clear_inbox(out, at, mask, slots)  # type: ignore[call-arg]


#: out[at:] = 0 for so many inbox slots, and mask[0:] = refusal alone is open, for each.
clear_inbox = alternative(_clear_inbox_in_kernels, _clear_inbox_in_python)


def _write_peers(
    target: Any, builder: Any, kinds: Any, arguments: Any, indices: list[Any], trust: Any, stands: Any
) -> Any:
    """The body of `_put_peers` and `_put_four_chosen`: slots of the contacts of these indices, of whom `stands` says
    which are in their slot. kinds, arguments: out, at, mask, choice, able, shown, edges."""
    (view, at, choices, choice, able, looks, peers), count = arguments, len(indices)
    kept = builder.sext(stands, _vector(_WORD, count))
    for low in range(0, count, _GROUP):
        group = range(low, min(low + _GROUP, count))
        quads = []
        for slot in group:
            edge = element(target, builder, kinds[6], peers, indices[slot])
            peer = builder.load(builder.bitcast(field(builder, kinds[6].dtype, edge, "peer"), _WORD.as_pointer()))
            look = element(target, builder, kinds[5], looks, builder.zext(peer, ir.IntType(64)))
            quads.append(_load(builder, look, _FLOAT, 4, 4))
        lanes = range(4 * len(group))
        spread = [low + lane // 4 for lane in lanes]
        merged = [lane + len(lanes) * (lane % 4 == 2) for lane in lanes]
        numbers = builder.shuffle_vector(_joined(builder, quads), _shuffle(builder, trust, spread), _lanes(merged))
        shown_ones = _shuffle(builder, kept, spread)
        bits = builder.and_(builder.bitcast(numbers, shown_ones.type), shown_ones)
        place = element(target, builder, kinds[0], view, builder.add(at, ir.IntType(64)(4 * low)))
        _store(builder, place, bits, 4)
    ones = builder.insert_element(ir.Constant(_vector(_BYTE, count), None), builder.zext(able, _BYTE), _WORD(0))
    choosable = builder.and_(builder.trunc(kept, ones.type), _shuffle(builder, ones, [0] * count))
    _store(builder, element(target, builder, kinds[2], choices, choice), choosable, 1)
    some = ir.IntType(count)
    return builder.icmp_unsigned("!=", builder.bitcast(stands, some), some(0))


@intrinsic
def _put_peers(
    context: Any, out: Any, at: Any, mask: Any, choice: Any, able: Any, shown: Any, edges: Any, contacts: Any,
    first: Any, slots: Any,
) -> Any:  # fmt: skip
    count = len(slots) - 1

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if count < 1:
            return _BIT(0)
        kinds, (*given, dealt, first, _) = signature.args, arguments
        records = _load(builder, element(target, builder, kinds[7], dealt, first), _DOUBLE, 2 * count, 8)
        trust = builder.fptrunc(_shuffle(builder, records, range(0, 2 * count, 2)), _vector(_FLOAT, count))
        weight = _shuffle(builder, records, range(1, 2 * count, 2))
        stands = builder.fcmp_ordered(">", weight, _constant(_DOUBLE, [0.0] * count))
        indices = [builder.add(first, ir.IntType(64)(slot)) for slot in range(count)]
        return _write_peers(target, builder, kinds, given, indices, trust, stands)

    index = types.intp
    return types.boolean(out, index, mask, index, types.boolean, shown, edges, contacts, index, slots), generate


@intrinsic
def _put_four_chosen(
    context: Any, out: Any, at: Any, mask: Any, choice: Any, able: Any, shown: Any, edges: Any, contacts: Any,
    chosen: Any, first: Any,
) -> Any:  # fmt: skip
    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, (*given, dealt, chosen, first) = signature.args, arguments
        # a slot is its contact's number and nothing else
        numbers = _load(builder, element(target, builder, kinds[8], chosen, first), _WORD, 4, 4)
        there = builder.icmp_signed(">=", numbers, ir.Constant(numbers.type, None))
        numbers = builder.and_(numbers, builder.sext(there, numbers.type))
        indices = [builder.zext(builder.extract_element(numbers, _WORD(k)), ir.IntType(64)) for k in range(4)]
        records = [_load(builder, element(target, builder, kinds[7], dealt, index), _DOUBLE, 2, 8) for index in indices]
        joined = _joined(builder, records)
        trust = builder.fptrunc(_shuffle(builder, joined, [0, 2, 4, 6]), _vector(_FLOAT, 4))
        heavy = builder.fcmp_ordered(">", _shuffle(builder, joined, [1, 3, 5, 7]), _constant(_DOUBLE, [0.0] * 4))
        return _write_peers(target, builder, kinds, given, indices, trust, builder.and_(there, heavy))

    index = types.intp
    return types.boolean(out, index, mask, index, types.boolean, shown, edges, contacts, chosen, index), generate


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Vectors of equal length, one behind the other."""
    lanes = range(len(parts) * parts[0].type.count)
    while len(parts) > 1:
        if len(parts) % 2:
            parts = [*parts, ir.Constant(parts[0].type, ir.Undefined)]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(x, y, _lanes(range(2 * x.type.count))) for x, y in pairs]
    return _shuffle(builder, parts[0], lanes)


def _put_peers_in_python(
    out: Any, at: int, mask: Any, choice: int, able: bool, shown: Any, edges: Any, contacts: Any, first: int, slots: Any
) -> bool:
    found = False
    for slot in range(len(slots) - 1):
        contact, look, place = contacts[first + slot], shown[edges[first + slot].peer], at + 4 * slot
        stands = contact.weight > 0.0
        quad = (look.present, look.reputation, contact.trust, look.frozen)
        out[place], out[place + 1], out[place + 2], out[place + 3] = quad if stands else (0.0, 0.0, 0.0, 0.0)
        mask[choice + slot] = stands and able
        found = found or stands
    return found


@rule
def _put_peers_in_kernels(
    out: Any, at: int, mask: Any, choice: int, able: bool, shown: Any, edges: Any, contacts: Any, first: int, slots: Any
) -> bool:
    return _put_peers(out, at, mask, choice, able, shown, edges, contacts, first, slots)  # type: ignore


#: Peer slots of an agent whose contacts, as many as `slots` says, begin at `first` and are in as many slots: into
#: out[at:], and whether each can be chosen, by an agent able to act, into mask[choice:]. Whether any is not empty.
put_peers = alternative(_put_peers_in_kernels, _put_peers_in_python)


def _put_four_chosen_in_python(
    out: Any,
    at: int,
    mask: Any,
    choice: int,
    able: bool,
    shown: Any,
    edges: Any,
    contacts: Any,
    chosen: Any,
    first: int,
) -> bool:
    found = False
    for slot in range(4):
        contact, place = chosen[first + slot].contact, at + 4 * slot
        stands = contact >= 0 and contacts[max(contact, 0)].weight > 0.0
        look, trust = shown[edges[max(contact, 0)].peer], contacts[max(contact, 0)].trust
        quad = (look.present, look.reputation, trust, look.frozen)
        out[place], out[place + 1], out[place + 2], out[place + 3] = quad if stands else (0.0, 0.0, 0.0, 0.0)
        mask[choice + slot] = stands and able
        found = found or stands
    return found


@rule
def _put_four_chosen_in_kernels(
    out: Any,
    at: int,
    mask: Any,
    choice: int,
    able: bool,
    shown: Any,
    edges: Any,
    contacts: Any,
    chosen: Any,
    first: int,
) -> bool:
    return _put_four_chosen(out, at, mask, choice, able, shown, edges, contacts, chosen, first)  # type: ignore


#: Four peer slots of an agent whose slots vary: likewise, chosen[first:first+4] says whose they are, -1 nobody's.
put_four_chosen = alternative(_put_four_chosen_in_kernels, _put_four_chosen_in_python)

_FOUR = (0,) * 5


@rule
def put_many_peers(
    out: Any, at: int, mask: Any, choice: int, able: bool, shown: Any, edges: Any, contacts: Any, first: int, count: int
) -> bool:
    """What `put_peers` does, for as many contacts as it is told when it runs: at least four."""
    some = False
    for low in range(0, count, 4):
        slot = min(low, count - 4)  # the last four may write some once more
        place = at + 4 * slot
        some |= put_peers(out, place, mask, choice + slot, able, shown, edges, contacts, first + slot, _FOUR)
    return some


@rule
def put_many_chosen(
    out: Any, at: int, mask: Any, choice: int, able: bool, shown: Any, edges: Any, contacts: Any, chosen: Any,
    first: int, count: int,
) -> bool:  # fmt: skip
    """What `put_four_chosen` does, for at least four slots."""
    some = False
    for low in range(0, count, 4):
        slot = min(low, count - 4)
        place = at + 4 * slot
        some |= put_four_chosen(out, place, mask, choice + slot, able, shown, edges, contacts, chosen, first + slot)
    return some
