"""Datasets by the columns of their tables: what may be done with them, and what a row says.

Columns and licences as the datasets' cards have them; what could not be checked at the source is marked (?) in
docs/language_data.md. Nothing is downloaded here: users bring the files, or name a dataset of the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from trainers.language.data.records import BadRowError, Preference
from trainers.language.prompts import HARMFUL, Prompt

Row = Mapping[str, Any]
Record = Prompt | Preference
TRAIN_AND_EVAL = ("train", "eval")
EVAL_ONLY = ("eval",)
BENCHMARK = "it is a benchmark: what is trained on it can no longer be tested on it"


class Schema(NamedTuple):
    """A dataset."""

    title: str
    columns: tuple[str, ...]  # that a table must have
    optional: tuple[str, ...]  # that are read where there are any
    uses: tuple[str, ...]  # of train, eval
    licence: str
    hub: str  # where the Hugging Face hub has it
    config: str | None  # there
    split: str  # there
    read: Callable[[Row, str, str], list[Record]]  # (row, source, id) to what it says; raises BadRowError
    why: str = ""  # why a use is missing from `uses`
    hub_options: tuple[tuple[str, Any], ...] = ()  # further keywords of datasets.load_dataset
    preferences: bool = False  # whether rows are preferences, not prompts


def text(row: Row, column: str) -> str:
    """A column's text; raises BadRowError where there is none."""
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRowError(f"{column} is empty")
    if not isinstance(value, str):
        raise BadRowError(f"{column} is {str(value)[:40]}, not text")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise BadRowError(f"{column} is not UTF-8")
    return value


def one_of(row: Row, column: str, known: Mapping[str, Any]) -> str:
    """A column's word, one of those known; raises BadRowError."""
    value = str(row.get(column)).strip()
    if value not in known:
        raise BadRowError(f"unknown {column} {value[:40]!r}: one of {', '.join(known)}")
    return value


def a_flag(row: Row, column: str) -> bool:
    """A column that says 1 or 0, true or false."""
    known = {"1": True, "0": False, "True": True, "False": False, "true": True, "false": False}
    return known[one_of(row, column, known)]


def own_id(row: Row, column: str, number: str) -> str:
    """The row's own name for itself, else its number."""
    value = row.get(column)
    return number if value is None or value == "" else str(value)


#: data_type of WildJailbreak: the kind of prompt, and the column that holds it. Its benign prompts look harmful.
WILDJAILBREAK: dict[str, tuple[str, str]] = {
    "vanilla_harmful": ("harmful", "vanilla"),
    "vanilla_benign": ("benign_sensitive", "vanilla"),
    "adversarial_harmful": ("adversarial_harmful", "adversarial"),
    "adversarial_benign": ("benign_sensitive", "adversarial"),
}


def a_prompt(said: str, kind: str, source: str, name: str) -> Prompt:
    """A prompt of a kind that settles whether it is harmful."""
    return Prompt(said, kind, kind in HARMFUL, source, name)


def read_wildjailbreak_train(row: Row, source: str, number: str) -> list[Record]:
    """The prompt is in the column that data_type names."""
    kind, column = WILDJAILBREAK[one_of(row, "data_type", WILDJAILBREAK)]
    return [a_prompt(text(row, column), kind, source, number)]


def read_wildjailbreak_eval(row: Row, source: str, number: str) -> list[Record]:
    """Adversarial prompts; label and data_type have to agree."""
    kind, _ = WILDJAILBREAK[one_of(row, "data_type", WILDJAILBREAK)]
    if a_flag(row, "label") != (kind in HARMFUL):
        raise BadRowError(f"label {row['label']!r} contradicts data_type {row['data_type']!r}")
    return [a_prompt(text(row, "adversarial"), kind, source, number)]


def read_or_bench(row: Row, source: str, number: str) -> list[Record]:
    """Sound requests that models refuse."""
    return [a_prompt(text(row, "prompt"), "benign_sensitive", source, number)]


def read_or_bench_toxic(row: Row, source: str, number: str) -> list[Record]:
    """Requests that ought to be refused."""
    return [a_prompt(text(row, "prompt"), "harmful", source, number)]


def read_xstest(row: Row, source: str, number: str) -> list[Record]:
    """By label; older tables have none, and there a type that starts with "contrast_" is unsafe."""
    type_ = text(row, "type")
    if row.get("label") in (None, ""):
        unsafe = type_.startswith("contrast_")
    else:
        unsafe = one_of(row, "label", {"safe": 0, "unsafe": 1}) == "unsafe"
    kind = "harmful" if unsafe else "benign_sensitive"
    return [a_prompt(text(row, "prompt"), kind, source, own_id(row, "id", number))]


def read_fortress(row: Row, source: str, number: str) -> list[Record]:
    """Two prompts a row: the attack, and the sound request that resembles it."""
    name = own_id(row, "ID", number)
    attack, sound = text(row, "adversarial_prompt"), text(row, "benign_prompt")
    return [
        a_prompt(attack, "adversarial_harmful", source, f"{name}:adversarial"),
        a_prompt(sound, "benign_sensitive", source, f"{name}:benign"),
    ]


def read_strongreject(row: Row, source: str, number: str) -> list[Record]:
    """Forbidden requests."""
    return [a_prompt(text(row, "forbidden_prompt"), "harmful", source, number)]


_LAST = "\n\nAssistant:"


def read_hh_rlhf(row: Row, source: str, number: str) -> list[Record]:
    """Two transcripts that part after their last "Assistant:"."""
    split = {}
    for column in ("chosen", "rejected"):
        before, marker, response = text(row, column).rpartition(_LAST)
        if not marker or not before.strip():
            raise BadRowError(f"{column} has no prompt before a last {_LAST.strip()!r}")
        if not response.strip():
            raise BadRowError(f"{column} ends without a response")
        split[column] = before, response.strip()
    if split["chosen"][0] != split["rejected"][0]:
        raise BadRowError("chosen and rejected answer different prompts")
    return [a_preference(split["chosen"][0], split["chosen"][1], split["rejected"][1], source, number)]


def a_preference(prompt: str, chosen: str, rejected: str, source: str, name: str) -> Preference:
    """A preference that prefers something."""
    if chosen == rejected:
        raise BadRowError("chosen and rejected are the same")
    return Preference(prompt, chosen, rejected, source, name)


def read_pku(column: str) -> Callable[[Row, str, str], list[Record]]:
    """A reader of PKU-SafeRLHF that takes `column` for the number of the chosen response."""

    def read(row: Row, source: str, number: str) -> list[Record]:
        chosen = int(one_of(row, column, {"0": 0, "1": 1}))
        responses = text(row, "response_0"), text(row, "response_1")
        return [a_preference(text(row, "prompt"), responses[chosen], responses[1 - chosen], source, number)]

    return read


_OR_BENCH = ("CC-BY-4.0", "bench-llm/or-bench")
_PKU_HUB = "PKU-Alignment/PKU-SafeRLHF"
_TSV = (("delimiter", "\t"), ("keep_default_na", False))

#: Every dataset that can be read.
SCHEMAS: dict[str, Schema] = {
    "wildjailbreak_train": Schema(
        "WildJailbreak, train", ("vanilla", "adversarial", "data_type"), ("completion", "tactics"), TRAIN_AND_EVAL,
        "ODC-BY", "allenai/wildjailbreak", "train", "train", read_wildjailbreak_train, hub_options=_TSV,
    ),
    "wildjailbreak_eval": Schema(
        "WildJailbreak, eval", ("adversarial", "label", "data_type"), (), EVAL_ONLY,
        "ODC-BY", "allenai/wildjailbreak", "eval", "train", read_wildjailbreak_eval, BENCHMARK, _TSV,
    ),
    "or_bench_80k": Schema(
        "OR-Bench-80K", ("prompt", "category"), (), TRAIN_AND_EVAL, *_OR_BENCH, "or-bench-80k", "train", read_or_bench,
    ),
    "or_bench_hard_1k": Schema(
        "OR-Bench-Hard-1K", ("prompt", "category"), (), EVAL_ONLY, *_OR_BENCH, "or-bench-hard-1k", "train",
        read_or_bench, BENCHMARK,
    ),
    "or_bench_toxic": Schema(
        "OR-Bench-Toxic", ("prompt", "category"), (), TRAIN_AND_EVAL, *_OR_BENCH, "or-bench-toxic", "train",
        read_or_bench_toxic,
    ),
    "xstest": Schema(
        "XSTest", ("prompt", "type"), ("id", "label", "focus", "note"), EVAL_ONLY, "CC-BY-4.0", "walledai/XSTest",
        None, "test", read_xstest, BENCHMARK,
    ),
    "fortress": Schema(
        "FORTRESS (public)", ("adversarial_prompt", "benign_prompt"),
        ("ID", "rubric", "risk_domain", "risk_subdomain"), EVAL_ONLY, "CC-BY-4.0", "ScaleAI/fortress_public", None,
        "train", read_fortress,
        "its card allows safety evaluation only and prohibits adversarial training on it",
    ),
    "strongreject": Schema(
        "StrongREJECT", ("forbidden_prompt",), ("category", "source"), EVAL_ONLY, "MIT (?)", "walledai/StrongREJECT",
        None, "train", read_strongreject, BENCHMARK,
    ),
    "hh_rlhf": Schema(
        "HH-RLHF", ("chosen", "rejected"), (), TRAIN_AND_EVAL, "MIT", "Anthropic/hh-rlhf", None, "train",
        read_hh_rlhf, preferences=True,
    ),
    "pku_saferlhf": Schema(
        "PKU-SafeRLHF, by safety", ("prompt", "response_0", "response_1", "safer_response_id"), ("better_response_id",),
        TRAIN_AND_EVAL, "CC-BY-NC-4.0", _PKU_HUB, "default", "train", read_pku("safer_response_id"), preferences=True,
    ),
    "pku_saferlhf_better": Schema(
        "PKU-SafeRLHF, by helpfulness", ("prompt", "response_0", "response_1", "better_response_id"),
        ("safer_response_id",), TRAIN_AND_EVAL, "CC-BY-NC-4.0", _PKU_HUB, "default", "train",
        read_pku("better_response_id"), preferences=True,
    ),
}  # fmt: skip
