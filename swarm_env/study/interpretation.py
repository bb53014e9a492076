"""The questions of the results template, answered from a study's numbers by fixed rules.

A change counts where its interval is clear of 0 and its p, corrected over the metrics of the pair of arms, is at most
.05. What falls short of that is called no clear change, never none.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from swarm_env.study.annotation import ALWAYS_ON, BASELINE, TARGETED
from swarm_env.study.claims import UNDECIDED, Finding
from swarm_env.study.reading import Change, Reader, better, joined, text

QUALITY = ("quality_gap", "net_social_welfare", "overrefusal_rate")  #: what an intervention must not spoil
SELECTION = ("quality_gap", "spread", "conditional_loss_initiator", "conditional_loss_counterparty")
COLLUSION = ("ecosystem_collusion_risk", "max_pair_score", "n_flagged_pairs")
SECURITY = ("ecosystem_threat_level", "active_threats", "injection_rate")
PAYS = ("return.honest", "sidelined.honest", "intervention_rate_sound", "overrefusal_rate")


class Answer(NamedTuple):
    """A question and what the data say."""

    question: str
    text: str


def answers(reader: Reader) -> list[Answer]:
    """To every question of the template, and who pays."""
    return [
        Answer("Are interventions reducing harm without harming quality?", harm(reader)),
        Answer("Only on high-risk interactions, or always on?", gates(reader)),
        Answer("Who pays?", who_pays(reader)),
        Answer("Is adverse selection increasing or decreasing?", selection(reader)),
        Answer("Any signs of collusion or security-trigger amplification?", amplification(reader)),
    ]


def _trade(reader: Reader, arm: str, against: str) -> str:
    """What happens to harm, and to quality."""
    (toxicity,) = reader.changes(arm, against, "toxicity_rate")
    quality = reader.changes(arm, against, *QUALITY)
    spoiled = [change for change in quality if change.good < 0]
    if toxicity.good > 0:
        verdict = "Yes" if not spoiled else "Less harm, at a price"
    else:
        verdict = "No" if toxicity.good < 0 else "Not shown"
        verdict += ", and quality suffers" if spoiled else ""
    return f"{verdict}: {toxicity}; {joined(quality)}."


def harm(reader: Reader) -> str:
    """Targeted and always-on governance beside none."""
    return (
        f"Targeted, against no governance. {_trade(reader, TARGETED, BASELINE)} "
        f"Always on, against no governance. {_trade(reader, ALWAYS_ON, BASELINE)}"
    )


def gates(reader: Reader) -> str:
    """Always-on less targeted, in all measures."""
    changes = _opened(reader)
    parts = [gate_verdict(reader)]
    for word, sign in (("Opening the gates helps", 1), ("It costs", -1), ("Besides", 0)):
        those = [change for change in changes if change.good == sign]
        if those:
            parts.append(f"{word}: {joined(those)}.")
    return " ".join(parts)


def gate_verdict(reader: Reader) -> str:
    """The same in a sentence."""
    signs = {change.good for change in _opened(reader)}
    if {1, -1} <= signs:
        return "Targeted or always on is a trade-off."
    if -1 in signs:
        return "Targeted is better than always on: opening the gates helps by no measure, and harms by some."
    if 1 in signs:
        return "Always on is better than targeted: opening the gates helps by some measures, and harms by none."
    return "Targeted and always on differ clearly by no measure."


def _opened(reader: Reader) -> list[Change]:
    measured = ("toxicity_rate", *QUALITY, "safety_f1", "return.honest", "intervention_rate", "governance_cost")
    return reader.changes(ALWAYS_ON, TARGETED, *measured)


def who_pays(reader: Reader) -> str:
    """What governance does to honest agents and sound offers."""
    parts = []
    for arm in (TARGETED, ALWAYS_ON):
        found = reader.changes(arm, BASELINE, *PAYS)
        parts.append(f"{arm}: {joined(found)}.")
    return " ".join(parts)


def selection(reader: Reader) -> str:
    """Whether acceptance sorts by quality, and whether governance changes that."""
    gap = reader.mean(BASELINE, "quality_gap")
    state = "absent" if gap > 0 else "present" if gap < 0 else "undefined"
    head = f"Without governance adverse selection is {state} (`quality_gap` {reader.level(BASELINE, 'quality_gap')}). "
    parts = []
    for arm in (TARGETED, ALWAYS_ON):
        changes = reader.changes(arm, BASELINE, *SELECTION)
        sign = changes[0].good if changes else 0
        word = {1: "acceptance sorts more by quality", -1: "acceptance sorts less by quality", 0: "no clear change"}
        parts.append(f"{arm}: {word[sign]} ({joined(changes)}).")
    return head + " ".join(parts)


def amplification(reader: Reader) -> str:
    """Collusion and threat scores, and what fires because of them."""
    parts = []
    for arm in (TARGETED, ALWAYS_ON):
        signs = reader.changes(arm, BASELINE, *COLLUSION, *SECURITY)
        worse = [change for change in signs if change.good < 0]
        head = f"{arm}: " + (f"yes, {joined(worse)}" if worse else "none is clear")
        better_now = [change for change in signs if change.good > 0]
        head += f"; the other way, {joined(better_now)}" if better_now else ""
        fired = ", ".join(f"{name} {reader.level(arm, name)}" for name in ("freezes", "quarantines"))
        parts.append(f"{head} (an episode: {fired}).")
    return " ".join(parts)


def regressions(reader: Reader) -> list[Change]:
    """What the targeted arm makes clearly worse than no governance."""
    shown = [row["metric"] for row in reader.found.document["comparisons"] if row["arm"] == TARGETED]
    changes = reader.changes(TARGETED, BASELINE, *(metric for metric in shown if better(metric)))
    return [change for change in changes if change.good < 0]


def next_iteration(reader: Reader) -> dict[str, list[str]]:
    """Parameter changes and additional scenarios that the numbers suggest."""
    changes = [*_levers(reader), *_variants(reader)]
    scenarios = [_more_seeds(finding) for finding in reader.found.findings if finding.verdict == UNDECIDED]
    elsewhere = sorted({f.claim.tested_by for f in reader.found.findings if f.claim.tested_by})
    scenarios += [f"trained policies: {command}" for command in elsewhere]
    return {"Parameter changes": changes, "Additional scenarios": scenarios}


def _levers(reader: Reader) -> list[str]:
    """What each lever adds to the targeted arm."""
    said = []
    for arm in reader.arms:
        if arm.startswith("without_"):
            changes = reader.changes(arm, TARGETED, "toxicity_rate", *QUALITY)
            clear = [change for change in changes if change.sign]
            lever = arm.removeprefix("without_")
            if not clear:
                said.append(f"{lever} adds nothing clear to the others here: try it stronger, or leave it out")
            elif all(change.good > 0 for change in clear):
                said.append(f"{lever} helps by no measure beside the others here: {joined(clear)} without it")
            else:
                said.append(f"keep {lever}, and see what it costs: {joined(clear)} without it")
    return said


def _variants(reader: Reader) -> list[str]:
    """Arms of the same market that beat the targeted one on harm and spoil nothing."""
    said = []
    for arm in [*reader.arms]:
        if arm in (TARGETED, BASELINE, ALWAYS_ON) or arm.startswith("without_") or arm.endswith("_ungoverned"):
            continue
        changes = reader.changes(arm, TARGETED, "toxicity_rate", *QUALITY)
        if changes and changes[0].good > 0 and not any(change.good < 0 for change in changes):
            said.append(f"arm {arm} is better than targeted: {joined([c for c in changes if c.sign])}")
    return said


def _more_seeds(finding: Finding) -> str:
    """How many seeds an undecided claim would take, if the estimate is right: the interval shrinks with the root."""
    assert finding.claim.expected is not None
    bounds = [bound for bound in finding.claim.expected.bounds if math.isfinite(bound)]
    gap = min((abs(finding.estimate - bound) for bound in bounds), default=math.nan)
    half = (finding.high - finding.low) / 2
    head = f"claim {finding.claim.id} is undecided at {text(finding.estimate)}"
    if math.isnan(half) or gap == 0.0 or half == 0.0:
        return f"{head}: more seeds"
    needed = math.ceil(finding.n * (half / gap) ** 2)
    if needed <= finding.n:
        return f"{head}: more seeds, since p is corrected over all claims"
    return f"{head}: some {needed} seeds would tell, if that is what it is"
