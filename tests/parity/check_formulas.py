"""Compare every formula of the market with SWARM 1.9.0 on random inputs; exit 1 beyond 1e-12.

    python -m tests.parity.check_formulas [--cases 4000] [--seed 0]

The proxy, the payoffs and the observables here, the rules of the levers in `lever_cases`. Observables are compared
twice: draw by draw, with SWARM's generator fed our uniform numbers; and as distributions, each side drawing its own.
"""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from swarm.core.observable_generator import DefaultObservableGenerator
from swarm.core.payoff import PayoffConfig, SoftPayoffEngine
from swarm.core.proxy import ProxyComputer, ProxyObservables, ProxyWeights
from swarm.env.state import EnvState, InteractionProposal
from swarm.models.agent import AgentState, AgentType
from swarm.models.interaction import SoftInteraction

from benchmarks.text_table import markdown
from swarm_env.core import payoff, propose, proxy, random
from swarm_env.core.types import CONDUCTS
from tests.parity.differences import Differences
from tests.parity.lever_cases import compare_levers
from tests.parity.random_tables import random_payoff

OBSERVABLES = ("progress", "rework", "rejections", "misuse", "engagement")
#: Of rework, rejections and misuse by their number.
SIGNALS = np.array([[proxy.count_signal(n, decay) for n in range(4)] for decay in (0.3, 0.4, 0.5)])
#: What a record of parameters needs for `draw_proposal`; signal and ledger are ours and not compared.
QUIET = SimpleNamespace(
    weights=(0.4, 0.2, 0.2, 0.2), count_signals=SIGNALS, sigmoid_k=2.0, signal_noise=0.0, ledger_noise=0.0,
    deceptive_bias=0.0, disguise_bias=0.0, disguise_probability=0.0, sensitive_bias=0.0, sensitive_probability=0.0,
)  # fmt: skip
REPUTATIONS = (-1.0, -0.4, 0.0, 0.6, 1.0)
MAX_Z = 5.0  # standard errors that two means of the same law may lie apart


def compare_proxy(seen: Differences, rng: np.random.Generator, cases: int) -> None:
    """v_hat and p for random weights, decays and slopes, observables beyond their nominal range included."""
    for _ in range(max(1, cases // 20)):
        weights, k = rng.uniform(0, 1, 4) * rng.integers(0, 2, 4), float(rng.uniform(0.1, 8))
        decays = rng.uniform(0.01, 0.999, 3)
        theirs = ProxyComputer(ProxyWeights(**dict(zip(ProxyWeights.model_fields, weights, strict=True))), k, *decays)
        progress, engagement = rng.uniform(-1.5, 1.5, (2, 20))
        counts = rng.integers(0, 6, (3, 20))
        v_hat, p = proxy.score(progress, *counts, engagement, k=k, weights=weights, decays=decays)
        for n in range(20):
            observables = ProxyObservables(
                task_progress_delta=progress[n],
                rework_count=int(counts[0, n]),
                verifier_rejections=int(counts[1, n]),
                tool_misuse_flags=int(counts[2, n]),
                counterparty_engagement_delta=engagement[n],
            )
            labels = theirs.compute_labels(observables)
            seen.add("proxy v_hat", float(v_hat[n]), labels[0])
            seen.add("proxy p", float(p[n]), labels[1])


def compare_payoffs(seen: Differences, rng: np.random.Generator, cases: int) -> None:
    """Surplus, harm and both payoffs, for random terms and random settings."""
    for _ in range(cases):
        terms = random_payoff(rng)
        engine, settings = SoftPayoffEngine(PayoffConfig(**terms)), payoff.Payoff(**terms)
        p, (tau, r_a, r_b), (c_a, c_b) = rng.random(), rng.normal(size=3), rng.random(2)
        dealing = SoftInteraction(p=p, tau=tau, c_a=c_a, c_b=c_b, r_a=r_a, r_b=r_b)
        seen.add("payoff S", payoff.surplus(p, settings.s_plus, settings.s_minus), engine.expected_surplus(p))
        seen.add("payoff E", payoff.externality(p, settings.h), engine.expected_harm(p))
        ours = payoff.payoffs(p, settings, tau, c_a, c_b, r_a, r_b)
        seen.add("payoff pi_a", float(ours[0]), engine.payoff_initiator(dealing))
        seen.add("payoff pi_b", float(ours[1]), engine.payoff_counterparty(dealing))
        seen.add("payoff pi_a + pi_b", float(ours[0] + ours[1]), engine.total_welfare(dealing))


class OurUniforms:
    """A stand-in for `random.Random` that hands SWARM's generator the numbers that our rules draw."""

    def __init__(self, key: np.uint64, conduct: int) -> None:
        self.key = key
        self.floats = [random.PROGRESS, random.ENGAGEMENT]
        ranges = {random.REWORK: propose.REWORK, random.REJECTIONS: propose.REJECTIONS, random.MISUSE: propose.MISUSE}
        # SWARM does not draw what is constant
        self.wholes = [stream for stream, limits in ranges.items() if limits[conduct, 0] < limits[conduct, 1]]

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * random.uniform(self.key, 0, self.floats.pop(0))

    def randint(self, low: int, high: int) -> int:
        return random.integer(self.key, 0, self.wholes.pop(0), low, high)


def our_observables(conduct: int, reputation: float, key: np.uint64, accepted: bool) -> list[float]:
    """What a proposal shows, after the clip of engagement that a rejection applies."""
    proposal: Any = SimpleNamespace()
    propose.draw_proposal(QUIET, proposal, conduct, reputation, key, 0)
    drawn = [float(getattr(proposal, name)) for name in OBSERVABLES]
    return drawn if accepted else [*drawn[:4], min(drawn[4], 0.0)]


def swarm_observables(conduct: int, reputation: float, source: Any, accepted: bool) -> list[float]:
    """The same from SWARM's generator, drawing from `source`."""
    state = EnvState()
    agent_type = AgentType(CONDUCTS[conduct])
    state.agents["a"] = AgentState(agent_id="a", agent_type=agent_type, reputation=reputation)
    made = DefaultObservableGenerator(source).generate(InteractionProposal(initiator_id="a"), accepted, state)
    return [float(value) for value in (
        made.task_progress_delta, made.rework_count, made.verifier_rejections, made.tool_misuse_flags,
        made.counterparty_engagement_delta,
    )]  # fmt: skip


def compare_observables(seen: Differences, rng: np.random.Generator, cases: int) -> None:
    """Draw by draw, reputations beyond [-1, 1] included."""
    for n in range(cases):
        conduct, reputation, accepted = n % len(CONDUCTS), float(rng.uniform(-1.5, 1.5)), bool(rng.random() < 0.5)
        key = random.step_key(random.episode_key(int(rng.integers(2**60)), 0), 0)
        ours = our_observables(conduct, reputation, key, accepted)
        theirs = swarm_observables(conduct, reputation, OurUniforms(key, conduct), accepted)
        seen.add_arrays(f"observables {CONDUCTS[conduct]}", ours, theirs)


def compare_distributions(rng: np.random.Generator, cases: int) -> bool:
    """Means and ranges by type, over reputations, each side with draws of its own. Prints a table."""
    import random as library

    rows, passed = [], True
    for conduct, kind in enumerate(CONDUCTS):
        worst, samples = np.zeros(5), []
        for reputation in REPUTATIONS:
            keys = [random.step_key(random.episode_key(int(rng.integers(2**60)), 0), 0) for _ in range(cases)]
            source = library.Random(int(rng.integers(2**31)))
            ours = np.array([our_observables(conduct, reputation, key, True) for key in keys])
            theirs = np.array([swarm_observables(conduct, reputation, source, True) for _ in range(cases)])
            error = np.sqrt((ours.var(0) + theirs.var(0)) / cases)
            apart = np.abs(ours.mean(0) - theirs.mean(0))
            worst = np.maximum(worst, np.divide(apart, error, out=np.zeros(5), where=error > 0))
            samples.append((ours, theirs))
        both = [np.concatenate(side) for side in zip(*samples, strict=True)]
        for k, name in enumerate(OBSERVABLES):
            ranges = [f"{side[:, k].min():.2f}..{side[:, k].max():.2f}" for side in both]
            near = np.abs([both[0][:, k].min() - both[1][:, k].min(), both[0][:, k].max() - both[1][:, k].max()])
            fine = worst[k] < MAX_Z and near.max() < 0.02
            passed = passed and bool(fine)
            means = [f"{side[:, k].mean():.3f}" for side in both]
            rows.append((f"{kind} {name}", *means, f"{worst[k]:.1f}", *ranges, "ok" if fine else "DIFFERS"))
    print(markdown(("observable", "mean ours", "SWARM", "largest z", "range ours", "SWARM", ""), rows))
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, seen = np.random.default_rng(options.seed), Differences()
    for compare in (compare_proxy, compare_payoffs, compare_observables, compare_levers):
        compare(seen, rng, options.cases)
    passed = seen.report()
    print("\nObservables by type, reputations -1 to 1 together; z: difference of means in standard errors.\n")
    return 0 if compare_distributions(rng, max(1000, options.cases)) and passed else 1


if __name__ == "__main__":
    sys.exit(main())
