"""From sources to records: rows are read one by one, bad ones are reported and counted, and draws follow a seed."""

from __future__ import annotations

import hashlib
import logging
import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from swarm_env.scenario.errors import printable
from trainers.language.data import tables
from trainers.language.data.records import BadRowError, DataError, Preference
from trainers.language.data.schemas import SCHEMAS, Record, Schema
from trainers.language.data.settings import DataSettings, SourceSettings, check_use
from trainers.language.prompts import Prompt

_LOG = logging.getLogger(__name__)
REPORTED = 20  #: bad rows of a source that are reported one by one

Say = Callable[[str], None]
T = TypeVar("T")


class Tally:
    """What came of a source's rows.

    Attributes:
        name: the source, for messages.
        rows: read. bad: of those, not usable. reports: of the first REPORTED of them, with file and line.
        records: that the usable rows gave. duplicates: of those, left out because evaluation has them.
        other_kinds: of those, left out by `kinds`.
    """

    def __init__(self, name: str, say: Say) -> None:
        self.name, self._say = name, say
        self.rows = self.bad = self.records = self.duplicates = self.other_kinds = 0
        self.reports: list[str] = []

    def blame(self, place: str, error: BadRowError) -> None:
        """Count a bad row, and report it."""
        self.bad += 1
        if len(self.reports) < REPORTED:
            self.reports.append(f"{self.name}, {place}: {printable(str(error))}: row skipped")
            self._say(self.reports[-1])

    def close(self, max_bad_share: float) -> None:
        """Sum up.

        Raises:
            DataError: more rows are bad than may be, or none are left.
        """
        if self.bad > REPORTED:
            self._say(f"{self.name}: {self.bad} of {self.rows} rows are bad; the first {REPORTED} are named above")
        if self.bad > max_bad_share * self.rows:
            first = f"; the first: {self.reports[0]}" if self.reports else ""
            raise DataError(
                f"{self.name}: {self.bad} of {self.rows} rows are bad, more than a share of {max_bad_share:g}{first}"
            )
        if self.records == self.duplicates + self.other_kinds:
            raise DataError(
                f"{self.name}: nothing left of {self.rows} rows ({self.duplicates} records are evaluated on, "
                f"{self.other_kinds} of other kinds)"
            )


class Loaded(NamedTuple):
    """Records to train on, shuffled, and those to evaluate on by source, in the tables' order."""

    train: list[Record]
    evaluation: dict[str, list[Record]]
    tallies: dict[str, Tally]  # by source, "train/..", "evaluation/.." or "exclude/.."

    @property
    def prompts(self) -> list[Prompt]:
        """To train on."""
        return [record for record in self.train if isinstance(record, Prompt)]

    @property
    def preferences(self) -> list[Preference]:
        """To train on."""
        return [record for record in self.train if isinstance(record, Preference)]


def check_columns(name: str, schema: Schema, there: Iterable[str], where: str) -> None:
    """Refuse a table without the columns of a schema.

    Raises:
        DataError: names the columns that are missing, those that are there, and the schema that fits best.
    """
    have = {str(column) for column in there}
    missing = [column for column in schema.columns if column not in have]
    if not missing:
        return

    def fit(other: str) -> float:
        columns = SCHEMAS[other].columns
        known = set(columns) | set(SCHEMAS[other].optional)
        return sum(column in have for column in columns) / len(columns) + len(known & have) / max(len(known | have), 1)

    best = max((other for other in SCHEMAS if other != name), key=fit)
    fits = all(column in have for column in SCHEMAS[best].columns)
    hint = f"{best} {'fits' if fits else 'comes nearest'} (it has {', '.join(SCHEMAS[best].columns)})"
    raise DataError(
        f"{where}: {name} needs the columns {', '.join(missing)}; "
        f"there are {printable(', '.join(sorted(have)))[:300] or 'none'}; {hint}"
    )


def records(source: SourceSettings, tally: Tally) -> Iterator[Record]:
    """What a source holds, one row at a time; bad rows are reported to `tally` and skipped.

    Raises:
        DataError: the table cannot be read, or is not what it is said to be.
    """
    schema = source.schema_
    if source.path is not None:
        places = tables.from_file(Path(source.path))
    else:
        options = dict(schema.hub_options)
        usual = schema.config if source.hub == schema.hub else None  # a copy elsewhere has names of its own
        config, split = source.config or usual, source.split or schema.split
        places = tables.from_hub(source.hub or schema.hub, config, split, source.data_dir, options)
    checked = False
    for place, row in places:
        tally.rows += 1
        try:
            if isinstance(row, BadRowError):
                raise row
            if not checked:
                check_columns(source.dataset, schema, row, tally.name)
                checked = True
            found = schema.read(row, source.dataset, place.split()[-1])
        except BadRowError as error:
            tally.blame(place, error)
            continue
        tally.records += len(found)
        yield from found


def wording(record: Record) -> str:
    """What is asked."""
    return record.text if isinstance(record, Prompt) else record.prompt


def fingerprint(record: Record) -> bytes:
    """Of what is asked, blind to case, white space and Unicode's ways of writing the same letter."""
    plain = " ".join(unicodedata.normalize("NFKC", wording(record)).casefold().split())
    return hashlib.blake2b(plain.encode(errors="replace"), digest_size=16).digest()


def draw(items: Iterable[T], count: int | None, rng: random.Random) -> list[T]:
    """`count` of the items (all for None), each as likely as the next, in their order; only those are held."""
    if count is None:
        return list(items)
    held: list[tuple[int, T]] = []
    for index, item in enumerate(items):
        if index < count:
            held.append((index, item))
        elif (place := rng.randrange(index + 1)) < count:
            held[place] = (index, item)
    return [item for _, item in sorted(held, key=lambda pair: pair[0])]


def parts(total: int, shares: list[float]) -> list[int]:
    """Whole parts of a total by shares, by largest remainder; they add up."""
    exact = [total * share for share in shares]
    out = [int(part) for part in exact]
    order = sorted(range(len(shares)), key=lambda k: (out[k] - exact[k], k))
    for k in order[: total - sum(out)]:
        out[k] += 1
    return out


def _kept(source: SourceSettings, tally: Tally, seen: set[bytes] | None, banned: set[bytes]) -> Iterator[Record]:
    """A source's records of the kinds wanted, without those banned; `seen` learns of all."""
    for record in records(source, tally):
        if seen is not None:
            seen.add(fingerprint(record))
        if source.kinds and isinstance(record, Prompt) and record.kind not in source.kinds:
            tally.other_kinds += 1
        elif banned and fingerprint(record) in banned:
            tally.duplicates += 1
        else:
            yield record


class _Loader:
    """What the sources of one `data:` have in common."""

    def __init__(self, settings: DataSettings, say: Say) -> None:
        self.settings, self.say = settings, say
        self.tallies: dict[str, Tally] = {}

    def load(
        self, use: str, index: int, source: SourceSettings, count: int | None,
        seen: set[bytes] | None = None, banned: set[bytes] | None = None,
    ) -> list[Record]:  # fmt: skip
        if use != "exclude":
            check_use(source.dataset, {"evaluation": "eval"}.get(use, use))
        tally = Tally(source.path or f"{source.hub} ({source.dataset})", self.say)
        label = f"{use}/{source.dataset}"
        self.tallies[label if label not in self.tallies else f"{label}#{index + 1}"] = tally
        rng = random.Random(f"{self.settings.seed}:{use}:{index}")
        drawn = draw(_kept(source, tally, seen, banned or set()), count, rng)
        tally.close(self.settings.max_bad_share)
        return drawn


def load(settings: DataSettings, say: Say = _LOG.warning) -> Loaded:
    """Everything that `data:` names. What is held: what is drawn, and a digest (16 bytes) a prompt to keep out.

    Args:
        settings: of which data.
        say: takes a line for each bad row (the first 20 of a source), and a sum of them.

    Raises:
        DataError: a table cannot be read or lacks columns, too many of its rows are bad, or too few for its share.
    """
    loader, seen = _Loader(settings, say), set[bytes]()
    evaluation: dict[str, list[Record]] = {}
    for index, source in enumerate(settings.evaluation):
        name = source.dataset if source.dataset not in evaluation else f"{source.dataset}#{index + 1}"
        evaluation[name] = loader.load("evaluation", index, source, source.limit, seen)
    for index, source in enumerate(settings.exclude):
        loader.load("exclude", index, source, 1, seen)
    counts = [source.limit for source in settings.train]
    if settings.total is not None:
        counts = list(parts(settings.total, [source.share or 0.0 for source in settings.train]))
    train: list[Record] = []
    for index, (source, count) in enumerate(zip(settings.train, counts, strict=True)):
        found = loader.load("train", index, source, count, banned=seen if settings.deduplicate else None)
        if settings.total is not None and count is not None and len(found) < count:
            what = f"{source.path or source.hub}: its share of {source.share:g} is {count} records"
            raise DataError(f"{what}, and it has {len(found)}; take a smaller total or share")
        train += found
    random.Random(f"{settings.seed}:train").shuffle(train)
    return Loaded(train, evaluation, loader.tallies)
