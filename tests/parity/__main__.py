"""Run SWARM beside us: `python -m tests.parity [--write] [CHECK...]`, from the repository root.

The environment must hold both packages (docs/parity.md says how to make one). Exit code 1 if a check fails. `--write`
puts what the checks printed into docs/parity.md, each between its markers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT = ROOT / "docs" / "parity.md"
CHECKS = ("formulas", "metrics", "market", "speed")


def run(check: str) -> tuple[int, str]:
    """Run one check in a process of its own, showing what it prints; its exit code and its output."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-u", "-m", f"tests.parity.check_{check}"]
    print(f"\n== {check} ==\n", flush=True)
    lines = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines).strip()


def insert(text: str, name: str, content: str) -> str:
    """The report with `content` between the markers of `name`."""
    start, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = text.partition(start)
    old, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{REPORT.name} has no markers {start} and {end}")
    del old
    return f"{before}{start}\n\n{content}\n\n{end}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"any of {', '.join(CHECKS)} (default: all)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/parity.md")
    parser.add_argument("--machine", default=machine.kind(), help="kind of machine, for the report")
    options = parser.parse_args()
    unknown = sorted(set(options.checks) - set(CHECKS))
    if unknown:
        parser.error(f"unknown check {unknown[0]!r}; allowed: {', '.join(CHECKS)}")
    if find_spec("swarm") is None:
        parser.error("SWARM is not installed here: see docs/parity.md, 'How to run it'")
    checks = options.checks or CHECKS
    results = {check: run(check) for check in checks}
    if options.write:
        _write({check: output for check, (_, output) in results.items()}, options.machine)
    print()
    for check, (code, _) in results.items():
        print(f"{check}: {'ok' if code == 0 else 'FAILED'}")
    return 1 if any(code for code, _ in results.values()) else 0


def _write(outputs: dict[str, str], kind: str) -> None:
    when = f"Measured {time.strftime('%Y-%m-%d')} on {kind}; {machine.versions()}."
    text = REPORT.read_text(encoding="utf-8")
    for check, output in outputs.items():
        text = insert(text, check, f"{when}\n\n{output}")
    partial = REPORT.with_suffix(".md.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(REPORT)
    print(f"\nwrote {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
