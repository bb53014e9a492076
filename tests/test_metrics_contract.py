"""What `compute` takes, and how it says what it does not take."""

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from swarm_env.metrics import COLUMNS, METRICS, compute, tabulate

PAYOFF = {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0.25, "rho_b": 0.5, "w_rep": 1}


def table_of(**columns):
    """A table of rows 0 -> 1, accepted, p .9, unless said otherwise."""
    n = len(next(iter(columns.values())))
    plain = {"initiator": [0] * n, "counterparty": [1] * n, "p": [0.9] * n, "accepted": [True] * n}
    return plain | columns


FOUR = table_of(p=[0.8, 0.4, 0.2, 0.6], accepted=[True, True, False, False], v=[1, -1, np.nan, 1])


def test_structured_arrays_and_payoff_objects_give_the_same():
    columns = {name: np.asarray(values) for name, values in FOUR.items()}
    rows = np.zeros(4, dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    expected = compute(FOUR, PAYOFF | {"sigmoid_k": 2.0})
    assert compute(rows, SimpleNamespace(**PAYOFF)) == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


def test_names_choose_and_order():
    assert list(compute(FOUR, PAYOFF, ["spread", "quality_gap"])) == ["spread", "quality_gap"]
    assert list(compute(FOUR, PAYOFF, "spread")) == ["spread"]
    assert compute(FOUR, PAYOFF, []) == {}


def test_defaults_are_what_the_columns_say():
    table = tabulate(FOUR, PAYOFF)
    assert table.p_offer.tolist() == FOUR["p"]
    assert table.step.tolist() == [0, 1, 2, 3]
    assert table.responded.all()
    for name in ("tau", "c_a", "c_b", "r_a", "r_b", "effort", "misuse", "rejections", "epoch"):
        assert not getattr(table, name).any(), name
    assert set(COLUMNS) <= set(vars(table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": [0.1, 1.2]}, r"p must hold numbers in \[0, 1\]; row 1 holds 1.2"),
        ({"p": [0.1, math.nan]}, "p must hold numbers"),
        ({"p": ["a", "b"]}, "p must hold numbers"),
        ({"p": [[0.1], [0.2, 0.3]]}, "p must hold numbers"),
        ({"p": [[0.1], [0.2]]}, "1-D"),
        ({"tau": [0.0, math.inf]}, "tau must hold numbers"),
        ({"accepted": [True, 2]}, "accepted must hold truth values"),
        ({"initiator": [0, -1]}, "initiator must hold whole numbers"),
        ({"misuse": [0, 0.5]}, "misuse must hold whole numbers"),
        ({"v": [0, 1]}, r"v must hold \+1, -1 or NaN"),
        ({"c_a": [0.0]}, "p has 2 rows, {'c_a': 1} differ"),
        ({"acepted": [True, True]}, "unknown column 'acepted'; did you mean accepted"),
        ({"responded": [True, False]}, "row 1 is accepted and yet not responded"),
        ({"step": [5, 0], "epoch": [0, 1]}, "step must count on from epoch to epoch"),
    ],
)
def test_bad_columns(change, message):
    with pytest.raises(ValueError, match=message):
        compute(table_of(p=[0.1, 0.2]) | change, PAYOFF)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["toxicity"]}, "unknown metric 'toxicity'; did you mean toxicity_"),
        ({"num_agents": 1}, r"counterparty must hold ids below num_agents = 1"),
        ({"num_agents": 2.5}, "num_agents must be a whole number"),
        ({"trust": [0.5]}, "trust must hold one number for each agent"),
        ({"trust": [0.5] * 3, "num_agents": 2}, "trust must hold one number for each agent"),
        ({"trust": [0.5, math.nan]}, "trust must hold numbers"),
        ({"safety_threshold": 2.0}, "safety_threshold must be in"),
        ({"payoff": {"s_plus": 2}}, "payoff: s_minus, h, theta, rho_a, rho_b, w_rep missing"),
        ({"payoff": PAYOFF | {"tehta": 1}}, "unknown key 'tehta'; did you mean theta"),
        ({"payoff": PAYOFF | {"h": math.inf}}, "h must be a finite number"),
        ({"payoff": None}, "needs a payoff"),
        ({"interactions": 3}, "must be a mapping"),
        ({"interactions": {"p": [0.1]}}, "missing column initiator, counterparty, accepted"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        compute(**({"interactions": table_of(p=[0.1, 0.2]), "payoff": PAYOFF} | arguments))


def test_a_table_without_payoff_says_what_it_lacks():
    table = tabulate(table_of(p=[0.1]))
    assert METRICS["toxicity_rate"].function(table) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="needs a payoff"):
        METRICS["total_welfare"].function(table)


def test_metrics_need_numpy_only():
    code = "import sys, swarm_env.metrics; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pydantic", "numba", "gymnasium", "pettingzoo", "torch", "scipy"} & set(loaded.split())
