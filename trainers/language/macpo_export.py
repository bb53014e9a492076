"""A finished run's preference sets in the columns that TRL and others read: prompt, chosen, rejected, as messages."""

from __future__ import annotations

import json
import os
from pathlib import Path

from trainers import preference_sets
from trainers.checkpoint import RunError, write_whole
from trainers.language.codec import Turn
from trainers.language.macpo import Config, Dialogue
from trainers.macpo import load_config

Message = dict[str, str]  # role, content
#: prompt: the dialogue so far; chosen, rejected: one message of the assistant's each.
Row = dict[str, list[Message]]


def preferences(folder: str | os.PathLike[str], number: int, agent: str) -> list[Row]:
    """What an agent (student, teacher_1, ...) of a run learnt from in a round; 0 is the start.

    Raises:
        RunError: not a run of MACPO's language game, no such set, or data that are no longer what the run was given.
    """
    run = Path(folder)
    config = load_config(run / "config.yaml")
    if not isinstance(config, Config):
        raise RunError(f"{folder}: its answers are no text: a run of game {config.game}")
    game = Dialogue(config, run)
    theirs = json.loads((run / "run.json").read_text(encoding="utf-8"))["identity"]
    if any(theirs.get(name) != value for name, value in game.identity.items()):
        raise RunError(f"{folder}: data are no longer those that it was trained on")
    kept = preference_sets.read(run, number, agent)
    if number == 0 and agent != "student":
        contexts = game.halves()[0]  # teachers start from the labelled half
    else:
        contexts = game.contexts(preference_sets.read(run, number if config.fresh_contexts else 0, "contexts"))
    items = game.pool.at(contexts[kept["rows"]])
    chosen, rejected = (game.texts(kept[name], agent) for name in ("chosen", "rejected"))
    return [
        {
            "prompt": [_message(turn) for turn in item.shown(agent)],
            "chosen": [_said(better)],
            "rejected": [_said(worse)],
        }
        for item, better, worse in zip(items, chosen, rejected, strict=True)
    ]


def _message(turn: Turn) -> Message:
    return {"role": turn.role, "content": turn.text}


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def export(folder: str | os.PathLike[str], number: int, agent: str, path: str | os.PathLike[str]) -> Path:
    """Write `preferences`: a line each where the path ends in .jsonl, else a folder for `datasets.load_from_disk`.

    Raises:
        RunError: as for `preferences`, or a folder that is there already.
    """
    rows, out = preferences(folder, number, agent), Path(path)
    if out.suffix == ".jsonl":
        write_whole(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
        return out
    if out.exists():
        raise RunError(f"{path}: is there already; choose another")
    from datasets import Dataset

    Dataset.from_list(rows).save_to_disk(str(out))
    return out
