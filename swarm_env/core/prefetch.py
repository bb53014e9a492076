"""Reading ahead: a batch that does not fit the caches waits for memory, so the rows that come next are asked for early;
and so does a market that does not, for those whom its next agents deal with, who lie anywhere.

Only a hint to the processor: no rule depends on it, nothing is written; in plain Python and on a GPU it does nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.cpu import CPUContext
from numba.extending import intrinsic

from swarm_env.core.compiled import alternative, rule
from swarm_env.core.tables import LINE
from swarm_env.core.types import VOTE, Market, Scene, State

NEAR, FAR = 1, 2  #: rows ahead for which what a settlement touches, and what every step touches, is asked for
LARGE, SEATS = 2048, 8  #: agents from which on a market asks for what lies anywhere, and how many agents ahead
NODES, LINKS, ENDS = 24, 12, 4  #: how far ahead in a list nodes, links, and the nodes at their ends are asked for


@intrinsic
def _hint(context: Any, array: Any, index: Any) -> Any:
    """llvm.prefetch of every cache line of array[index], for writing; on a GPU nothing."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not issubclass(type(target), CPUContext):
            return target.get_dummy_value()
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


@rule
def _hint_in_kernels(table: Any, index: int) -> None:
    _hint(table, index)  # type: ignore[call-arg]


hint: Any = alternative(_hint_in_kernels, _nothing)


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
def ask_for_orders(market: Market, i: int, actions: Any) -> None:
    """Before agent i decides: ask for what one that comes soon will look at, as a learner."""
    last = len(market.agents) - 1
    if last < LARGE:
        return
    soon = min(i + SEATS, last)
    seat, first = market.seats[soon], market.agents[soon].first
    if seat.learner >= 0:
        hint(market.contacts, seat.start)
        slot = actions[seat.learner, market.params.inbox + 1]
        hint(market.contacts, min(max(seat.start + slot, 0), len(market.contacts) - 1))
    if first >= 0:
        hint(market.agents, first)
        hint(market.proposals, first)


@rule
def ask_for_settlement(market: Market, i: int) -> None:
    """Before agent i's proposal is settled: ask for what settling one that comes soon touches."""
    last = len(market.agents) - 1
    if last < LARGE:
        return
    later, soon = market.agents[min(i + 2 * SEATS, last)].proposed, min(i + SEATS, last)
    if later >= 0:
        hint(market.edges, later)
    contact = market.agents[soon].proposed
    if contact < 0:
        return
    edge = market.edges[contact]
    hint(market.proposals, soon)
    hint(market.books, soon)
    hint(market.books, edge.peer)
    hint(market.agents, edge.peer)
    _ask_for_dealing(market, contact)
    _ask_for_dealing(market, edge.back)


@rule
def _ask_for_dealing(market: Market, contact: int) -> None:
    hint(market.contacts, contact)
    hint(market.relations, contact)
    if len(market.pairs) > 1:
        hint(market.pairs, contact)


@rule
def ask_for_target(market: Market, later: int, soon: int) -> None:
    """Ask for whom an agent that acts soon has chosen, and for the contact of one that acts later."""
    contact = market.agents[later].scratch.contact
    if contact >= 0:
        hint(market.edges, contact)
    contact = market.agents[soon].scratch.contact
    if contact < 0:
        return
    hint(market.agents, market.edges[contact].peer)
    if market.agents[soon].scratch.verb == VOTE:
        hint(market.contacts, contact)
        hint(market.relations, contact)
    else:
        hint(market.proposals, soon)


@rule
def ask_for_contacts(market: Market, i: int) -> None:
    """Before agent i is shown its view: ask for what one that comes soon sees of its contacts and of who asked it."""
    last = len(market.agents) - 1
    if last < LARGE:
        return
    soon = min(i + SEATS, last)
    seat, first = market.seats[soon], market.agents[soon].first
    for edge in range(seat.start, seat.stop):
        hint(market.shown, market.edges[edge].peer)
    if first >= 0:
        hint(market.agents, first)
        hint(market.proposals, first)


@rule
def ask_for_links(market: Market, soon: int, next: int, onward: bool) -> None:
    """Ask for the links of the agent that a search comes to soon, and for the nodes at the ends of the next one's."""
    node = market.nodes[soon]
    hint(market.links, node.start)
    hint(market.links, node.start + LINE // market.links.itemsize - 1)
    node = market.nodes[next]
    for k in range(node.start, node.start + (node.outs if onward else node.ins)):
        hint(market.nodes, market.links[k].onto if onward else market.links[k].by)
