"""Reading ahead: a batch that does not fit the caches waits for memory, so what the row that comes next will touch is
asked for early; and so does a market that does not, for those whom its next agents deal with, who lie anywhere.

A processor can wait for some twenty cache lines at once. So a row is asked for a little at a time, agent by agent,
while the one before it is played; asked for in one go, it makes the processor wait. What is written where nobody looked
before (history, relations, pairs, books) matters most: every later store queues behind a store that waits for memory.

Only a hint to the processor: no rule depends on it, nothing is written; in plain Python and on a GPU it does nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cpu import CPUContext
from numba.extending import intrinsic

from swarm_env.core.addresses import element
from swarm_env.core.compiled import alternative, natural, rule
from swarm_env.core.picks import BITS
from swarm_env.core.sizes import agents_in, contacts_in, first_contact, inbox_slots, learner_of, learners_in, peer_slots
from swarm_env.core.tables import LINE
from swarm_env.core.types import VOTE, Market

LARGE, SEATS = 2048, 8  #: agents from which on a market asks for its own, which lie anywhere, so many agents ahead
SMALL = 64  #: agents up to which an epoch's end is asked for, which looks at whole tables
FORGOTTEN, SUSPECTS = 2, 12  #: of a history: interactions that leave it, lines of suspicious ones, that are asked for
NODES, LINKS, ENDS = 24, 12, 4  #: how far ahead in a list what a search reads is asked for


def _prefetch(builder: Any, start: Any, offset: Any) -> None:
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    called = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], called)
    write, keep, data = number(1), number(3), number(1)
    builder.call(prefetch, [builder.gep(builder.bitcast(start, byte), [offset]), write, keep, data])


@intrinsic
def _hint(context: Any, array: Any, index: Any) -> Any:
    """llvm.prefetch of every cache line of array[index], for writing; on a GPU nothing."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not issubclass(type(target), CPUContext):
            return target.get_dummy_value()
        kind = signature.args[0]
        record = element(target, builder, kind, arguments[0], arguments[1])
        whole = LINE % kind.dtype.size == 0  # such records lie on one line each
        for at in [0] if whole else [*range(0, kind.dtype.size, LINE), kind.dtype.size - 1]:
            _prefetch(builder, record, ir.IntType(64)(at))
        return target.get_dummy_value()

    return types.void(array, types.intp), generate


def _nothing(table: Any, index: int) -> None:
    return


@rule
def _hint_in_kernels(table: Any, index: int) -> None:
    _hint(table, index)  # type: ignore[call-arg]


hint: Any = alternative(_hint_in_kernels, _nothing)


@intrinsic
def _hint_line(context: Any, start: Any, offset: Any) -> Any:
    """llvm.prefetch of the cache line that many bytes behind the start of an array or a record; on a GPU nothing."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not issubclass(type(target), CPUContext):
            return target.get_dummy_value()
        kind, first = signature.args[0], arguments[0]
        if isinstance(kind, types.Array):
            first = target.make_array(kind)(target, builder, first).data
        _prefetch(builder, first, arguments[1])
        return target.get_dummy_value()

    return types.void(start, types.intp), generate


@rule
def _hint_line_in_kernels(record: Any, line: int) -> None:
    _hint_line(record, LINE * line)  # type: ignore[call-arg]


#: Ask for a line of a record, or for one behind it: its first one has number 0.
hint_line: Any = alternative(_hint_line_in_kernels, _nothing)


@intrinsic
def _size(context: Any, array: Any) -> Any:
    """Bytes of an entry: known to the compiler, where array.itemsize and array.strides are read from memory."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0].dtype
        return ir.IntType(64)(kind.size if isinstance(kind, types.Record) else kind.bitwidth // 8)

    return types.intp(array), generate


@rule
def _hint_behind_in_kernels(table: Any, place: int, lines: int) -> None:
    size: int = _size(table)  # type: ignore[call-arg]
    for line in range(lines):
        _hint_line(table, place * size + LINE * line)


def _nothing_behind(table: Any, place: int, lines: int) -> None:
    return


#: Ask for the first lines of what lies that many entries behind the start of a table: the next environment's own table
#: lies right behind this one's.
hint_behind: Any = alternative(_hint_behind_in_kernels, _nothing_behind)


@rule
def at_once(market: Market) -> int:
    """How many agents a phase looks at before it goes through those whom it picked: in a market that asks for what
    these touch some agents ahead, no more than that."""
    return BITS if agents_in(market) < LARGE else SEATS


@rule
def ask_for_row(market: Market) -> None:
    """Before the agents decide: ask for the row of the environment after the next one, and, as the next one's is at
    hand by now, for where its history goes on."""
    for line in range(3, 6):
        hint_line(market.next_row, line)
    hint_behind(market.history, len(market.history) + market.next_row.oldest, 2)


@rule
def ask_for_forgotten(market: Market) -> None:
    """After the agents have acted: ask for what is written when the oldest of the next environment's history go."""
    history, oldest = market.next_history, market.next_row.oldest
    if agents_in(market) >= LARGE or market.next_row.remembered < len(history):
        return
    for place in range(oldest, min(oldest + FORGOTTEN, len(history))):
        contact = history[natural(place)].contact
        initiator = market.edges[natural(market.edges[natural(contact)].back)].peer
        hint_behind(market.relations, contacts_in(market) + contact, 1)
        hint_behind(market.books, agents_in(market) + initiator, 2)


@rule
def ask_for_epoch(market: Market) -> None:
    """As an epoch ends: ask for what the levers will look through when the next environment's does, most likely now."""
    if agents_in(market) > SMALL:
        return
    size, contacts = agents_in(market), contacts_in(market)
    for i in range(size):
        hint_behind(market.books, size + i, 2)
    for pair in range(contacts // 2):
        hint_behind(market.pairs, contacts // 2 + pair, 1)
    for contact in range(0, contacts, 2):  # two on a line
        hint_behind(market.relations, contacts + contact, 1)
    hint_behind(market.history, len(market.history) + market.next_row.suspect, SUSPECTS)


@rule
def ask_for_dealings(market: Market, i: int) -> None:
    """While agent i acts: ask for what settling its proposal touches in the environment that comes next."""
    if contacts_in(market) == 0:
        return
    contact = market.next_agents[natural(i)].proposed
    # no branch, see `picks`: who proposed nothing asks for what is at hand, this environment's first entries
    due = contact >= 0
    pair = contacts_in(market) // 2 + market.edges[natural(max(contact, 0))].pair
    hint_behind(market.books, agents_in(market) + i if due else 0, 2)
    hint_behind(market.relations, contacts_in(market) + contact if due else 0, 1)
    hint_behind(market.pairs, pair if due else 0, 1)
    hint_behind(market.contacts, contacts_in(market) + first_contact(market, int(i)), 2)


@rule
def ask_for_orders(market: Market, i: int, actions: Any) -> None:
    """Before agent i decides: ask for what is read first in the next environment; in a large market, for what an agent
    that comes soon will look at, as a learner."""
    last = agents_in(market) - 1
    if last < LARGE:
        hint_behind(market.agents, last + 1 + i, 2)
        place = learners_in(market, actions) + max(learner_of(market, i), 0)
        hint_behind(actions, place * (inbox_slots(market) + 3), 1)
        return
    later, soon = min(i + 2 * SEATS, last), min(i + SEATS, last)
    if len(market.contacts) > 0 and learners_in(market, actions) > 0:
        end = len(market.slots) - 1  # there is one alone, if nobody has more contacts than slots
        hint(market.slots, min(_chosen(market, later, actions), end))
        place = _chosen(market, soon, actions)
        hint(market.contacts, place)
        hint(market.contacts, max(int(market.slots[natural(min(place, end))].contact), 0))
    first = market.agents[soon].first
    if first >= 0:
        hint(market.agents, first)
        hint(market.proposals, first)


@rule
def _chosen(market: Market, i: int, actions: Any) -> int:
    """Where among contacts and slots the peer slot is that agent i chooses as a learner; there are some."""
    seat = market.seats[i]
    slot = actions[max(seat.learner, 0), inbox_slots(market) + 1]
    return int(min(max(seat.start + slot, 0), len(market.contacts) - 1))


@rule
def ask_for_vote(market: Market, verb: int, contact: int) -> None:
    """Once an agent has made up its mind: ask for where its vote will be noted."""
    hint(market.relations, contact if verb == VOTE else 0)  # no branch, see `picks`


@rule
def ask_for_settlement(market: Market, i: int) -> None:
    """Before agent i's proposal is settled: ask for the next environment's; in a large market, for what settling one
    that comes soon touches."""
    last = agents_in(market) - 1
    if last < LARGE:
        hint_behind(market.proposals, last + 1 + i, 1)
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
    hint(market.agents, edge.peer)
    hint(market.contacts, contact)
    hint(market.contacts, edge.back)
    hint(market.relations, contact)
    hint(market.pairs, edge.pair)


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


def asker_for_contacts(own: int, heads: int) -> Any:
    """The rule `ask_for_contacts`. own, heads: entries of an observation and of a mask beside those of the slots."""

    @rule
    def ask_for_contacts(market: Market, i: int, learner: int, observation: Any, mask: Any) -> None:
        """Before agent i is shown its view: ask for where its next environment's goes; in a large market, for
        what an agent that comes soon sees of who asked it."""
        last = agents_in(market) - 1
        if last < LARGE:
            place, inbox, peers = learners_in(market, mask) + learner, inbox_slots(market), peer_slots(market)
            looks = own + 4 * (inbox + peers)
            hint_behind(observation, place * looks, 1 + looks // (LINE // 4))
            hint_behind(mask, place * (heads + 2 * inbox + peers), 1)
            return
        soon = min(i + SEATS, last)
        first = market.agents[soon].first  # what it sees of contacts is little, and in the caches
        if first >= 0:
            hint(market.agents, first)
            hint(market.proposals, first)
        first = market.agents[i].first  # and this one's trust in who asked it: its inbox is written a little later
        if first >= 0:
            hint(market.contacts, market.edges[market.agents[first].proposed].back)

    return ask_for_contacts


@rule
def ask_for_links(market: Market, soon: int) -> None:
    """Ask for the links of the agent that a search comes to soon."""
    start = market.nodes[soon].start
    hint(market.links, start)
    hint(market.links, start + LINE // market.links.itemsize - 1)
