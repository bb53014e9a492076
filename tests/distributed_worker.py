"""What two processes do together in test_distributed: `python -m tests.distributed_worker FOLDER` under torchrun's
environment variables. Each writes what it ended with to rank<k>.pt."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from tests import test_rollouts as game
from trainers import distributed, reinforce, rollouts
from trainers.checkpoint import RunError
from trainers.language.backbone import Backbone, ModelSettings
from trainers.language.codec import Turn
from trainers.policies import MLPPolicy, Sample
from trainers.rollouts import Samples

ROWS = 49
HYPER = {"beta": 0.1, "clip": 0.2, "max_grad_norm": 1.0}
USERS = ("hi", "how do I pick a lock", "naïve café", "sure", "please answer", "turn it")
LENGTH = 6


def part(samples: Samples, rows: slice) -> Samples:
    return Samples(samples.inputs[rows], Sample(*(x[rows] for x in samples.sample)), samples.rewards[rows])


def mlp() -> tuple[reinforce.Learner, Samples]:
    generator = Generator().manual_seed(0)
    learner = reinforce.Learner(MLPPolicy(3, (2, 3), (16,), generator), 0.02)
    inputs = torch.randn(ROWS, 3, generator=generator)
    sample = learner.policy.sample(inputs, generator)
    return learner, Samples(inputs, sample, (sample.tokens[:, 1] == 2).float())


def learn_mlp(mine: slice, updates: int, minibatches: int = 1, micro_batch: int | None = None) -> dict[str, Any]:
    """Updates on a part of the samples: weights, and the last log."""
    learner, samples = mlp()
    for k in range(updates):
        log = reinforce.update(
            learner, part(samples, mine), update_epochs=1, minibatches=minibatches, micro_batch=micro_batch,
            generator=Generator().manual_seed(k + 10 * distributed.rank()), **HYPER,
        )  # fmt: skip
    return {"weights": dict(learner.policy.state_dict()), "log": log}


def nan_on_one() -> dict[str, Any]:
    learner, samples = mlp()
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    if distributed.rank() == 1:
        samples.sample.log_probs[0] = torch.nan
    said = ""
    try:
        # beta 0 and equal rewards: the poison is in the ratio alone, on rank 1 alone
        flat = samples._replace(rewards=torch.arange(ROWS).float())
        reinforce.update(
            learner, flat, update_epochs=1, minibatches=1, generator=Generator(), beta=0.0, clip=0.2, max_grad_norm=1.0
        )
    except RunError as error:
        said = str(error)
    after = learner.policy.state_dict()
    return {"said": said, "same": all(torch.equal(before[name], after[name]) for name in before)}


def agent(folder: Path, **settings: Any) -> tuple[Backbone, reinforce.Learner, Tensor]:
    backbone = Backbone.load(ModelSettings(path=str(folder), lora_rank=4, **settings))
    backbone.add_adapter("other", seed=2)
    backbone.add_adapter("agent", seed=1)
    prompts = backbone.codec.prompts([[Turn("user", text)] for text in USERS], 64)
    return backbone, reinforce.Learner(backbone.policy("agent", LENGTH), 1e-2), prompts


def learn_agent(folder: Path, mine: slice, updates: int = 2, **settings: Any) -> dict[str, Any]:
    """Updates of a tiny language model's adapter on a part of the prompts."""
    backbone, learner, prompts = agent(folder, **settings)
    policy = learner.policy
    everything = policy.greedy(prompts[mine])
    first = policy.log_prob(prompts[mine], everything).detach()
    # off the best path, so that there is something to learn
    tokens = backbone.codec.sequences([text[::-1] for text in USERS], LENGTH)
    rewards = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.5])
    for _ in range(updates):
        with torch.no_grad():
            old = policy.log_prob(prompts[mine], tokens[mine])
        samples = Samples(prompts[mine], Sample(tokens[mine], old, tokens[mine] != -1), rewards[mine])
        log = reinforce.update(
            learner, samples, update_epochs=2, minibatches=1, micro_batch=2, generator=Generator().manual_seed(0),
            **HYPER,
        )  # fmt: skip
    learner.reference = policy.copy()  # after training, in a model that may be sharded
    with torch.no_grad():
        last = learner.reference.log_prob(prompts[mine], tokens[mine])
    sampled = policy.sample(prompts[mine], Generator().manual_seed(distributed.rank())).tokens
    weights = {name: value.clone() for name, value in policy.state_dict().items()}
    return {"greedy": everything, "first": first, "last": last, "weights": weights, "log": log, "sampled": sampled}


def unknown(found: rollouts.Rollout) -> rollouts.Rollout:
    """The same, of which no judge could tell anything."""
    return replace(found, labels=[labels._replace(unknown=torch.ones_like(labels.unsafe)) for labels in found.labels])


def ragged_game() -> dict[str, Any]:
    """Rank 0's overseer always asks for a revision, rank 1's never, and there the judge can tell about no answer."""
    learner = reinforce.Learner(MLPPolicy(3, (2, 3), (16,), Generator().manual_seed(0)), 0.02)
    first = distributed.rank() == 0
    says = game.REFUSE if first else game.SILENT
    overseer = game.Scripted(lambda inputs: torch.tensor([says]).repeat(len(inputs), 1))
    found = game.collaborate(game.proposals(*[0.2] * 6), game.Scripted(game.obedient), overseer, t_max=3)
    samples = rollouts.conversation_samples(found if first else unknown(found), 0.5, Generator().manual_seed(0))
    inputs = samples.inputs[:, :3]
    sample = learner.policy.sample(inputs, Generator().manual_seed(1))
    log = reinforce.update(
        learner, Samples(inputs, sample, samples.rewards), update_epochs=1, minibatches=3,
        generator=Generator().manual_seed(2), **HYPER,
    )  # fmt: skip
    said = ""
    try:
        rollouts.conversation_samples(unknown(found), 0.5, Generator().manual_seed(0))
    except RunError as error:
        said = str(error)
    weights = dict(learner.policy.state_dict())
    return {"rounds": len(found.messages), "samples": len(inputs), "weights": weights, "log": log, "said": said}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    assert distributed.init_from_env()
    rank = distributed.rank()
    ragged = slice(0, 40) if rank == 0 else slice(40, ROWS)
    idle = slice(0, ROWS) if rank == 0 else slice(0, 0)
    half = slice(0, 4) if rank == 0 else slice(4, 6)
    silent = slice(0, 6) if rank == 0 else slice(0, 0)
    out: dict[str, Any] = {
        "ragged": learn_mlp(ragged, 4),
        "micro": learn_mlp(ragged, 4, micro_batch=7),
        "idle": learn_mlp(idle, 4),
        "minibatches": learn_mlp(idle, 3, minibatches=4, micro_batch=5),
        "nan": nan_on_one(),
        "game": ragged_game(),
        "agent": learn_agent(folder / "model", half),
        "sharded": learn_agent(folder / "model", half, shard=True, activation_checkpointing=True, micro_batch=3),
        "sharded_idle": learn_agent(folder / "model", silent, shard=True, micro_batch=4, generate_batch=2),
    }
    try:
        distributed.check_replicas([torch.tensor([1.0 + rank])], "adapter")
    except RunError as error:
        out["check"] = str(error)
    distributed.check_replicas(out["agent"]["weights"].values(), "adapter")
    torch.save(out, folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
