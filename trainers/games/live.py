"""Markets in play: where proposals wait for an answer, somebody answers them, and the markets go on.

Scripts act in every seat; only the answers to proposals come from outside. The markets are in groups that started
their episodes at different times, so that contexts taken one after the other come from all parts of an episode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import swarm_env
from swarm_env import AS_SCRIPTED, Scenario
from swarm_env.compile import select
from swarm_env.oversight import SIGNAL, offers

GROUPS = 16  #: of markets, unless there is a reason for another number

Kinds = Callable[["Proposals"], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Proposals:
    """n proposals that wait for an answer."""

    view: Tensor  # float32 (n, len(VIEW)): what the agent that is asked sees of itself, the market and the proposal
    ledger: Tensor  # float32 (n, len(LEDGER)): what an overseer sees besides
    p: Tensor  # float32 (n,): latent quality, for the judge alone

    @property
    def signal(self) -> Tensor:
        """float32 (n,): the surface; which kind of proposal it is follows from it and p."""
        return self.view[:, SIGNAL]

    def __len__(self) -> int:
        return len(self.p)

    def __getitem__(self, rows: Tensor) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """One after the other."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def _chosen(scenario: Scenario, seats: str | Sequence[str]) -> NDArray[np.bool_]:
    """Which agents (N,) are in the seats."""
    names = scenario.agent_names
    return np.isin(names, select(names, seats))


class LiveMarkets:
    """Groups of markets.

    Args:
        scenarios: spread over the markets, neighbours playing the same; they agree in shape, as for `vector_env`.
        num_envs: markets, a multiple of `groups`.
        seed: market b plays seed + b.
        groups: group g starts g / groups of an episode ahead, played by its scripts.
        seats: whose answers come from outside; the others answer by script.
        record: see `vector_env`.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        num_envs: int,
        seed: int,
        groups: int = GROUPS,
        seats: str | Sequence[str] = "all",
        record: bool = False,
    ) -> None:
        if num_envs < groups or num_envs % groups:
            raise ValueError(f"num_envs must be a multiple of {groups}, got {num_envs}")
        size = num_envs // groups
        rows = [scenarios[b * len(scenarios) // num_envs] for b in range(num_envs)]
        self.envs = [
            swarm_env.vector_env(rows[g * size : (g + 1) * size], size, "all", seed=seed + g * size, record=record)
            for g in range(groups)
        ]
        first = self.envs[0]
        ours = {id(each): _chosen(each, seats) for each in scenarios}
        self._ours = [np.stack([ours[id(each)] for each in rows[g * size : (g + 1) * size]]) for g in range(groups)]
        self._seen = [env.reset()[0]["observation"] for env in self.envs]
        script = self._script(first)
        for g, env in enumerate(self.envs):
            for _ in range(g * first.compiled.scenario.num_steps // groups):
                self._seen[g] = env.step(script)[0]["observation"]

    @staticmethod
    def _script(env: Any) -> NDArray[np.int64]:
        return np.full((env.num_envs, env.num_learners, len(env.compiled.nvec)), AS_SCRIPTED, dtype=np.int64)

    def step(self, decide: Callable[[Proposals], Tensor]) -> tuple[Proposals, list[dict[str, Any]]]:
        """Answer what waits and play a step of every market.

        Args:
            decide: proposals to int64 (n,), 1 = accept.

        Returns:
            The proposals that were answered, group by group, and each group's `infos` of the step.
        """
        waiting = [env.pending() for env in self.envs]
        waiting = [one[ours[one["row"], one["responder"]]] for one, ours in zip(waiting, self._ours, strict=True)]
        described = zip(self.envs, self._seen, waiting, strict=True)
        proposals = Proposals.join([self._describe(env, seen, one) for env, seen, one in described])
        answers = decide(proposals).numpy() if len(proposals) else np.zeros(0, dtype=np.int64)
        infos, at = [], 0
        for g, (env, one) in enumerate(zip(self.envs, waiting, strict=True)):
            actions = self._script(env)
            actions[one["row"], one["responder"], one["slot"]] = answers[at : at + len(one)]
            at += len(one)
            seen, _, _, _, info = env.step(actions)
            self._seen[g] = seen["observation"]
            infos.append(info)
        return proposals, infos

    @staticmethod
    def _describe(env: Any, observation: NDArray[np.float32], waiting: NDArray[Any]) -> Proposals:
        seen = offers(
            waiting, waiting["responder"], observation, env.ledger()
        )  # all agents are learners: row k is agent k
        view, ledger = torch.from_numpy(seen.view), torch.from_numpy(seen.ledger)
        return Proposals(view, ledger, torch.from_numpy(waiting["p"].astype(np.float32)))

    def take(self, quotas: Mapping[str, int], kinds: Kinds, decide: Callable[[Proposals], Tensor]) -> Proposals:
        """The next proposals of each kind, in the order they came; `decide` answers them all.

        Args:
            quotas: how many of which kind. What comes beyond that is played, and left out.
            kinds: proposals to named groups of them, bool (n,) each.

        Raises:
            ValueError: none of a kind that is still wanted in two whole episodes.
        """
        parts: list[Proposals] = []
        left, idle = {kind: count for kind, count in quotas.items() if count}, 0
        patience = 2 * self.envs[0].compiled.scenario.num_steps
        while left:
            met, _ = self.step(decide)
            of_kind, wanted, before = kinds(met), torch.zeros(len(met), dtype=torch.bool), dict(left)
            for kind in before:
                rows = of_kind[kind].nonzero()[: left[kind], 0]
                wanted[rows] = True
                left[kind] -= len(rows)
                if not left[kind]:
                    del left[kind]
            parts.append(met[wanted])
            idle = idle + 1 if left == before else 0
            if idle > patience:
                raise ValueError(
                    f"two whole episodes without a proposal that is {' or '.join(left)}: none can be learnt from"
                )
        return Proposals.join(parts)

    def snapshot(self) -> bytes:
        """All that the future depends on, besides `decide`."""
        parts = [env.snapshot() for env in self.envs]
        head = json.dumps({"sizes": [len(part) for part in parts]}).encode()
        return b"".join([head, b"\n", *parts])

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot of markets made with the same arguments; ValueError for another's."""
        head, _, body = snapshot.partition(b"\n")
        said, at = json.loads(head), 0
        if len(said["sizes"]) != len(self.envs):
            raise ValueError(f"the snapshot is of {len(said['sizes'])} groups of markets, here are {len(self.envs)}")
        for g, size in enumerate(said["sizes"]):
            self._seen[g] = self.envs[g].restore(body[at : at + size])["observation"]
            at += size
