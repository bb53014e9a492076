"""Preference sets: which answer of the teachers a student takes, pairs of answers, and the files they are kept in.

    <run>/sets/round_<t>_contexts.safetensors     what rows speak of, see `MacpoGame.tensors`
               round_<t>_candidates.safetensors   every teacher's answers (n, K, L), scores (n, K), the one taken
               round_<t>_<agent>.safetensors      rows, chosen, rejected, weights: what the agent learnt from

`read` gives one back. Candidates are in the student's tokens, an agent's pairs in its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Generator, Tensor

from trainers import checkpoint
from trainers.checkpoint import RunError
from trainers.contrastive import log_probs
from trainers.losses import perplexity
from trainers.macpo_game import spoken
from trainers.policies import Policy


class Pairs(NamedTuple):
    """n pairs of one agent."""

    rows: Tensor  # int64 (n,), of the round's contexts
    chosen: Tensor  # int64 (n, L)
    rejected: Tensor  # int64 (n, L)
    weights: Tensor  # float32 (n,)

    @classmethod
    def of(cls, chosen: Tensor, rejected: Tensor, decisions: Tensor | None, *, drop_equal: bool, who: str) -> Self:
        """Pairs of answers (n, L) to the same contexts.

        Args:
            decisions: int64 (n,), what the chosen answers come to: pairs are weighed so that those of one decision
                weigh as much as the others. None: all pairs weigh the same.
            drop_equal: leave out pairs of equal answers.
            who: the agent, for errors.

        Raises:
            RunError: nothing is left to prefer.
        """
        rows = (chosen != rejected).any(dim=1).nonzero()[:, 0] if drop_equal else torch.arange(len(chosen))
        if not len(rows):
            said = f"all {len(chosen)} chosen answers are also the rejected ones" if len(chosen) else "no contexts"
            raise RunError(f"{who}: the preference set is empty ({said}); checkpoints so far are kept")
        weights = torch.ones(len(rows)) if decisions is None else decision_weights(decisions[rows])
        return cls(rows, chosen[rows], rejected[rows], weights)


def decision_weights(decisions: Tensor) -> Tensor:
    """(n,) of mean 1 that give each decision present among int64 (n,) the same total."""
    counts = torch.bincount(decisions, minlength=2).float()
    return (len(decisions) / ((counts > 0).sum() * counts))[decisions]


def vote(votes: Tensor, decisions: Tensor) -> Tensor:
    """Of answers int64 (n, K, L) that come to decisions (n, K): the first of those of most; of a tie, of refusals."""
    accept = decisions.float().mean(dim=1) > 0.5
    first = (decisions == accept.long()[:, None]).float().argmax(dim=1)
    return votes[torch.arange(len(votes)), first]


def candidate_perplexity(policy: Policy, inputs: Any, candidates: Tensor) -> Tensor:
    """(n, K): perplexity under a policy, given n inputs, of each candidate (n, K, L), in the policy's tokens."""
    each = (perplexity(log_probs(policy, inputs, said), spoken(said)) for said in candidates.unbind(dim=1))
    return torch.stack(list(each), dim=1)


def select(
    rule: str, decisions: Tensor, student: Tensor, teachers: Sequence[Tensor], generator: Generator
) -> tuple[Tensor, Tensor]:
    """Which candidate the student learns from: int64 (n,), and scores (n, K), the highest of which was taken.

    Args:
        rule: see ``selection`` in `trainers.macpo_config`.
        decisions: int64 (n, K), what the candidates come to, teacher k's at [:, k].
        student: (n, K) perplexities under the student.
        teachers: K of (n, K), perplexities under each teacher; rules that do not ask teachers need none.
    """
    by = torch.stack(list(teachers) or [student]).log()  # (K, n, K): mean negative log-likelihood a token
    if rule == "min_perplexity":  # MACPO eq. 7
        scores = -student
    elif rule == "random":
        scores = torch.rand(student.shape, generator=generator)
    elif rule == "majority":
        votes = (decisions[:, :, None] == decisions[:, None, :]).float().sum(dim=2)
        scores = votes + 1.0 / (1.0 + student)  # perplexity decides among those of as many votes
    elif rule == "all_teachers":
        scores = -by.mean(dim=0)
    else:  # other_teachers
        own = torch.diagonal(by, dim1=0, dim2=2)  # (n, K): each teacher's of its own answer
        scores = -(by.sum(dim=0) - own) / (by.shape[0] - 1)
    return scores.argmax(dim=1), scores


def path_of(folder: str | os.PathLike[str], number: int, name: str) -> Path:
    """The file of a set."""
    return Path(folder) / "sets" / f"round_{number}_{name}.safetensors"


def write(folder: str | os.PathLike[str], number: int, name: str, tensors: dict[str, Tensor]) -> None:
    """Keep a round's set; it appears whole."""
    checkpoint.write(path_of(folder, number, name), tensors, {"round": number, "set": name})


def read(folder: str | os.PathLike[str], number: int, name: str) -> dict[str, Tensor]:
    """A kept set's tensors; RunError if it is not there, or damaged."""
    return checkpoint.read(path_of(folder, number, name)).tensors
