"""Raw interactions -> `Table`: nothing reaches a metric that the columns do not allow."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.metrics.interactions import COLUMNS, MONEY, Column, Floats, Ints, PayoffTerms, Table

if TYPE_CHECKING:
    from swarm_env.metrics.collusion import CollusionSettings
    from swarm_env.metrics.security import SecuritySettings

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
    columns = _columns(interactions)
    _check_against_each_other(columns)
    agents, a, b = _seats(columns["initiator"], columns["counterparty"], num_agents)
    if not 0.0 <= safety_threshold <= 1.0:
        raise ValueError(f"safety_threshold must be in [0, 1], not {safety_threshold!r}")
    return Table(
        **columns,
        agents=agents,
        a=a,
        b=b,
        terms=None if payoff is None else _terms(payoff),
        trust=None if trust is None else _trust(trust, agents, num_agents),
        safety_threshold=float(safety_threshold),
        collusion=collusion,
        security=security,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that names the known names next to `name`, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known)}"


def _columns(interactions: Mapping[str, ArrayLike] | NDArray[Any]) -> dict[str, Any]:
    """Every column of `COLUMNS`, given or default, as arrays of one length."""
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
    columns = {name: _checked(name, values, COLUMNS[name]) for name, values in given.items()}
    length = columns["p"].size
    if ragged := {name: values.size for name, values in columns.items() if values.size != length}:
        raise ValueError(f"columns must be of one length: p has {length} rows, {ragged} differ")
    return {name: columns[name] if name in columns else _default(name, columns) for name in COLUMNS}


def _checked(name: str, values: ArrayLike, column: Column) -> NDArray[Any]:
    """One column as an array of its type; ValueError where it holds anything else."""
    kind, words = KINDS[column.kind]
    allowed = f"{name} must hold {words} in [{column.low:g}, {column.high:g}]"
    try:
        array = np.asarray(values)
        array = array.astype(np.float64) if array.dtype.kind == "O" or array.size == 0 else array
    except (TypeError, ValueError) as error:
        raise ValueError(f"{allowed}: {error}") from None
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise ValueError(f"{allowed}, as a 1-D array, not {array.dtype} of shape {array.shape}")
    fine = (array >= column.low) & (array <= column.high)
    if column.kind != "float":
        fine &= array == np.floor(array)
    if name == "v":
        allowed, fine = "v must hold +1, -1 or NaN", (np.abs(array) == 1) | np.isnan(array)
    if not fine.all():
        row = int(np.argmin(fine))
        raise ValueError(f"{allowed}; row {row} holds {array[row]}")
    return array.astype(kind)


def _default(name: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    default, length = COLUMNS[name].default, columns["p"].size
    if default == "row":
        return np.arange(length, dtype=np.int64)
    if isinstance(default, str):
        return columns[default]
    return np.full(length, default).astype(KINDS[COLUMNS[name].kind][0])


def _check_against_each_other(columns: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for an acceptance that nobody gave, and for steps that start again with each epoch."""
    if (silent := columns["accepted"] & ~columns["responded"]).any():
        raise ValueError(f"row {int(np.argmax(silent))} is accepted and yet not responded")
    in_time = np.lexsort((columns["step"], columns["epoch"]))
    if (np.diff(columns["step"][in_time]) < 0).any():
        raise ValueError("step must count on from epoch to epoch (epoch * steps_per_epoch + step in epoch)")


def _seats(initiator: Ints, counterparty: Ints, num_agents: int | None) -> tuple[Ints, Ints, Ints]:
    """Agent ids (N,), and the positions of both parties among them, (n,) each."""
    if num_agents is None:
        agents, place = np.unique(np.concatenate((initiator, counterparty)), return_inverse=True)
        place = place.astype(np.int64)
        return agents, place[: initiator.size], place[initiator.size :]
    try:
        size = operator.index(num_agents)
    except TypeError:
        size = -1
    if size < 0:
        raise ValueError(f"num_agents must be a whole number >= 0, not {num_agents!r}")
    for name, ids in (("initiator", initiator), ("counterparty", counterparty)):
        if ids.max(initial=-1) >= size:
            raise ValueError(f"{name} must hold ids below num_agents = {size}, not {ids.max()}")
    return np.arange(size, dtype=np.int64), initiator, counterparty


def _terms(payoff: object) -> PayoffTerms:
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


def _trust(values: ArrayLike, agents: Ints, num_agents: int | None) -> Floats:
    """Numbers by agent id, picked for `agents`: shape (N,)."""
    array = _checked("trust", values, Column("float", -MONEY, MONEY, None, "trust placed in an agent"))
    need = int(agents.max(initial=-1)) + 1 if num_agents is None else num_agents
    if array.size < need or (num_agents is not None and array.size > need):
        raise ValueError(f"trust must hold one number for each agent id ({need} of them), not {array.size}")
    return array[agents]
