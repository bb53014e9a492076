"""Payoffs of one interaction, and the section that sets them (market.md; SWARM section 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from swarm_env.core.compiled import kernel, rule
from swarm_env.core.section import Section
from swarm_env.core.tables import table


class Payoff(Section):
    """``payoff:`` section. Money is in resource units; an agent starts with `market.initial_resources` of them."""

    s_plus: float = Field(default=2.0, ge=0, le=1e6, description="surplus when the interaction turns out well")
    s_minus: float = Field(default=1.0, ge=0, le=1e6, description="loss when it turns out badly")
    h: float = Field(default=2.0, ge=0, le=1e6, description="harm to third parties when it turns out badly")
    theta: float = Field(default=0.5, ge=0, le=1, description="initiator's share of the surplus")
    rho_a: float = Field(default=0.0, ge=0, le=1, description="share of the harm the initiator bears")
    rho_b: float = Field(default=0.0, ge=0, le=1, description="share of the harm the counterparty bears")
    w_rep: float = Field(default=1.0, ge=0, le=100, description="value of one unit of reputation")
    sigmoid_k: float = Field(default=2.0, gt=0, le=100, description="slope of p = 1/(1+exp(-k*v_hat))")


@rule
def surplus(p: float, s_plus: float, s_minus: float) -> float:
    """S = p*s_plus - (1-p)*s_minus."""
    return p * s_plus - (1.0 - p) * s_minus


@rule
def externality(p: float, h: float) -> float:
    """E = (1-p)*h."""
    return (1.0 - p) * h


@rule
def payoff_a(payoff: Any, p: float, tau: float, c_a: float, r_a: float) -> float:
    """pi_a = theta*S - tau - c_a - rho_a*E + w_rep*r_a. `payoff` is a record with the section's fields."""
    s = surplus(p, payoff.s_plus, payoff.s_minus)
    return payoff.theta * s - tau - c_a - payoff.rho_a * externality(p, payoff.h) + payoff.w_rep * r_a


@rule
def payoff_b(payoff: Any, p: float, tau: float, c_b: float, r_b: float) -> float:
    """pi_b = (1-theta)*S + tau - c_b - rho_b*E + w_rep*r_b."""
    s = surplus(p, payoff.s_plus, payoff.s_minus)
    return (1.0 - payoff.theta) * s + tau - c_b - payoff.rho_b * externality(p, payoff.h) + payoff.w_rep * r_b


@kernel
def _payoffs(payoff: Any, terms: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for n in range(terms.shape[1]):
        p, tau = terms[0, n], terms[1, n]
        out[0, n] = payoff_a(payoff[0], p, tau, terms[2, n], terms[4, n])
        out[1, n] = payoff_b(payoff[0], p, tau, terms[3, n], terms[5, n])


def payoffs(
    p: ArrayLike,
    payoff: Payoff,
    tau: ArrayLike = 0.0,
    c_a: ArrayLike = 0.0,
    c_b: ArrayLike = 0.0,
    r_a: ArrayLike = 0.0,
    r_b: ArrayLike = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Payoffs of initiator and counterparty; arrays in, arrays out, broadcast against each other.

    Args:
        p: probability that the interaction is beneficial, in [0, 1].
        payoff: the `payoff:` section.
        tau: transfer from initiator to counterparty.
        c_a: governance cost of the initiator.
        c_b: of the counterparty.
        r_a: reputation change of the initiator.
        r_b: of the counterparty.

    Returns:
        (pi_a, pi_b), float64, before the effort that conduct costs the initiator.

    Raises:
        ValueError: some p outside [0, 1].
    """
    terms = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (p, tau, c_a, c_b, r_a, r_b)))
    if not np.all((terms[0] >= 0) & (terms[0] <= 1)):
        raise ValueError("p must be in [0, 1]")
    settings = table(np.dtype([(name, np.float64) for name in Payoff.model_fields]), 1)
    for name in Payoff.model_fields:
        settings[name] = getattr(payoff, name)
    out = np.empty((2, terms[0].size))
    _payoffs(settings, np.stack([t.ravel() for t in terms]), out)
    return out[0].reshape(terms[0].shape), out[1].reshape(terms[0].shape)
