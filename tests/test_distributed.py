"""Two processes (gloo, CPU): replicas stay equal, none waits for ever, and together they do what one would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests import distributed_worker as worker
from tests import tiny_models
from trainers import distributed

SECONDS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    tiny_models.save(folder / "model", "llama")
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """What either process ended with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.distributed_worker", str(folder)],
            env={**shared, "RANK": str(k), "LOCAL_RANK": str(k), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        for k in range(2)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=SECONDS)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    return [torch.load(folder / f"rank{k}.pt", weights_only=True) for k in range(2)]


def equal(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def close(some: dict[str, Tensor], others: dict[str, Tensor], tolerance: float) -> bool:
    return all(torch.allclose(some[name], others[name], atol=tolerance, rtol=tolerance) for name in some)


@pytest.mark.parametrize("case", ["ragged", "micro", "idle", "minibatches", "game", "agent", "sharded", "sharded_idle"])
def test_replicas_are_equal_bit_by_bit_after_several_updates(ranks: list[dict[str, Any]], case: str) -> None:
    assert equal(ranks[0][case]["weights"], ranks[1][case]["weights"])
    assert ranks[0][case]["log"] == ranks[1][case]["log"]


@pytest.mark.parametrize("case", ["ragged", "micro", "idle"])
def test_two_processes_learn_what_one_would_from_all_samples(ranks: list[dict[str, Any]], case: str) -> None:
    alone = worker.learn_mlp(slice(0, worker.ROWS), 4)
    assert close(ranks[0][case]["weights"], alone["weights"], 1e-5)
    assert ranks[0][case]["log"] == pytest.approx(alone["log"], rel=1e-4, abs=1e-6)


def test_a_loss_that_is_not_finite_on_one_rank_stops_both(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "the policy's loss is nan" in rank["nan"]["said"]
        assert rank["nan"]["same"]


def test_ranks_play_on_together_and_learn_from_whoever_has_samples(ranks: list[dict[str, Any]]) -> None:
    assert [rank["game"]["samples"] for rank in ranks] == [6, 0]
    assert ranks[0]["game"]["rounds"] == ranks[1]["game"]["rounds"] == 3
    assert all("the judge could tell about none of the answers" in rank["game"]["said"] for rank in ranks)


def test_weights_that_differ_between_ranks_are_noticed(ranks: list[dict[str, Any]]) -> None:
    assert [("weights differ" in rank["check"]) for rank in ranks] == [True, True]


def test_a_sharded_base_speaks_and_learns_as_a_whole_one(ranks: list[dict[str, Any]], folder: Path) -> None:
    alone = worker.learn_agent(folder / "model", slice(0, len(worker.USERS)))
    for case in ("agent", "sharded"):
        for key in ("greedy", "first", "last"):
            together = torch.cat([rank[case][key] for rank in ranks])
            assert together.shape == alone[key].shape
            assert torch.allclose(together.float(), alone[key].float(), atol=1e-3), (case, key)
        assert close(ranks[0][case]["weights"], alone["weights"], 1e-4)
    assert torch.allclose(ranks[0]["sharded_idle"]["last"], alone["last"], atol=1e-3)
    assert ranks[1]["sharded_idle"]["last"].shape == (0, worker.LENGTH)
    assert ranks[1]["sharded_idle"]["sampled"].shape == (0, worker.LENGTH)
    # it did learn: the rewarded became likelier than the rest
    moved = (alone["last"] - worker.learn_agent(folder / "model", slice(0, 6), updates=1)["last"]).sum(dim=1)
    assert moved[[0, 2, 3]].mean() > moved[[1, 4]].mean()


def test_sharded_sampling_is_that_of_a_whole_base(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert torch.equal(rank["sharded"]["sampled"], rank["agent"]["sampled"])


def test_alone_there_is_one_rank_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not distributed.init_from_env()
    values = torch.tensor([1.0, 3.0])
    assert (distributed.world(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.all_sum(values) is values
    assert distributed.all_mean(values) == 2.0
    assert distributed.all_max(3) == distributed.all_count(3) == 3
    assert distributed.moments(values) is None
