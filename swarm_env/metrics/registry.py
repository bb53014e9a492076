"""The registry of metrics: a name, its function, and how to read its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from swarm_env.metrics import calibration, incoherence, quality, safety, welfare
from swarm_env.metrics.bad_deals import BadDeals
from swarm_env.metrics.collusion import collusion_report
from swarm_env.metrics.dealings import Dealings
from swarm_env.metrics.interactions import Part, Record
from swarm_env.metrics.outcomes import Outcomes
from swarm_env.metrics.security import security_levels
from swarm_env.metrics.threats import Signs
from swarm_env.metrics.totals import Payoffs, Totals

Better = Literal["lower", "higher"] | None
EXACT = "exact to rounding"
PAID, DRAWN = (Totals, Payoffs), (Outcomes,)
INF = float("inf")
ANY, COUNT, UNIT, SIGNED = (-INF, INF), (0.0, INF), (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True)
class Metric:
    """One column of a metrics file; `range` is closed, and NaN (undefined) lies outside it."""

    function: Callable[[Record], float]
    description: str
    range: tuple[float, float]
    better: Better
    needs: tuple[type[Part], ...] = (Totals,)  # statistics that the function reads
    streamed: str = EXACT  # how far the value over a `Stream` may be from the one over a table


def _collusion(field: str, description: str, bounds: tuple[float, float]) -> Metric:
    def read(table: Record) -> float:
        return float(getattr(table.once(collusion_report), field))

    return Metric(read, description, bounds, "lower", needs=(Totals, Dealings))


def _security(field: str, description: str, bounds: tuple[float, float]) -> Metric:
    def read(table: Record) -> float:
        return float(getattr(table.once(security_levels), field))

    return Metric(read, description, bounds, "lower", needs=(Totals, Dealings, Signs, BadDeals))


METRICS: dict[str, Metric] = {
    # how many
    "total_interactions": Metric(quality.total_interactions, "interactions settled", COUNT, None),
    "accepted_interactions": Metric(quality.accepted_interactions, "of them accepted", COUNT, None),
    "rejected_interactions": Metric(quality.rejected_interactions, "of them rejected or expired", COUNT, None),
    "expired_interactions": Metric(quality.expired_interactions, "of them never answered", COUNT, None),
    "acceptance_rate": Metric(quality.acceptance_rate, "share accepted", UNIT, None),
    # how good, and what selection did
    "toxicity_rate": Metric(quality.toxicity_rate, "E[1-p | accepted]", UNIT, "lower"),
    "toxicity_rate_all": Metric(quality.toxicity_rate_all, "E[1-p]", UNIT, "lower"),
    "toxicity_hard": Metric(quality.toxicity_hard, "P(p < .5 | accepted)", UNIT, "lower"),
    "quality_gap": Metric(quality.quality_gap, "E[p | accepted] - E[p | rejected]", SIGNED, "higher"),
    "spread": Metric(quality.spread, "(s_plus+s_minus)*(E[p] - E[p | accepted])", ANY, "lower"),
    "conditional_loss_initiator": Metric(
        welfare.conditional_loss_initiator, "E[pi_a | accepted] - E[pi_a]", ANY, "higher", needs=PAID
    ),
    "conditional_loss_counterparty": Metric(
        welfare.conditional_loss_counterparty, "E[pi_b | accepted] - E[pi_b]", ANY, "higher", needs=PAID
    ),
    "quality_correlation": Metric(quality.quality_correlation, "corr(p, accepted)", SIGNED, "higher"),
    "average_quality": Metric(quality.average_quality, "E[p]", UNIT, "higher"),
    "average_quality_accepted": Metric(quality.average_quality_accepted, "E[p | accepted]", UNIT, "higher"),
    "quality_variance": Metric(quality.quality_variance, "Var(p)", (0.0, 0.25), None),
    "quality_std": Metric(quality.quality_std, "standard deviation of p", (0.0, 0.5), None),
    "baseline_harm": Metric(quality.baseline_harm, "toxicity of accepting everything", UNIT, "lower"),
    "selection_credit": Metric(quality.selection_credit, "toxicity that selection saved", SIGNED, "higher"),
    "selection_saturation": Metric(quality.selection_saturation, "|corr(p, accepted)|", UNIT, None),
    "participation_high_quality": Metric(quality.participation_high_quality, "P(accepted | p >= t)", UNIT, "higher"),
    "participation_low_quality": Metric(quality.participation_low_quality, "P(accepted | p < t)", UNIT, "lower"),
    "uncertain_fraction": Metric(quality.uncertain_fraction, "P(|p-.5| < .2)", UNIT, None),
    "incoherence_index": Metric(incoherence.incoherence_index, "E[1 - |2p-1|]", UNIT, "lower"),
    # what it paid
    "total_welfare": Metric(welfare.total_welfare, "sum of pi_a + pi_b, accepted", ANY, "higher", needs=PAID),
    "net_social_welfare": Metric(welfare.net_social_welfare, "sum of S - E, accepted", ANY, "higher", needs=PAID),
    "avg_initiator_payoff": Metric(welfare.avg_initiator_payoff, "E[pi_a | accepted]", ANY, "higher", needs=PAID),
    "avg_counterparty_payoff": Metric(welfare.avg_counterparty_payoff, "E[pi_b | accepted]", ANY, "higher", needs=PAID),
    "payoff_variance_initiator": Metric(welfare.payoff_variance_initiator, "Var(pi_a)", COUNT, None, needs=PAID),
    "payoff_variance_counterparty": Metric(welfare.payoff_variance_counterparty, "Var(pi_b)", COUNT, None, needs=PAID),
    "cv_p": Metric(welfare.cv_p, "coefficient of variation of p", COUNT, None),
    "cv_payoff_initiator": Metric(
        welfare.cv_payoff_initiator, "coefficient of variation, pi_a", COUNT, None, needs=PAID
    ),
    "cv_payoff_counterparty": Metric(
        welfare.cv_payoff_counterparty, "coefficient of variation, pi_b", COUNT, None, needs=PAID
    ),
    "payoff_gini": Metric(welfare.payoff_gini, "inequality of the agents' total payoffs", UNIT, "lower", needs=PAID),
    "governance_cost": Metric(welfare.governance_cost, "sum of c_a + c_b", ANY, "lower"),
    # how far the label can be trusted
    "brier_score": Metric(calibration.brier_score, "E[(p-y)^2]", UNIT, "lower", needs=DRAWN),
    "log_loss": Metric(calibration.log_loss, "cross entropy of y under p", COUNT, "lower", needs=DRAWN),
    "expected_calibration_error": Metric(
        calibration.expected_calibration_error, "mean |p - frequency| over 10 bins", UNIT, "lower", needs=DRAWN
    ),
    "calibration_error": Metric(calibration.calibration_error, "E[p] - E[y], best at 0", SIGNED, None, needs=DRAWN),
    "discrimination_auc": Metric(
        calibration.discrimination_auc,
        "P(p ranks +1 above -1)",
        UNIT,
        "higher",
        needs=DRAWN,
        streamed="exact up to 2**20 outcomes, else to auc_error",
    ),
    # how safe the responses were
    "attack_success_rate": Metric(safety.attack_success_rate, "P(accepted | p_offer < t)", UNIT, "lower"),
    "overrefusal_rate": Metric(safety.overrefusal_rate, "P(rejected | p_offer >= t)", UNIT, "lower"),
    "safety_f1": Metric(safety.safety_f1, "harmonic mean of 1-ASR and 1-ORR", UNIT, "higher"),
    # collusion and security
    "ecosystem_collusion_risk": _collusion("ecosystem_collusion_risk", "collusion risk of the market", UNIT),
    "n_flagged_pairs": _collusion("n_flagged_pairs", "pairs with a suspicious record", COUNT),
    "n_flagged_groups": _collusion("n_flagged_groups", "groups of them that favour themselves", COUNT),
    "max_pair_score": _collusion("max_pair_score", "highest collusion score of a pair", UNIT),
    "ecosystem_threat_level": _security("ecosystem_threat_level", "security threat to the market", UNIT),
    "active_threats": _security("active_threats", "indicators of a threat", COUNT),
    "contagion_depth": _security("contagion_depth", "agents reached by the deepest chain", COUNT),
    "injection_rate": _security("injection_rate", "injection indicators per interaction", UNIT),
    "manipulation_rate": _security("manipulation_rate", "manipulators per agent", UNIT),
    "laundering_rate": _security("laundering_rate", "laundering paths per interaction", COUNT),
    "exfiltration_attempts": _security("exfiltration_attempts", "interactions with misuse >= 2", COUNT),
}
