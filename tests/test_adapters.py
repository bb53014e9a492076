"""The code of docs/adapters.md runs, and a library that is absent is asked for in one line."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs" / "adapters.md"
#: Section -> a library that its code needs. RLlib's runs in tests/rllib.
NEEDS = {
    "Gymnasium": "sb3_contrib",
    "Stable-Baselines3": "sb3_contrib",
    "SuperSuit": "supersuit",
    "TorchRL": "torchrl",
    "RLlib": "ray",
}


def snippets() -> list[tuple[str, str]]:
    """(section, code) of every Python block of docs/adapters.md."""
    found = []
    for section in re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        found += [(section.splitlines()[0], code) for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL)]
    return found


def test_every_section_with_a_library_has_code() -> None:
    assert {section for section, _ in snippets()} == set(NEEDS)


@pytest.mark.parametrize(("section", "code"), snippets(), ids=[f"{k}-{name}" for k, (name, _) in enumerate(snippets())])
def test_the_documented_code_runs(section: str, code: str) -> None:
    pytest.importorskip(NEEDS[section])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about each other
        exec(compile(code, f"docs/adapters.md, {section}", "exec"), {"__name__": "__main__"})


def test_an_absent_library_is_asked_for_in_one_line() -> None:
    code = "import sys; sys.modules['ray'] = None; import swarm_env.adapters.rllib"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == "ImportError: swarm_env.adapters.rllib needs RLlib: pip install 'swarm-env[rllib]'"
