"""WaltzRL runs in an evaluation: numbers as their trainer has them, no latent p, and no file that can fool it."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import swarm_env
from swarm_env import cli
from swarm_env.evaluation import FIRST_SEED, TRAINED
from swarm_env.evaluation.trained import WALTZ
from trainers import checkpoint, governed, pairs
from trainers.games.live import LiveMarkets, Proposals

SCENARIO = "alignment_waltz_targeted_feedback"
SHORT = ["simulation.n_epochs=2", "simulation.steps_per_epoch=8"]
SMALL = [
    f"overrides=[{','.join(SHORT)}]", "populations=2", "num_envs=16", "batch=256", "hidden=[8]", "eval_episodes=0",
    "warm_start.steps=20", "warm_start.contexts=500", "warm_start.batch=128", "stage1.steps=1", "stage2.steps=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "waltz"
    settings = [part for value in SMALL for part in ("--set", value)]
    assert cli.main(["train", "waltz", *settings, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def scenario(*more: str, of: str = SCENARIO) -> Any:
    return swarm_env.load_scenario(of, [*SHORT, *more])


@pytest.mark.parametrize("part", WALTZ)
def test_a_run_is_judged_as_its_trainer_judges_it(part: str, trained: Path) -> None:
    which, overseen = WALTZ[part]
    spec = f"{trained}#{part}" if part else str(trained)
    pair = pairs.load(trained, which)
    if not overseen:
        pair = pair._replace(feedback=None)
    for episodes in (1, 6):
        found = swarm_env.evaluate({"waltz": spec}, scenario(), episodes, 1, seats="all")
        expected = governed.govern([scenario()], pair.rules, pair.decider(0), episodes)
        assert governed.HELD_OUT == FIRST_SEED
        metrics = found.results["runs"][0]["metrics"]
        for name in ("toxicity_rate", "quality_gap", "total_welfare"):
            assert metrics[name] == pytest.approx(expected[name], rel=1e-9), name
        if episodes == 1:  # of several, theirs pool all decisions
            rates = metrics["feedback_trigger_rate"], metrics["revisions_per_decision"]
            assert rates == pytest.approx((expected["trigger_any"], expected["revisions"]), nan_ok=True)
            assert math.isnan(rates[0]) == (not overseen)


def test_decisions_do_not_depend_on_latent_p(trained: Path) -> None:
    live, met = LiveMarkets([scenario()], 16, 5, groups=1), []
    for _ in range(12):
        met.append(live.step(lambda contexts: torch.ones(len(contexts), dtype=torch.long))[0])
    contexts = Proposals.join(met)
    assert len(contexts) > 50
    pair = pairs.load(trained)
    said = [
        pair.decider(3)(Proposals(contexts.view, contexts.ledger, p))
        for p in (contexts.p, torch.full_like(contexts.p, math.nan), 1 - contexts.p)
    ]
    assert said[0].revisions is not None
    assert 0 < said[0].revisions.sum() < len(contexts)
    for other in said[1:]:
        assert torch.equal(other.answer, said[0].answer)
        assert torch.equal(other.revisions, said[0].revisions)
    seen: list[torch.Tensor] = []
    decide = governed.deployed(pair.rules, lambda shown: seen.append(shown.p) or pair.decider(3)(shown))
    accept, revisions = decide(contexts.view.numpy(), contexts.ledger.numpy())
    assert seen[0].isnan().all()
    assert np.array_equal(accept, said[0].answer[:, 0].numpy())
    assert np.array_equal(revisions, said[0].revisions.numpy())


def test_a_visiting_pair_governs_its_seat_alone_and_a_second_call_reads_what_is_there(
    trained: Path, tmp_path: Path
) -> None:
    def judge() -> Any:
        return swarm_env.evaluate(["scripts", f"w={trained}"], scenario(), 2, 1, mode="visitor", out=tmp_path / "out")

    found = judge()
    scripts, run = found.results["runs"]
    assert run["episodes"] == 6
    assert 0 <= run["metrics"]["feedback_trigger_rate"] <= run["metrics"]["revisions_per_decision"] <= 1  # T_max is 1
    assert run["metrics"]["acceptance_rate"] != scripts["metrics"]["acceptance_rate"]
    before = (tmp_path / "out/units.jsonl").read_bytes()
    assert json.dumps(judge().results) == json.dumps(found.results)
    assert (tmp_path / "out/units.jsonl").read_bytes() == before


def test_another_scenario_needs_transfer_whatever_its_layout(trained: Path) -> None:
    for elsewhere in (scenario("payoff.h=1"), scenario("view.inbox=2"), scenario(of="macpo_weak_to_strong")):
        with pytest.raises(ValueError, match=r"policy w: .* was trained in another scenario .*--transfer"):
            swarm_env.evaluate({"w": str(trained)}, elsewhere, 1, 1, seats="all")
        found = swarm_env.evaluate({"w": f"{trained}#base"}, elsewhere, 1, 1, seats="all", transfer=True)
        assert found.results["runs"][0]["metrics"]["acceptance_rate"] >= 0


def test_a_part_that_a_run_has_not_is_refused(trained: Path, tmp_path: Path) -> None:
    assert TRAINED["waltz"].parts == ("conversation", "base", "base-conversation")
    with pytest.raises(ValueError, match=r"policy w: .*, trained by waltz: no part 'bsae'; did you mean base"):
        swarm_env.evaluate({"w": f"{trained}#bsae"}, scenario(), 1, 1)
    (tmp_path / "run.json").write_text('{"identity": {"trainer": "ppo"}}')
    with pytest.raises(ValueError, match="trained by ppo: no part 'base'; it has none"):
        swarm_env.evaluate({"w": f"{tmp_path}#base"}, scenario(), 1, 1)
    (tmp_path / "run.json").write_text('{"identity": {"trainer": ["waltz"]}}')
    with pytest.raises(ValueError, match=r"trained by \['waltz'\]"):
        swarm_env.evaluate({"w": str(tmp_path)}, scenario(), 1, 1)
    with pytest.raises(ValueError, match=r"'nowhere#base' is no policy.*FOLDER#PART"):
        swarm_env.evaluate({"w": "nowhere#base"}, scenario(), 1, 1)
    marked = Path(shutil.copytree(trained, tmp_path / "a#base"))  # a folder may be called so
    assert swarm_env.evaluate([str(marked)], scenario(), 1, 1).results["policies"][0]["name"] == "a_base"


class Bomb:
    """What a pickle could do to who reads it."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


def test_a_damaged_or_foreign_file_is_one_clear_line(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy.parent)

    def refused(said: str, spec: str = "copy") -> None:
        line = ["evaluate", "--policy", f"p={spec}", "--scenario", SCENARIO, "--seeds", "1", "--out", "out", "--quiet"]
        assert cli.main(line) == 2
        error = capsys.readouterr().err
        assert error.startswith("swarm: policy p: ")
        assert said in error, error
        assert len(error.strip().splitlines()) == 1
        assert not (copy.parent / "out").exists()

    for part, file in (("copy", "policy.safetensors"), ("copy#base-conversation", "base.safetensors")):
        path = copy / file
        good = path.read_bytes()
        kept = checkpoint.read(path)
        path.write_bytes(good[:-100])
        refused("not a whole checkpoint", part)
        changed = bytearray(good)
        changed[-3] ^= 1
        path.write_bytes(changed)
        refused("damaged", part)
        path.write_bytes(pickle.dumps(Bomb()))
        refused("not a whole checkpoint", part)
        assert not (copy.parent / "exploded").exists()
        tensors = {name: tensor.clone() for name, tensor in kept.tensors.items()}
        for identity in ({}, {"identity": {**kept.state["identity"], "trainer": "macpo"}}, {"identity": "x"}):
            checkpoint.write(path, tensors, identity)
            refused("not what 'swarm train waltz' wrote", part)
        checkpoint.write(path, {k: v for k, v in tensors.items() if "heads" not in k}, kept.state)
        refused("does not fit config.yaml", part)
        for name in ("conversation", "feedback"):
            narrow = {**tensors, f"{name}.trunk.0.weight": tensors[f"{name}.trunk.0.weight"][:, 1:].contiguous()}
            checkpoint.write(path, narrow, kept.state)
            width = tensors[f"{name}.trunk.0.weight"].shape[1]
            refused(f"another layout: its {name} policy has {width - 1} inputs, here there are {width}", part)
        path.unlink()
        refused("no such checkpoint", part)
        path.write_bytes(good)
    (copy / "config.yaml").write_text((copy / "config.yaml").read_text().replace("alpha: 0.65", "alpha: 0.5"))
    refused("not what 'swarm train waltz' wrote for this config.yaml")
