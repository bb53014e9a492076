"""The kernels' logistic function, logarithm and cosine: of additions, multiplications, divisions and tables alone.

IEEE 754 fixes what these return, to the bit. So every machine has the same numbers, and so have plain Python and a GPU;
C libraries, and NVIDIA's, differ from each other in the last place. No rule here calls a function or branches.

A table holds the function on a grid; a short series does the rest. Adding 1.5 * 2**k to a number that is small beside
it rounds it to a multiple of 2**(k - 52), and leaves the number of that multiple in the lowest bits. These are cut to
the size of the table, so that no argument reads beside it.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.compiled import rule

Table = NDArray[np.float64]

_EIGHTHS = 1.5 * 2.0**49  # added to a number, rounds it to eighths
_64THS = 1.5 * 2.0**46
_128THS = 1.5 * 2.0**45
_ROOT_BITS = np.float64(math.sqrt(0.5)).view(np.int64)
_EXPONENT = np.int64(-(1 << 52))  # the bits of a double that are not its mantissa's
_MANTISSA_BITS = np.int64(52)
_DIGITS = Context(prec=40)
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def _decays() -> Table:
    """exp(-j/8) for j from -1024 to 1023, at j modulo 2048; correctly rounded."""
    table, rise, fall = np.ones(2048), (Decimal(1) / 8).exp(), (Decimal(-1) / 8).exp()
    up, down = rise, Decimal(1)
    for j in range(1024):
        table[j], table[-1 - j] = down, up
        up, down = up * rise, down * fall
    return table


def _circle() -> Table:
    """(cosine, sine) of j/64 of a turn, correctly rounded."""
    angle, term, sums = _PI / 32, Decimal(1), [Decimal(0)] * 4
    for n in range(24):
        sums[n % 4] += term
        term *= angle / (n + 1)
    cos, sin = sums[0] - sums[2], sums[1] - sums[3]
    x, y, quarter = Decimal(1), Decimal(0), np.empty((16, 2))
    for j in range(16):
        quarter[j] = x, y
        x, y = x * cos - y * sin, x * sin + y * cos
    turned = np.stack([-quarter[:, 1], quarter[:, 0]], axis=1)
    return np.concatenate([quarter, turned, -quarter, -turned]) + 0.0  # no -0


def _turns() -> Table:
    """Row j: cos(2*pi*(j/64 + r)) = sum of row[n] * r**n for |r| <= 1/128, within 2e-17.

    Taylor's series to r**8, the last term replaced by what is left of it without Chebyshev's T8(128*r).
    """
    cos, sin = _circle().T
    signs = (cos, -sin, -cos, sin)
    rows = [signs[n % 4] * float((2 * _PI) ** n / math.factorial(n)) for n in range(9)]
    rows[6] += rows[8] * 2.0 / 128.0**2
    rows[4] -= rows[8] * 1.25 / 128.0**4
    rows[2] += rows[8] * 0.25 / 128.0**6
    return np.stack(rows[:8], axis=1) + 0.0


def _logs() -> Table:
    """log(j/128) where j/128 lies between sqrt(1/2) and sqrt(2), else 0; correctly rounded."""
    table = np.zeros(256)
    for j in range(90, 183):
        table[j] = (Decimal(j) / 128).ln()
    return table


with localcontext(_DIGITS):
    _DECAY, _TURN, _LOG = _decays(), _turns(), _logs()
    _LN2 = float(Decimal(2).ln())


@rule
def sigmoid(x: float) -> float:
    """1/(1 + exp(-x)) for |x| <= 100; elsewhere it means nothing. Never above 1, and 1/2 at 0.

    With exp(-x) = exp(-j/8) * exp(-r) and exp(-r) = (b - r)/(b + r), b = r*coth(r/2).
    """
    shifted = x + _EIGHTHS
    decay = _DECAY[np.float64(shifted).view(np.int64) & 2047]
    r = x - (shifted - _EIGHTHS)  # exact; |r| <= 1/16
    s = r * r
    b = 2.0 + s * (1 / 6 - s * (1 / 360 - s * (1 / 15120)))
    above = b + r
    return float(above / (above + decay * (b - r)))


@rule
def cos_turn(u: float) -> float:
    """cos(2*pi*u), the cosine of u turns, 0 <= u <= 1. Exact at quarters of a turn."""
    shifted = u + _64THS
    row = _TURN[np.float64(shifted).view(np.int64) & 63]
    r = u - (shifted - _64THS)  # exact; |r| <= 1/128
    high = row[4] + r * (row[5] + r * (row[6] + r * row[7]))
    return float(row[0] + r * (row[1] + r * (row[2] + r * (row[3] + r * high))))


@rule
def log(x: float) -> float:
    """Natural logarithm of 0 < x <= 1 (a normal number); never above 0, and 0 at 1.

    The mantissa m and the grid point c next to it: log(m/c) = 2*atanh(r), r = (m - c)/(m + c).
    """
    bits = np.float64(x).view(np.int64)
    above = bits - _ROOT_BITS
    mantissa = np.int64(bits - (above & _EXPONENT)).view(np.float64)  # in [sqrt(1/2), sqrt(2))
    shifted = mantissa + _128THS
    center = shifted - _128THS
    near = float(above >> _MANTISSA_BITS) * _LN2 + _LOG[np.float64(shifted).view(np.int64) & 255]
    r = (mantissa - center) / (mantissa + center)  # |r| <= 1/361
    s = r * r
    return float(near + (2.0 * r + r * s * (2 / 3 + s * (2 / 5))))
