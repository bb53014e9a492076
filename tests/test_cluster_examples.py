"""The recipes in examples/cluster: they can be read, and the commands in them are ones that `swarm` takes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_env import cli
from swarm_env.catalog import load_scenario
from swarm_env.engine.options import engine_of
from swarm_env.sweep import parse_grid

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "cluster"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".yaml", ".sbatch"))


def commands(path: Path) -> list[str]:
    """Every call of `swarm sweep` in a file, without its variables."""
    text = path.read_text()
    if path.name == "rayjob.yaml":
        text = yaml.safe_load(text)["spec"]["entrypoint"]
    found = re.findall(r"swarm sweep [^'\n]*", text)
    return [found.replace('"$address"', "10.0.0.1:6379").replace('"$SLURM_CPUS_PER_TASK"', "32") for found in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_commands_are_understood(path: Path) -> None:
    found = commands(path)
    assert found
    for command in found:
        given = cli._parser().parse_args(shlex.split(command)[1:])
        engine = engine_of(given)
        assert (engine.name == "ray") == (path.name != "one_node.sbatch")
        load_scenario(given.scenario, {axis.key: axis.values[0] for axis in parse_grid(given.grid)})
        assert given.resume  # submitted again it goes on


def test_yaml_has_what_its_readers_ask_for() -> None:
    cluster: dict[str, Any] = yaml.safe_load((FOLDER / "ray_up.yaml").read_text())
    assert cluster["head_node_type"] in cluster["available_node_types"]
    assert cluster["available_node_types"]["worker"]["max_workers"] <= cluster["max_workers"]
    assert any("--head" in line for line in cluster["head_start_ray_commands"])
    job: dict[str, Any] = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    groups = [job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert len(images) == 1  # one version everywhere


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".sbatch"], ids=lambda path: path.name)
def test_scripts_are_bash(path: Path) -> None:
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
