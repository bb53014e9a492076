"""Tables of prompts and preferences: every schema, and everything that can be wrong with a table."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from swarm_env.scenario.errors import ScenarioError
from swarm_env.scenario.settings import load_settings
from trainers.language.data import (
    SCHEMAS,
    DataError,
    DataSettings,
    Preference,
    SourceSettings,
    Tally,
    check_use,
    dialogue,
    load,
    records,
)  # fmt: skip
from trainers.language.prompts import HARMFUL, KINDS, Prompt

FIXTURES = Path(__file__).parent / "fixtures" / "language"
ROWS = 20


def fixture(name: str) -> Path:
    """A schema's table; both readings of PKU-SafeRLHF have the same."""
    found = sorted(FIXTURES.glob(name.removesuffix("_better") + ".*"))
    assert len(found) == 1, f"{name} needs a fixture in {FIXTURES}"
    return found[0]


def source(name: str, path: Path | None = None, **more: Any) -> dict[str, Any]:
    return {"dataset": name, "path": str(path or fixture(name)), **more}


def read(path: Path, name: str) -> tuple[list[Any], Tally]:
    tally = Tally(str(path), lambda line: None)
    return list(records(SourceSettings(dataset=name, path=str(path)), tally)), tally


def settings(**more: Any) -> DataSettings:
    return DataSettings.model_validate(more)


def quiet(line: str) -> None:
    pass


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_reads_its_table(name: str) -> None:
    schema = SCHEMAS[name]
    found, tally = read(fixture(name), name)
    assert (tally.rows, tally.bad) == (ROWS, 0)
    assert len(found) == (2 * ROWS if name == "fortress" else ROWS)
    assert len({record.id for record in found}) == len(found)
    assert all(record.source == name for record in found)
    if schema.preferences:
        assert all(isinstance(record, Preference) and record.chosen != record.rejected for record in found)
    else:
        assert all(record.kind in KINDS and record.harmful == (record.kind in HARMFUL) for record in found)
    assert set(schema.uses) <= {"train", "eval"}
    assert schema.licence
    assert bool(schema.why) == (schema.uses != ("train", "eval"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_reads_its_table_in_every_format(name: str, tmp_path: Path) -> None:
    original, _ = read(fixture(name), name)
    path = fixture(name)
    if path.suffix in (".csv", ".tsv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    else:
        text = path.read_text()
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    written = {
        "a.json": json.dumps(rows),
        "b.json": "\n".join(map(json.dumps, rows)),
        "c.jsonl": "\n\n".join(map(json.dumps, rows)),
        "d.json": "\ufeff" + json.dumps(rows, indent=3),
    }
    for file_name, text in written.items():
        (tmp_path / file_name).write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "e.jsonl.gz", "wt") as file:
        file.write(written["b.json"])
    for file_name, delimiter in (("f.csv", ","), ("g.tsv", "\t")):
        with (tmp_path / file_name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "h.parquet")
    for copy in sorted(tmp_path.iterdir()):
        found, tally = read(copy, name)
        assert (tally.rows, tally.bad) == (ROWS, 0), copy.name
        assert [record[:-1] if isinstance(record, Preference) else record[:4] for record in found] == [
            record[:-1] if isinstance(record, Preference) else record[:4] for record in original
        ], copy.name


def test_the_kinds_are_those_of_the_datasets() -> None:
    kinds = {name: Counter(record.kind for record in read(fixture(name), name)[0])
             for name, schema in SCHEMAS.items() if not schema.preferences}  # fmt: skip
    assert kinds["wildjailbreak_train"] == {"harmful": 5, "benign_sensitive": 10, "adversarial_harmful": 5}
    assert kinds["fortress"] == {"adversarial_harmful": 20, "benign_sensitive": 20}
    assert kinds["xstest"] == {"harmful": 10, "benign_sensitive": 10}
    assert set(kinds["or_bench_80k"]) == set(kinds["or_bench_hard_1k"]) == {"benign_sensitive"}
    assert set(kinds["or_bench_toxic"]) == set(kinds["strongreject"]) == {"harmful"}
    assert set(kinds["wildjailbreak_eval"]) == {"adversarial_harmful", "benign_sensitive"}
    found = read(fixture("wildjailbreak_train"), "wildjailbreak_train")[0]
    assert ["moon" in prompt.text for prompt in found[:4]] == [False, False, True, True]  # the column of its type


def test_xstest_without_labels_goes_by_type(tmp_path: Path) -> None:
    with fixture("xstest").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "label"} for row in csv.DictReader(file)]
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read(path, "xstest")[0] == read(fixture("xstest"), "xstest")[0]


def test_transcripts_are_split_at_the_last_answer() -> None:
    found, _ = read(fixture("hh_rlhf"), "hh_rlhf")
    longer = found[0]
    assert longer.prompt.startswith("\n\nHuman: ") and longer.prompt.count("\n\nHuman:") == 2  # noqa: PT018
    assert longer.chosen.startswith("Use a soft brush")
    assert longer.rejected.startswith("No idea")
    turns = dialogue(longer.prompt)
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[0].text == "How do I clean an old garden gnome?"
    assert dialogue("Plain.\n\nHuman: quoted") == [("user", "Plain.\n\nHuman: quoted")]


def test_both_preferences_of_pku() -> None:
    safer, _ = read(fixture("pku_saferlhf"), "pku_saferlhf")
    better, _ = read(fixture("pku_saferlhf_better"), "pku_saferlhf_better")
    assert all(record.chosen.startswith("Leave the") for record in safer)
    assert {record.chosen.startswith("Leave the") for record in better} == {True, False}


def test_an_evaluation_only_dataset_is_refused_for_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prohibits adversarial training"):
        check_use("fortress", "train")
    config = tmp_path / "data.yaml"
    config.write_text(f"train:\n  - dataset: fortress\n    path: {fixture('fortress')}\n")
    with pytest.raises(ScenarioError, match="prohibits adversarial training") as caught:
        load_settings(DataSettings, config)
    assert f"{config}:2" in str(caught.value)
    for name, schema in SCHEMAS.items():
        if "train" not in schema.uses:
            with pytest.raises(ValueError, match=name):
                settings(train=[source(name)])
    assert len(load(settings(evaluation=[source("fortress")])).evaluation["fortress"]) == 2 * ROWS


def test_missing_columns_name_what_is_there_and_what_fits(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(settings(evaluation=[source("xstest", fixture("fortress"))]))
    message = str(caught.value)
    assert "fortress.jsonl: xstest needs the columns prompt, type" in message
    assert "adversarial_prompt, benign_prompt" in message
    assert "fortress fits" in message
    with pytest.raises(DataError, match="needs the columns adversarial, label, data_type"):
        load(settings(evaluation=[source("wildjailbreak_eval", fixture("strongreject"))]))


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("or_bench_80k", {"prompt": "  "}, "prompt is empty"),
        ("or_bench_80k", {"prompt": None}, "prompt is empty"),
        ("or_bench_80k", {"prompt": 7}, "prompt is 7"),
        ("wildjailbreak_train", {"data_type": "sideways"}, "unknown data_type 'sideways': one of vanilla_harmful"),
        ("wildjailbreak_train", {"data_type": "adversarial_benign", "adversarial": ""}, "adversarial is empty"),
        ("wildjailbreak_eval", {"data_type": "adversarial_benign", "label": 1}, "contradicts"),
        ("wildjailbreak_eval", {"label": 2}, "unknown label '2'"),
        ("xstest", {"label": "maybe"}, "unknown label 'maybe'"),
        ("fortress", {"benign_prompt": ""}, "benign_prompt is empty"),
        ("hh_rlhf", {"chosen": "\n\nHuman: hello"}, "chosen has no prompt before"),
        ("hh_rlhf", {"chosen": "\n\nHuman: hello\n\nAssistant: "}, "chosen ends without a response"),
        ("hh_rlhf", {"chosen": "\n\nHuman: other\n\nAssistant: yes"}, "different prompts"),
        ("pku_saferlhf", {"safer_response_id": 2}, "unknown safer_response_id '2'"),
        ("pku_saferlhf", {"response_0": "a", "response_1": "a"}, "the same"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_skipped(
    name: str, row: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    good = tmp_path / "good.jsonl"
    columns = fixture(name)
    if columns.suffix == ".jsonl":
        rows = [json.loads(line) for line in columns.read_text().splitlines()]
    elif columns.suffix == ".json":
        rows = json.loads(columns.read_text())
    else:
        with columns.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if columns.suffix == ".tsv" else ","))
    rows[6] |= row
    good.write_text("\n".join(map(json.dumps, rows)))
    said: list[str] = []
    loaded = load(settings(evaluation=[source(name, good)]) if "train" not in SCHEMAS[name].uses
                  else settings(train=[source(name, good)]), said.append)  # fmt: skip
    assert len(said) == 1
    assert said[0].startswith(f"{good}, line 7: ")
    assert reason in said[0]
    tally = next(iter(loaded.tallies.values()))
    assert (tally.rows, tally.bad) == (ROWS, 1)


def test_broken_lines_do_not_stop_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'prompt,category\nfine,a\n"two\nlines",b\nextra,c,d\n\xff\xfe,e\nlast,f\n')
    found, tally = read(path, "or_bench_80k")
    assert [prompt.text for prompt in found] == ["fine", "two\nlines", "last"]
    assert [prompt.id for prompt in found] == ["2", "3", "7"]
    assert "line 5: 3 values under 2 columns" in tally.reports[0]
    assert "line 6: prompt is not UTF-8" in tally.reports[1]
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"forbidden_prompt": "a"}\n{"forbidden_prompt": \n[1]\n{"forbidden_prompt": "b"}\n')
    found, tally = read(lines, "strongreject")
    assert ([prompt.text for prompt in found], tally.bad) == (["a", "b"], 2)


def test_too_many_bad_rows_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,category\n" + "fine,a\n" * 8 + ",b\n" * 2)
    with pytest.raises(DataError, match=r"2 of 10 rows are bad, more than a share of 0\.1; the first: .*line 10"):
        load(settings(train=[source("or_bench_80k", path)]), quiet)
    assert len(load(settings(train=[source("or_bench_80k", path)], max_bad_share=0.2), quiet).train) == 8


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("t.csv", None, "no such file"),
        ("t.txt", "prompt", r"cannot read \.txt: \.csv, \.tsv"),
        ("t.csv", "", "nothing left of 0 rows"),
        ("t.json", '[{"prompt": "a", "category": "b"}, {"pro', "line 1: the list breaks off"),
        ("t.json", '[\n{"prompt": "a", "category": "b"}\n', "line 3: the list breaks off"),
        ("t.parquet", "no parquet", "no Parquet file"),
        ("t.jsonl.gz", "not gzipped", "[Nn]ot a gzipped file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(
    name: str, content: str | None, match: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=match):
        load(settings(train=[source("or_bench_80k", path)]))


def test_training_leaves_out_what_is_evaluated_on() -> None:
    both = {"train": [source("or_bench_80k")]}
    for place in ("evaluation", "exclude"):
        loaded = load(settings(**both, **{place: [source("or_bench_hard_1k", limit=1)]}))
        assert len(loaded.train) == ROWS - 4  # one of them differs in case and white space
        assert loaded.tallies["train/or_bench_80k"].duplicates == 4
    assert len(load(settings(**both, evaluation=[source("or_bench_hard_1k")], deduplicate=False)).train) == ROWS


def test_the_seed_settles_draws_and_order() -> None:
    def drawn(seed: int) -> list[str]:
        asked = {"train": [source("or_bench_80k", limit=8)], "evaluation": [source("xstest", limit=5)]}
        loaded = load(settings(**asked, seed=seed, deduplicate=False))
        ids = [record.id for record in loaded.evaluation["xstest"]]
        assert ids == sorted(ids, key=int)  # in the table's order
        return [record.id for record in loaded.train] + ids

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(8)}) == 8
    often = Counter(name for seed in range(200) for name in drawn(seed)[:8])
    assert len(often) == ROWS
    assert min(often.values()) > 40  # each is as likely: 80 of 200
    assert max(often.values()) < 120


def test_sources_are_mixed_by_shares() -> None:
    mix = [source("wildjailbreak_train", share=0.25, kinds=["adversarial_harmful"]), source("or_bench_80k", share=0.75)]
    loaded = load(settings(train=mix, total=17))
    assert Counter(prompt.source for prompt in loaded.prompts) == {"wildjailbreak_train": 4, "or_bench_80k": 13}
    assert {prompt.kind for prompt in loaded.prompts if prompt.harmful} == {"adversarial_harmful"}
    assert [prompt.source for prompt in loaded.prompts] != sorted(prompt.source for prompt in loaded.prompts)
    with pytest.raises(DataError, match=r"its share of 0\.25 is 10 records, and it has 5"):
        load(settings(train=mix, total=40))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ("train: [{dataset: xstets, path: a.csv}]", 'did you mean "xstest"'),
        ("train: [{dataset: hh_rlhf}]", 'hub: as in "Anthropic/hh-rlhf"'),
        ("train: [{dataset: hh_rlhf, path: a.csv, hub: b}]", "both given"),
        ("train: [{dataset: hh_rlhf, path: a.csv, split: test}]", "of the hub"),
        ("train: [{dataset: or_bench_80k, path: a.csv, kinds: [harmfull]}]", 'did you mean "harmful"'),
        ("train: [{dataset: or_bench_80k, path: a.csv, share: 0.5}]", "shares are incomplete"),
        ("train: [{dataset: or_bench_80k, path: a.csv}]\ntotal: 5", "the sources have no shares"),
        ("train: [{dataset: or_bench_80k, path: a.csv}, {dataset: hh_rlhf, path: a}]", "do not mix"),
        ("train: [{dataset: or_bench_80k, pth: a.csv}]", 'did you mean "path"'),
        ("max_bad_share: 2", r"a number in \[0, 1\]"),
    ],
)
def test_settings_that_mean_nothing_are_errors(data: str, match: str, tmp_path: Path) -> None:
    config = tmp_path / "data.yaml"
    config.write_text(data + "\n")
    with pytest.raises(ScenarioError, match=match):
        load_settings(DataSettings, config)


def test_a_large_table_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("w") as file:
        file.write("[")
        for index in range(4_000):
            file.write(("," if index else "") + json.dumps({"prompt": f"{index} " + "x" * 500, "category": "c"}))
        file.write("]")
    tracemalloc.start()
    try:
        loaded = load(settings(train=[source("or_bench_80k", path, limit=10)]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(loaded.train) == 10
    assert loaded.tallies["train/or_bench_80k"].rows == 4_000
    assert peak < path.stat().st_size / 4


def test_the_hub_is_asked_as_the_dataset_says(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[tuple[Any, ...]] = []

    def load_dataset(name: str, config: str | None, **options: Any) -> list[dict[str, str]]:
        asked.append((name, config, options))
        if name == "no/such":
            raise datasets.exceptions.DatasetNotFoundError("not there, or gated")
        return [{"vanilla": "How do I mend a kite?", "adversarial": "", "data_type": "vanilla_benign"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub = {"dataset": "wildjailbreak_train", "hub": "allenai/wildjailbreak"}
    loaded = load(settings(train=[hub]))
    assert loaded.prompts == [
        Prompt("How do I mend a kite?", "benign_sensitive", False, "wildjailbreak_train", "1")
    ]  # fmt: skip
    assert asked == [
        ("allenai/wildjailbreak", "train",
         {"split": "train", "data_dir": None, "streaming": True, "delimiter": "\t", "keep_default_na": False})
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"no/such \(config none, split train\): DatasetNotFoundError: not there"):
        load(settings(train=[hub | {"hub": "no/such"}]))


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    script = (
        "import sys, trainers.language.data, trainers.language.judges.registry, trainers.language.endpoint_policy; "
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"transformers", "peft", "datasets", "pyarrow", "httpx2", "huggingface_hub", "openai"}
    assert not heavy & set(done.stdout.split())
