"""What judges have answered, on disk: a file an answer, which appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Cache:
    """Answers by what was asked: server, model, messages and settings.

    Args:
        folder: made when the first answer comes; may be shared by processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def key(asked: Mapping[str, Any]) -> str:
        """SHA-256 of what was asked."""
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _path(self, asked: Mapping[str, Any]) -> Path:
        key = self.key(asked)
        return self.folder / key[:2] / f"{key}.json"

    def get(self, asked: Mapping[str, Any]) -> str | None:
        """The answer; None where there is none, or none that can be read."""
        try:
            entry = json.loads(self._path(asked).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(entry, dict) or entry.get("asked") != json.loads(json.dumps(asked)):
            return None
        answer = entry.get("answer")
        return answer if isinstance(answer, str) else None

    def put(self, asked: Mapping[str, Any], answer: str) -> None:
        """Keep an answer."""
        path = self._path(asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"asked": asked, "answer": answer}, file)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
