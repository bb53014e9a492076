"""Our command, imports and memory beside SWARM's, in one run. It prints; speed never fails a check.

    python -m tests.parity.check_speed [--repeats 7]

One thread, repeats interleaved. What steps cost beside SWARM and others is in docs/performance.md (`make bench`).
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import machine, startup


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of every measurement; the median counts")
    repeats = parser.parse_args().repeats
    print(f"load average {machine.load()}; medians of {repeats} interleaved repeats, with their range")
    startup.commands(repeats)
    startup.imports(repeats)
    startup.memory()
    return 0


if __name__ == "__main__":
    sys.exit(main())
