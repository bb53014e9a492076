"""A study's note: Markdown after logs/RESULTS_TEMPLATE.md, and the JSON behind it."""

from __future__ import annotations

import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from swarm_env.engine.journal import to_json
from swarm_env.recording import Whole
from swarm_env.study import interpretation
from swarm_env.study.annotation import ALWAYS_ON, BASELINE, TARGETED, Annotation, Claim, Role
from swarm_env.study.claims import REFUTED, SUPPORTED, UNDECIDED, UNTESTABLE, VERDICTS, Finding
from swarm_env.study.plan import Found
from swarm_env.study.reading import Reader, interval, joined, p_text, text

#: Of every study: what the market's scripts cannot show.
REACH = (
    "All agents are scripts: they do not learn, and a charge deters none of them. What levers do here they do through "
    "reputation, trust, freezes, quarantine and what is taken from whom. A clear change may be too small to matter: "
    "read its size."
)
DIGITS = 5  #: significant, of the numbers in the note's JSON; results.json has all
ARM_COLUMNS = (
    "toxicity_rate",
    "quality_gap",
    "net_social_welfare",
    "overrefusal_rate",
    "intervention_rate",
    "return.honest",
)


def machine() -> str:
    """What the study was played on."""
    return f"{os.cpu_count()} {platform.machine()} cores"


def write_note(folder: Path, annotation: Annotation, found: Found, command: str) -> list[Path]:
    """<study>_results.md and <study>_results.json, each whole or not at all; the note last."""
    name = f"{annotation.study}_results"
    behind = folder / f"{name}.json"
    with Whole(behind) as file:
        file.write(compact({**found.document, "command": command, "machine": machine()}))
    note = folder / f"{name}.md"
    with Whole(note) as file:
        file.write(render(annotation, found, command))
    return [note, behind]


def compact(document: dict[str, Any]) -> str:
    """JSON with a line for each row of a table, and for each other entry."""
    lines = []
    for key, value in to_json(_rounded(document)).items():
        if isinstance(value, list) and value:
            rows = ",\n".join("  " + json.dumps(row, allow_nan=False, separators=(",", ":")) for row in value)
            lines.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) and math.isfinite(value) else value


def render(annotation: Annotation, found: Found, command: str) -> str:
    """The note."""
    reader = Reader(found)
    sections = [
        f"# Results: {annotation.study}",
        f"<!-- Written by `{command}` from its numbers alone; change the annotation, not this file. -->",
        *_summary(annotation, reader, command),
        *_claims(found),
        *_metrics(reader),
        *_arms(reader),
        "### Interpretation",
        "\n".join(f"- {answer.question} {answer.text}" for answer in interpretation.answers(reader)),
        REACH,
        *([f"Read by hand, after the run: {_line(annotation.reading)}"] if annotation.reading else []),
        "### Next Iteration",
        *_next(reader),
        *_paper(annotation),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(annotation: Annotation, reader: Reader, command: str) -> list[str]:
    document, findings = reader.found.document, reader.found.findings
    settings = document["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    worse = interpretation.regressions(reader)
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in VERDICTS}
    toxicity = reader.change(TARGETED, BASELINE, "toxicity_rate")
    return [
        "### Summary",
        "\n".join(
            [
                f"- Goal: {_line(annotation.goal)}",
                f"- Paper: {annotation.paper.title}, arXiv {annotation.paper.ids.arxiv}",
                f"- Run: `{command}`, {document['created'][:10]}, {machine()}; scenario {settings['scenario']}, "
                f"{len(document['arms'])} arms, {settings['seeds']} paired seeds of {settings['episodes']} episodes; "
                f"{versions}",
                f"- Key observation: of {len(findings)} claims {counts[SUPPORTED]} supported, {counts[REFUTED]} "
                f"refuted, {counts[UNDECIDED]} undecided, {counts[UNTESTABLE]} not testable here. Targeted "
                f"intervention against none: {toxicity}. {interpretation.gate_verdict(reader)}",
                f"- Risks / regressions of targeted intervention, against none: {joined(worse, 'none is clear')}",
            ]
        ),
    ]


def _line(words: str) -> str:
    return " ".join(words.split())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _claims(found: Found) -> list[str]:
    rows = [_row("claim", "tested by", "expected", "found, 95 %", "p Holm", "verdict"), "|---|---|---|---|---|---|"]
    tested = [finding for finding in found.findings if finding.claim.testable]
    for finding in tested:
        claim = finding.claim
        words = f"{claim.id}: {_line(claim.text)}{_source(claim)}"
        undefined = f"; undefined on {finding.undefined} seeds" if finding.undefined else ""
        numbers = f"{text(finding.estimate)} {interval(finding._asdict())}{undefined}; {_levels(finding)}"
        rows.append(_row(words, _test(finding), _expected(finding), numbers, p_text(finding.p_holm), finding.verdict))
    said = [
        "### Claims",
        "Supported: the interval lies in what was expected, and p, corrected over all tested claims, is at most .05. "
        "Refuted: the interval lies clear of it, and so does p. Else undecided.",
        "\n".join(rows),
    ]
    others = [finding.claim for finding in found.findings if not finding.claim.testable]
    if others:
        lines = [
            f"- {claim.id}: {_line(claim.text)}{_source(claim)} Why not: {_line(str(claim.reason))}"
            + (f" Tested by: {claim.tested_by}." if claim.tested_by else "")
            for claim in others
        ]
        said += ["Not testable here:", "\n".join(lines)]
    return said


def _source(claim: Claim) -> str:
    return f" ({claim.source})" if claim.source else ""


def _levels(finding: Finding) -> str:
    return ", ".join(f"{arm} {text(mean)}" for arm, mean in finding.values)


def _test(finding: Finding) -> str:
    condition = finding.claim.condition
    assert condition is not None
    epochs = "" if condition.epochs == "all" else f", {condition.epochs}"
    return f"`{finding.claim.metric}`{epochs}: {condition.arm}" + (
        f" - {condition.against}" if condition.against else ""
    )


def _expected(finding: Finding) -> str:
    expected = finding.claim.expected
    assert expected is not None
    if expected.direction is not None:
        return "below 0" if expected.direction == "lower" else "above 0"
    low, high = expected.bounds
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def _metrics(reader: Reader) -> list[str]:
    arms = (BASELINE, TARGETED, ALWAYS_ON)
    rows = [_row("metric", *arms, f"{TARGETED} - {BASELINE}", "p Holm"), "|---|---|---|---|---|---|"]
    for row in reader.found.document["comparisons"]:
        if (row["arm"], row["against"]) == (TARGETED, BASELINE):
            difference = f"{text(row['difference'])} {interval(row)}".rstrip()
            levels = (reader.level(arm, row["metric"]) for arm in arms)
            rows.append(_row(f"`{row['metric']}`", *levels, difference, p_text(row["p_holm"])))
    return ["### Metrics", "Means over seeds [95 % bootstrap interval]; - is undefined.", "\n".join(rows)]


def _arms(reader: Reader) -> list[str]:
    there = {(row["arm"], row["metric"]) for row in reader.found.document["summary"]}
    rows = [
        _row("arm", "what it is", *(f"`{metric}`" for metric in ARM_COLUMNS)),
        "|---" * (2 + len(ARM_COLUMNS)) + "|",
    ]
    for arm in reader.found.document["arms"]:
        name = arm["arm"]
        cells = (reader.level(name, metric) if (name, metric) in there else "-" for metric in ARM_COLUMNS)
        rows.append(_row(name, _line(arm["text"]), *cells))
    return ["### Arms", "\n".join(rows)]


def _next(reader: Reader) -> list[str]:
    parts = []
    for title, lines in interpretation.next_iteration(reader).items():
        parts.append(
            "\n".join([f"- {title}:", *(f"  - {line}" for line in lines or ["none that the numbers suggest"])])
        )
    return ["\n".join(parts)]


def _plays(role: Role) -> list[str]:
    kinds = (("archetypes", role.archetypes), ("levers", role.levers))
    return [f"{word} {', '.join(names)}" for word, names in kinds if names]


def _paper(annotation: Annotation) -> list[str]:
    profile = annotation.risk_profile
    roles = [
        f"- {role.name}: {'; '.join(_plays(role))}" + (f". {_line(role.text)}" if role.text else "")
        for role in annotation.roles
    ]
    return [
        "### Annotation",
        "\n".join(
            [
                f"- Interaction density: {profile.interaction_density}",
                f"- Failure modes: {'; '.join(map(_line, profile.failure_modes))}",
                f"- Assumptions: {'; '.join(map(_line, profile.assumptions))}",
                *roles,
            ]
        ),
    ]
