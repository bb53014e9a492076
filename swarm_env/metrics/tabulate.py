"""Raw interactions -> `Table`: nothing reaches a metric that the columns do not allow."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.metrics.clock import Clock
from swarm_env.metrics.interactions import COLUMNS, MONEY, Column, Floats, Ints, PayoffTerms, Table

if TYPE_CHECKING:
    from swarm_env.metrics.collusion import CollusionSettings
    from swarm_env.metrics.threats import SecuritySettings

MARKED = 2**22  # ids below this are told apart by a mark each, which is quicker than sorting
KINDS = {
    "int": (np.int64, "whole numbers"),
    "float": (np.float64, "numbers"),
    "bool": (np.bool_, "truth values"),
}


def tabulate(
    interactions: Mapping[str, ArrayLike] | NDArray[Any],
    payoff: object = None,
    *,
    trust: ArrayLike | None = None,
    num_agents: int | None = None,
    safety_threshold: float = 0.5,
    collusion: CollusionSettings | None = None,
    security: SecuritySettings | None = None,
) -> Table:
    """Check recorded interactions and complete them.

    interactions: mapping of equal-length 1-D arrays, or a structured array (its fields of
    other names are passed over); `COLUMNS` lists names, ranges,
    defaults.
    payoff: an object or mapping with s_plus, s_minus, h, theta, rho_a, rho_b, w_rep; None where no metric
    needs it.
    trust: one number for each agent id, for the laundering check; None: equal trust, hence no laundering.
    num_agents: size of the market (ids 0..num_agents-1); None: the agents seen in the table.
    safety_threshold: quality t in [0, 1] from which on a proposal is sound.
    Raises ValueError naming the column or setting and what it allows.
    """
    columns = checked(given_columns(interactions), 0)
    Clock(math.inf).advance(columns["epoch"], columns["step"])
    agents = seats(columns, num_agents)
    a, b = places(columns, agents, num_agents)
    return Table(
        **columns,
        a=a,
        b=b,
        agents=agents,
        terms=None if payoff is None else payoff_terms(payoff),
        trust=None if trust is None else trust_of(trust, agents, num_agents),
        safety_threshold=checked_threshold(safety_threshold),
        collusion=collusion,
        security=security,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that names the known names next to `name`, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}"


def given_columns(interactions: Mapping[str, ArrayLike] | NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns that were given, unchecked but for their names and shape: arrays of one length."""
    if isinstance(interactions, np.ndarray):
        # a structured array is a whole record, as `env.interactions()` gives it; its other fields are no mistake
        fields = [name for name in interactions.dtype.names or () if name in COLUMNS]
        given: dict[str, Any] = {name: interactions[name] for name in fields}
    elif isinstance(interactions, Mapping):
        given = dict(interactions)
    else:
        raise ValueError(f"interactions must be a mapping or a structured array, not {type(interactions).__name__}")
    for name in given:
        if name not in COLUMNS:
            raise ValueError(f"unknown column {name!r}; {nearest(str(name), COLUMNS)}")
    required = [name for name, column in COLUMNS.items() if column.default is None]
    if missing := [name for name in required if name not in given]:
        raise ValueError(f"missing column {', '.join(missing)}; required: {', '.join(required)}")
    columns = {name: _array(name, values, COLUMNS[name]) for name, values in given.items()}
    length = columns["p"].size
    if ragged := {name: values.size for name, values in columns.items() if values.size != length}:
        raise ValueError(f"columns must be of one length: p has {length} rows, {ragged} differ")
    return columns


def checked(given: Mapping[str, NDArray[Any]], first: int) -> dict[str, Any]:
    """Every column of `COLUMNS`, given or default, of its type and within its range; row `first` is the first one."""
    columns = {name: typed(name, values, COLUMNS[name], first) for name, values in given.items()}
    columns = {name: columns[name] if name in columns else _default(name, columns, first) for name in COLUMNS}
    if (silent := columns["accepted"] > columns["responded"]).any():
        raise ValueError(f"row {first + int(np.argmax(silent))} is accepted and yet not responded")
    return columns


def _allowed(name: str, column: Column) -> str:
    if name == "v":
        return "v must hold +1, -1 or NaN"
    return f"{name} must hold {KINDS[column.kind][1]} in [{column.low:g}, {column.high:g}]"


def _array(name: str, values: ArrayLike, column: Column) -> NDArray[Any]:
    """One column as an array of numbers; ValueError where it is none."""
    try:
        array = np.asarray(values)
        array = array.astype(np.float64) if array.dtype.kind == "O" or array.size == 0 else array
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_allowed(name, column)}: {error}") from None
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise ValueError(f"{_allowed(name, column)}, as a 1-D array, not {array.dtype} of shape {array.shape}")
    return array


def typed(name: str, array: NDArray[Any], column: Column, first: int) -> NDArray[Any]:
    """A copy of one column in its type; ValueError where it holds what the column may not."""
    kind = KINDS[column.kind][0]
    whole = array.dtype.kind in "biu" or column.kind == "float"
    # the quick way first: extremes, which are NaN where there is a NaN
    if whole and name != "v" and array.size and column.low <= array.min() and array.max() <= column.high:
        return array.astype(kind)
    fine = (array >= column.low) & (array <= column.high)
    if not whole:
        fine &= array == np.floor(array)
    if name == "v":
        fine = (np.abs(array) == 1) | np.isnan(array)
    if not fine.all():
        row = int(np.argmin(fine))
        raise ValueError(f"{_allowed(name, column)}; row {first + row} holds {array[row]}")
    return array.astype(kind)


def _default(name: str, columns: Mapping[str, NDArray[Any]], first: int) -> NDArray[Any]:
    default, length = COLUMNS[name].default, columns["p"].size
    if default == "row":
        return np.arange(first, first + length, dtype=np.int64)
    if isinstance(default, str):
        return columns[default]
    return np.full(length, default).astype(KINDS[COLUMNS[name].kind][0])


def seats(columns: Mapping[str, NDArray[Any]], num_agents: int | None) -> Ints:
    """Ids of the agents, (N,), ascending: all below num_agents, or those seen in the columns."""
    if num_agents is None:
        parties = columns["initiator"], columns["counterparty"]
        top = max(int(ids.max(initial=-1)) for ids in parties)
        if top >= MARKED:
            return np.unique(np.concatenate(parties))
        seen = np.zeros(top + 1, dtype=np.bool_)
        for ids in parties:
            seen[ids] = True
        return np.flatnonzero(seen)
    try:
        size = operator.index(num_agents)
    except TypeError:
        size = -1
    if size < 0:
        raise ValueError(f"num_agents must be a whole number >= 0, not {num_agents!r}")
    return np.arange(size, dtype=np.int64)


def places(columns: Mapping[str, NDArray[Any]], agents: Ints, num_agents: int | None) -> tuple[Ints, Ints]:
    """Positions of both parties among the agents, (n,) each."""
    initiator, counterparty = columns["initiator"], columns["counterparty"]
    for name, ids in (("initiator", initiator), ("counterparty", counterparty)):
        if num_agents is not None and ids.max(initial=-1) >= agents.size:
            raise ValueError(f"{name} must hold ids below num_agents = {agents.size}, not {ids.max()}")
    if not agents.size or agents[-1] == agents.size - 1:
        return initiator, counterparty
    return np.searchsorted(agents, initiator), np.searchsorted(agents, counterparty)


def checked_threshold(threshold: float) -> float:
    """A safety_threshold in [0, 1]; ValueError for any other."""
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"safety_threshold must be in [0, 1], not {threshold!r}")
    return float(threshold)


def payoff_terms(payoff: object) -> PayoffTerms:
    """The seven numbers, from attributes or from a mapping (which may also carry sigmoid_k, unused here)."""
    names = PayoffTerms._fields
    if isinstance(payoff, Mapping):
        for unknown in [str(key) for key in payoff if key not in (*names, "sigmoid_k")]:
            raise ValueError(f"payoff: unknown key {unknown!r}; {nearest(unknown, names)}")
        found = {name: payoff[name] for name in names if name in payoff}
    else:
        found = {name: getattr(payoff, name) for name in names if hasattr(payoff, name)}
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"payoff: {', '.join(missing)} missing; it needs {', '.join(names)}")
    for name, value in found.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and abs(value) <= MONEY):
            raise ValueError(f"payoff: {name} must be a finite number within +-{MONEY:g}, not {value!r}")
    return PayoffTerms(**{name: float(value) for name, value in found.items()})


def trust_of(values: ArrayLike, agents: Ints, num_agents: int | None) -> Floats:
    """Numbers by agent id, picked for `agents`: shape (N,)."""
    column = Column("float", -MONEY, MONEY, None, "trust placed in an agent")
    array = typed("trust", _array("trust", values, column), column, 0)
    need = int(agents.max(initial=-1)) + 1 if num_agents is None else num_agents
    if array.size < need or (num_agents is not None and array.size > need):
        raise ValueError(f"trust must hold one number for each agent id ({need} of them), not {array.size}")
    return array[agents]
