"""One measurement in a process of its own: `python -m benchmarks.worker SPEC`, driven over standard input and output.

SPEC is JSON: {"run": "module.function", "args": {...}, "seconds": s}. It sets up and plays once unmeasured, then says
{"status": "ready", "facts": ...}; for every line "go" it plays once and says a Sample; anything else ends it. Whatever
a library prints goes to standard error, away from the answers.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from benchmarks.sample import Skip


def main() -> int:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**answer: object) -> None:
        answers.write(json.dumps(answer) + "\n")

    spec = json.loads(sys.argv[1])
    module, _, function = spec["run"].partition(".")
    try:
        make = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        play, facts = make(spec["seconds"], **spec["args"])
        play()  # caches warm, code compiled
        say(status="ready", facts=facts)
        for line in sys.stdin:
            if line.strip() != "go":
                break
            say(status="sample", **play()._asdict())
    except Skip as reason:
        say(status="skipped", reason=str(reason))
    except Exception as error:
        say(status="failed", reason=f"{type(error).__name__}: {error}".splitlines()[0][:300])
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
