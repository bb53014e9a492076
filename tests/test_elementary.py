"""The core's own functions: accurate to the last places, exact where it shows, and the same in plain Python."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numba
import numpy as np
import pytest

from swarm_env.core import compiled, elementary

SIZE = 100_000
PI = Decimal("3.14159265358979323846264338327950288419716939937510582")
#: Largest error in units of the result's last place; what was seen: 2.93, 1.64, 1.90.
UNITS = {"sigmoid": 3.0, "cos_turn": 2.0, "log": 2.0}


def exact_sigmoid(x: float) -> Decimal:
    return 1 / (1 + (-Decimal(x)).exp())


def exact_cos_turn(u: float) -> Decimal:
    """By the series of the angle to the nearest quarter."""
    quarter = round(4 * u)
    angle, term, sums = (Decimal(u) - Decimal(quarter) / 4) * 2 * PI, Decimal(1), [Decimal(0)] * 4
    for n in range(26):
        sums[n % 4] += term
        term *= angle / (n + 1)
    cos, sin = sums[0] - sums[2], sums[1] - sums[3]
    return (cos, -sin, -cos, sin)[quarter % 4]


def exact_log(x: float) -> Decimal:
    return Decimal(x).ln()


EXACT = {"sigmoid": exact_sigmoid, "cos_turn": exact_cos_turn, "log": exact_log}

#: Name -> results at .1, .3, .7 and .9.
RECORDED = {
    "sigmoid": ["0x1.0cca12729afb8p-1", "0x1.261d545e46a8ap-1", "0x1.561cb52a19475p-1", "0x1.6c0192bdc382ep-1"],
    "cos_turn": ["0x1.9e3779b97f4a8p-1", "-0x1.3c6ef372fe94fp-2", "-0x1.3c6ef372fe955p-2", "0x1.9e3779b97f4a9p-1"],
    "log": ["-0x1.26bb1bbb55515p+1", "-0x1.34378fcbda721p+0", "-0x1.6d3c324e13f50p-2", "-0x1.af8e8210a415cp-4"],
}


def steps(grid: float, low: float, high: float) -> list[float]:
    """Where the nearest grid point changes, and its neighbours."""
    edges = np.arange(low + grid / 2, high, grid)
    return np.concatenate([edges, np.nextafter(edges, low), np.nextafter(edges, high)]).tolist()


def arguments(name: str) -> Any:
    """SIZE random ones, more where relative accuracy is hard, and the edges."""
    rng = np.random.default_rng(0)
    near = 10.0 ** rng.uniform(-15, -1, SIZE // 4)
    if name == "sigmoid":
        parts = [rng.uniform(-100, 100, SIZE // 2), rng.uniform(-3, 3, SIZE // 2), near, -near]
        edges = [0.0, -0.0, 100.0, -100.0, *steps(1 / 8, -10, 10)]
    elif name == "cos_turn":
        parts = [rng.random(SIZE), (rng.integers(0, 4, near.size) / 4 + near) % 1.0, 0.25 - near, 0.75 - near]
        edges = [0.0, 1.0, np.nextafter(1.0, 0.0), 2.0**-53, *steps(1 / 64, 0, 1)]
    else:
        parts = [1.0 - rng.random(SIZE), 1.0 - near, near, 2.0 ** -rng.integers(1, 54, 100).astype(float)]
        edges = [1.0, np.nextafter(1.0, 0.0), 0.5**0.5, np.nextafter(0.5**0.5, 0), 2.0**-53, 2.0**-1022]
        edges += steps(1 / 128, 0.25, 1)
    return np.concatenate([*parts, edges])


def compute(name: str, values: Any) -> Any:
    """In machine code, where it is on."""
    function = getattr(elementary, name)
    if not compiled.JIT:
        return np.array([function(x) for x in values.tolist()])

    @numba.njit(error_model="numpy")
    def run(values: Any, out: Any) -> None:
        for n in range(len(values)):
            out[n] = function(values[n])

    out = np.empty(len(values))
    run(values, out)
    return out


@pytest.mark.parametrize("name", EXACT)
def test_errors_are_a_few_units_in_the_last_place_at_most(name: str) -> None:
    values = arguments(name)
    found = compute(name, values)
    with localcontext(prec=34):
        worst = 0.0
        for x, y in zip(values.tolist(), found.tolist(), strict=True):
            exact = EXACT[name](x)
            worst = max(worst, float(abs(Decimal(y) - exact)) / float(np.spacing(abs(float(exact)))))
    assert 0.4 < worst < UNITS[name]


@pytest.mark.skipif(not compiled.JIT, reason="machine code is off")
@pytest.mark.parametrize("name", EXACT)
def test_plain_python_has_the_same_bits(name: str) -> None:
    values, function = arguments(name), getattr(elementary, name)
    plain = np.array([function(x) for x in values.tolist()])
    assert np.array_equal(compute(name, values).view(np.int64), plain.view(np.int64))


def test_bits_are_those_of_every_machine() -> None:
    """Recorded on x86-64; another machine, compiler or version of NumPy must not change them."""
    found = {name: [float(getattr(elementary, name)(x)).hex() for x in (0.1, 0.3, 0.7, 0.9)] for name in EXACT}
    assert found == RECORDED


def test_exact_points() -> None:
    turns = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [elementary.cos_turn(u) for u in turns] == [1.0, 0.0, -1.0, 0.0, 1.0]
    assert elementary.log(1.0) == 0.0
    assert elementary.sigmoid(0.0) == 0.5
    assert elementary.sigmoid(100.0) == 1.0


def test_logarithms_are_never_positive() -> None:
    values = arguments("log")
    found = compute("log", values)
    assert np.all(found <= 0.0)
    assert np.all(found[values < 1.0] < 0.0)


def test_results_stay_in_their_range() -> None:
    assert np.abs(compute("cos_turn", arguments("cos_turn"))).max() <= 1.0
    p = compute("sigmoid", arguments("sigmoid"))
    assert p.min() > 0.0
    assert p.max() <= 1.0


@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", -30, 30), ("log", 1e-3, 1), ("cos_turn", 0.5, 1)])
def test_results_rise_from_step_to_step(name: str, low: float, high: float) -> None:
    """Over steps that are larger than the error, grid points' borders among them."""
    assert np.all(np.diff(compute(name, np.linspace(low, high, 20_001))) > 0.0)
