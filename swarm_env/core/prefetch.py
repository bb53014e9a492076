"""Reading ahead: a batch that does not fit the caches waits for memory, so the rows that come next are asked for early;
and so does a market that does not, for the contacts of the agents that come next.

Only a hint to the processor: no rule depends on it, nothing is written, and in plain Python it does nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from swarm_env.core.compiled import JIT, rule
from swarm_env.core.tables import LINE
from swarm_env.core.types import Market, Scene, State

NEAR, FAR = 1, 2  #: rows ahead for which what a settlement touches, and what every step touches, is asked for
LARGE, SEATS = 2048, 4  #: agents from which on a market asks for contacts, and how many agents ahead
NODES, LINKS, ENDS = 24, 12, 4  #: places of a list ahead for which nodes, links, and nodes at their ends are asked for


@intrinsic
def _hint(context: Any, array: Any, index: Any) -> Any:
    """llvm.prefetch of every cache line of array[index], for writing."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = target.make_array(kind)(target, builder, arguments[0])
        record = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
            target, builder, kind, view, [arguments[1]], wraparound=False
        )
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = builder.bitcast(record, byte)
        called = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], called)
        write, keep, data = number(1), number(3), number(1)
        whole = LINE % kind.dtype.size == 0  # such records lie on one line each
        for at in [0] if whole else [*range(0, kind.dtype.size, LINE), kind.dtype.size - 1]:
            builder.call(prefetch, [builder.gep(start, [number(at)]), write, keep, data])
        return target.get_dummy_value()

    return types.void(array, types.intp), generate


def _nothing(table: Any, index: int) -> None:
    return


hint: Any = _hint if JIT else _nothing


@rule
def read_ahead(scene: Scene, state: State, b: int, end: int) -> None:
    """Ask for the rows behind b, before `end`."""
    if b + FAR < end:
        agents = state.agents[b + FAR]
        for i in range(len(agents)):
            hint(agents, i)
    if b + NEAR < end:
        _ask_for_settlements(scene, state, b + NEAR)


@rule
def _ask_for_settlements(scene: Scene, state: State, b: int) -> None:
    row = state.rows[b]
    agents, proposals, books = state.agents[b], state.proposals[b], state.books[b]
    relations, pairs, edges = state.relations[b], state.pairs[b], scene.edges[row.params]
    hint(state.history[b], row.remembered % len(state.history[b]))
    for i in range(len(agents)):
        contact = agents[i].proposed
        hint(proposals, i)  # to be read, or to be written by the next one
        if contact >= 0:
            hint(books, i)
            hint(relations, contact)
            hint(relations, edges[contact].back)
            if len(pairs) > 1:
                hint(pairs, min(contact, edges[contact].back))


@rule
def ask_for_contacts(market: Market, i: int) -> None:
    """Ask for what the agent that comes after some others sees of its contacts, which lie anywhere."""
    if len(market.agents) < LARGE or i + SEATS >= len(market.agents):
        return
    seat = market.seats[i + SEATS]
    for edge in range(seat.start, seat.stop):
        hint(market.shown, market.edges[edge].peer)


@rule
def ask_for_links(market: Market, soon: int, next: int, onward: bool) -> None:
    """Ask for the links of the agent that a search comes to soon, and for the nodes at the ends of the next one's."""
    node = market.nodes[soon]
    hint(market.links, node.start)
    hint(market.links, node.start + LINE // market.links.itemsize - 1)
    node = market.nodes[next]
    for k in range(node.start, node.start + (node.outs if onward else node.ins)):
        hint(market.nodes, market.links[k].onto if onward else market.links[k].by)
