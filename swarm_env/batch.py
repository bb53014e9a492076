"""The vectorised environment: many markets, one call a step, the same rules and trajectories as the ParallelEnv.

Row b under seed s plays what ``parallel_env(scenario).reset(seed=s + b)`` plays, bit for bit, for any number of rows
and threads. Rows reset themselves in the step that ends their episode (Gymnasium's SAME_STEP): what `step` returns for
such a row is the first observation of its next episode, and ``infos`` holds the last of the old one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.catalog import Source, load_scenario
from swarm_env.compile import Compiled, Learners, compile_scenario
from swarm_env.core import features, observe, step
from swarm_env.core.sizes import known
from swarm_env.core.tables import table, tables
from swarm_env.core.types import DESK, PASSING, Scene, State, View
from swarm_env.crew import Crew
from swarm_env.deals import pending, settled
from swarm_env.episode import EPISODE_METRICS as EPISODE_METRICS
from swarm_env.episode import episode_metrics
from swarm_env.spaces import MaskedMultiDiscrete

NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)  #: no rows
FORMAT = 8  #: of a snapshot; raised when its tables change, or what a market does from them on
MEMORY: tuple[str, ...] = tuple(name for name in State._fields if name not in PASSING)  #: what a snapshot holds


class MarketVectorEnv:
    """B markets stepped together.

    Args:
        scenario: one for all rows, or a sequence of `num_envs` of them that agree in agents, contacts and slots (so
            that one batch sweeps payoffs, levers or populations; agents are named as in the first).
        num_envs: B, at least 1.
        learners: as for `parallel_env`; the same seats in every row.
        num_threads: worker threads; one is the default, since with a busy neighbour two are slower than one.
        seed: row b plays seed + b.
        copy: return fresh arrays. Without it observations and masks are views that the next step overwrites.
        record: keep what every step settles, for `interactions`; costs memory and some speed.
        tuned: steps by machine code made for this batch's numbers of agents, slots and contacts (up to 64 of each): the
            same trajectories in less time (docs/performance.md). Its first step compiles for about a minute; later
            batches of that shape, in any process, find the code on disk.

    Attributes:
        num_envs, num_learners: B, L.
        possible_agents: names of the learners, in the order of the second axis.
        single_observation_space, single_action_space: of one learner in one row.

    Raises:
        ScenarioError: a scenario that does not load.
        ValueError: scenarios of different shapes, or a number out of range.
    """

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}  # noqa: RUF012  Gymnasium's way

    def __init__(
        self,
        scenario: Source | Sequence[Source],
        num_envs: int,
        learners: Learners = "all",
        num_threads: int = 1,
        seed: int = 0,
        copy: bool = False,
        record: bool = False,
        tuned: bool = False,
    ) -> None:
        if num_envs < 1 or num_threads < 1:
            raise ValueError(f"num_envs and num_threads must be at least 1, got {num_envs} and {num_threads}")
        self.num_envs, self.copy, self.record = num_envs, copy, record
        self.compiled, self._scene, self._initial, which = _compile(scenario, num_envs, learners)
        if not self.compiled.learner_names:
            raise ValueError("learners: an environment needs at least one")
        self.possible_agents = list(self.compiled.learner_names)
        self.num_learners = len(self.possible_agents)
        self.state_tables: State
        self._view: View
        self._spare: View | None = None  # that the next step writes into, see `keep_last`
        self._allocate(which)
        self._advance: Callable[..., None] = step.advance_unchecked
        if tuned:
            sizes = known(self._scene, self.compiled.inbox, self.compiled.peers, not record)
            self._advance = step.advance_tuned(sizes, self._scene, self.state_tables)
        self._steps = self._scene.params["n_epochs"][which] * self._scene.params["steps_per_epoch"][which]
        self._learners = np.flatnonzero(self._scene.seats["learner"][0] >= 0)
        # rows that share a desk stay on one thread; recorded, each has its own
        self._crew = Crew(num_envs, 1 if record else DESK, num_threads)
        self._seed, self._started = seed, False
        self._steps_left = 0
        self._deals: NDArray[Any] | None = None  # of the last step, where they are recorded
        self._make_spaces()

    def _allocate(self, which: NDArray[np.int64]) -> None:
        """Room for the rows; which (B,): the row of the scenes that each plays in."""
        self.state_tables, self._view = self.compiled.allocate(self.num_envs, infos=False, watched=self.record)
        self.state_tables.rows["params"] = which

    def _make_spaces(self) -> None:
        low, high = self.compiled.feature_bounds
        mask = gymnasium.spaces.Box(0, 1, (int(self.compiled.nvec.sum()),), dtype=np.int8)
        observation = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.single_observation_space = gymnasium.spaces.Dict({"observation": observation, "action_mask": mask})
        self.single_action_space = MaskedMultiDiscrete(self.compiled.nvec)

    def reset(self, seed: int | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Start an episode in every row; a seed restarts row b at the first episode of seed + b.

        Returns:
            ({"observation": float32 (B, L, F), "action_mask": int8 (B, L, M)}, {}).
        """
        rows = self.state_tables.rows
        if self._starts_over(seed):
            rows["seed"], rows["episode"] = self._seed + np.arange(self.num_envs), 0
        else:
            rows["episode"] += 1
        if self._spare is not None:
            self._view, self._spare = self._spare, self._view
        parts = self._scene, self._initial, self.state_tables, self._view
        self._crew.each(lambda lo, hi: step.reset_unchecked(*parts, lo, hi))
        self._begin()
        return self.seen(), {}

    def _starts_over(self, seed: int | None) -> bool:
        """Whether a reset with that seed leads to every row's first episode, not its next; keeps the seed."""
        if seed is None and self._started:
            return False
        first = self._seed if seed is None else seed
        if not 0 <= first < 2**63 - self.num_envs:
            raise ValueError(f"seed must be in 0..2**63-1-{self.num_envs}, got {first}")
        self._seed, self._started = first, True
        return True

    def step(
        self, actions: ArrayLike
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Play a step in every row.

        Args:
            actions: whole numbers (B, L, heads); illegal choices become noops.

        Returns:
            observations as from `reset`; rewards float64 (B, L); terminations and truncations bool (B, L); infos:
            empty, or, if episodes ended, "final_rows" (k,), "final_observation" (observations of these rows before
            the reset) and "episode": {"return": (k, L), "length": (k,), and EPISODE_METRICS: (k,)}.

        Raises:
            ValueError: actions of another shape. RuntimeError: called before `reset`.
        """
        if not self._started:
            raise RuntimeError("reset the environment before the first step")
        shape = (self.num_envs, self.num_learners, len(self.compiled.nvec))
        chosen = np.ascontiguousarray(actions, dtype=np.int64)
        if chosen.shape != shape:
            raise ValueError(f"actions have shape {chosen.shape}; they must be {shape} whole numbers")
        rewards, over, infos = self.play(chosen, np.float64)
        truncations = np.zeros(shape[:2], dtype=np.bool_)
        truncations[over] = True
        return self.seen(), rewards, np.zeros(shape[:2], dtype=np.bool_), truncations, infos

    def play(self, chosen: NDArray[np.int64], kind: type) -> tuple[NDArray[Any], NDArray[np.int64], dict[str, Any]]:
        """What `step` does, unchecked, for adapters: a step of actions (B, L, heads), int64 and C-contiguous.

        Returns:
            rewards of the type `kind` (B, L), a fresh array; rows whose episodes ended (k,); `infos` as from `step`.
        """
        if self._spare is not None:
            self._view, self._spare = self._spare, self._view
        parts = self._scene, self.state_tables, self._view
        self._crew.play(lambda *rows: self._advance(*parts, chosen, *rows))
        rewards: NDArray[Any] = self._view.reward.astype(kind)
        if self.record:  # now: rows that start again forget
            self._deals = settled(self.state_tables, rows=True)
        self._steps_left -= 1
        if self._steps_left > 0:
            return rewards, NONE, {}
        over = np.flatnonzero(self.state_tables.rows["step"] >= self._steps)
        infos = self._finish(over) if len(over) else {}
        self._count_steps()
        return rewards, over, infos

    def keep_last(self) -> None:
        """From now on a step leaves the observations alone that the one before it returned, and overwrites older ones.

        For callers that still read the last observations when they have the next ones, and copy nothing. Masks are
        overwritten as before.
        """
        shape, kind = self._view.observation.shape, self._view.observation.dtype
        self._spare = self._view._replace(observation=tables([(kind, shape)])[0])

    def _count_steps(self) -> None:
        """Keep how many steps are left until the first episode ends: till then nobody need look for one."""
        self._steps_left = int((self._steps - self.state_tables.rows["step"]).min())

    def _finish(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Keep what ended episodes leave, then start the next ones."""
        state, view = self.state_tables, self._view
        final = {"observation": view.observation[rows], "action_mask": view.mask[rows]}
        episode = {
            "return": state.agents["gained"][np.ix_(rows, self._learners)],
            "length": state.rows["step"][rows],
            **episode_metrics(state.rows[rows]),
        }
        state.rows["episode"][rows] += 1

        def restart(lo: int, hi: int) -> None:
            mine = rows[np.searchsorted(rows, lo) : np.searchsorted(rows, hi)]
            for run in np.split(mine, np.flatnonzero(np.diff(mine) != 1) + 1):  # the kernel takes ranges
                if len(run):
                    step.reset_unchecked(self._scene, self._initial, state, view, int(run[0]), int(run[-1]) + 1)

        self._crew.each(restart)
        return {"final_rows": rows, "final_observation": final, "episode": episode}

    def _begin(self) -> None:
        """Other episodes are being played than before: of these nothing has been settled yet."""
        self._count_steps()
        if self.record:
            self._deals = settled(self.state_tables, rows=True)[:0]

    def interactions(self) -> NDArray[Any]:
        """The interactions settled in the last step, of all rows: a structured array (n,), see `swarm_env.deals`.

        A fresh array per step with the fields `row` (0..B-1) and `initiator` in front, ordered by them; of a row that
        ended its episode these are the old episode's. It holds latent p and conduct: for metrics and logs, not for
        policies.

        Raises:
            RuntimeError: made without ``record=True``, or called before `reset`.
        """
        if not self.record:
            raise RuntimeError("interactions: make the environment with record=True")
        if self._deals is None:
            raise RuntimeError("reset the environment before asking for its interactions")
        return self._deals

    def pending(self) -> NDArray[Any]:
        """The proposals that the next step will answer, of all rows, see `swarm_env.deals.pending`.

        It holds latent p and conduct: for judges, not for policies.

        Raises:
            RuntimeError: called before `reset`.
        """
        if not self._started:
            raise RuntimeError("reset the environment before asking for what is pending")
        return pending(self._scene, self.state_tables)

    def seen(self) -> dict[str, NDArray[Any]]:
        """Observations and masks of the step to come, as `reset` and `step` return them."""
        observation, mask = self._view.observation, self._view.mask
        if self.copy:
            observation, mask = observation.copy(), mask.copy()
        return {"observation": observation, "action_mask": mask}

    def state(self) -> NDArray[np.float32]:
        """(B, S): every market as a whole, for centralised critics; a fresh array."""
        out = np.zeros((self.num_envs, len(self.compiled.state_bounds[0])), dtype=np.float32)
        self._crew.each(lambda lo, hi: observe.global_state(self._scene, self.state_tables, out, lo, hi))
        return out

    def ledger(self) -> NDArray[np.float32]:
        """(B, L, I, 6): the overseers' view of every learner's inbox; a fresh array. Never part of an observation."""
        shape = (self.num_envs, self.compiled.num_agents, self.compiled.inbox, len(features.LEDGER))
        out = np.zeros(shape, dtype=np.float32)
        self._crew.each(lambda lo, hi: observe.ledger(self._scene, self.state_tables, out, lo, hi))
        return out[:, self._learners]

    def snapshot(self) -> bytes:
        """All that the future depends on; `restore` goes on from there as if nothing had happened."""
        parts = self._parts()
        head = {**self._signature(), "seed": self._seed, "started": self._started}
        return b"".join([json.dumps(head, sort_keys=True).encode(), b"\n", *(part.tobytes() for part in parts)])

    def restore(self, snapshot: bytes) -> dict[str, NDArray[Any]]:
        """Go back to a snapshot of an environment made with the same arguments; returns its observations.

        Raises:
            ValueError: a snapshot of other scenarios, another number of rows, or another version.
        """
        head, _, body = snapshot.partition(b"\n")
        try:
            said = json.loads(head)
            theirs = {key: said[key] for key in self._signature()}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("not a snapshot of a MarketVectorEnv") from error
        parts = self._parts()
        if theirs != self._signature() or len(body) != sum(part.nbytes for part in parts):
            raise ValueError(f"the snapshot is of {theirs}, this environment is {self._signature()}")
        at = 0
        for part in parts:
            part[...] = np.frombuffer(body, part.dtype, part.size, at).reshape(part.shape)
            at += part.nbytes
        self._seed, self._started = said["seed"], said["started"]
        self._put_back(parts)
        self._begin()
        return self.seen()

    def _parts(self) -> list[NDArray[Any]]:
        """What a snapshot holds, in host memory."""
        return [*(getattr(self.state_tables, name) for name in MEMORY), self._view.observation, self._view.mask]

    def _put_back(self, parts: list[NDArray[Any]]) -> None:
        """Go on from `_parts` as `restore` has filled them: here they are the tables themselves."""

    def _signature(self) -> dict[str, Any]:
        from hashlib import sha256

        return {
            "format": FORMAT,
            "num_envs": self.num_envs,
            "learners": self.possible_agents,
            "scenarios": sha256(b"".join(part.tobytes() for part in self._scene)).hexdigest()[:16],
        }

    def close(self) -> None:
        """End the worker threads."""
        self._crew.close()


def _compile(
    scenario: Source | Sequence[Source], num_envs: int, learners: Learners
) -> tuple[Compiled, Scene, State, NDArray[np.int64]]:
    """(first compiled scenario, all scenes (S, ...), initial states (S, ...), scene by environment)."""
    many = isinstance(scenario, Sequence) and not isinstance(scenario, str)
    sources: list[Source] = list(scenario) if many else [scenario]  # type: ignore[arg-type, list-item]
    if many and len(sources) != num_envs:
        raise ValueError(f"{len(sources)} scenarios for {num_envs} environments; give one, or one for each")
    given = {id(source): load_scenario(source) for source in sources}  # one object given many times is one scenario
    keys = {name: each.content_hash for name, each in given.items()}
    by_hash = {keys[name]: each for name, each in given.items()}
    distinct = {key: k for k, key in enumerate(by_hash)}
    compiled = [compile_scenario(each, learners) for each in by_hash.values()]
    first = compiled[0]
    for other in compiled[1:]:
        shapes = [part.shape for part in other.initial], _learning(other), other.inbox, other.peers
        if shapes != ([part.shape for part in first.initial], _learning(first), first.inbox, first.peers):
            raise ValueError(
                f"{other.scenario.scenario_id} and {first.scenario.scenario_id} differ in shape: scenarios of one "
                "batch must agree in agents, contacts, learners, slots, and in collusion and security control being on"
            )
    if len(compiled) == 1:  # no copies: a large market's tables are most of what it takes
        return first, first.scene, first.initial, np.zeros(num_envs, dtype=np.int64)
    scene = Scene(*(_stack(list(parts)) for parts in zip(*(each.scene for each in compiled), strict=True)))
    initial = State(*(_stack(list(parts)) for parts in zip(*(each.initial for each in compiled), strict=True)))
    which = np.array([distinct[keys[id(source)]] for source in sources], dtype=np.int64)
    return first, scene, initial, which


def _learning(compiled: Compiled) -> list[int]:
    """Which seats learn: their agents' names may differ, as in mixed populations."""
    rows: list[int] = compiled.scene.seats["learner"][0].tolist()
    return rows


def _stack(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Tables one after the other; unlike concatenate, with zeros between the fields, so that bytes can be compared."""
    out = table(parts[0].dtype, len(parts), *parts[0].shape[1:])
    for k, part in enumerate(parts):
        out[k] = part[0]
    return out


def vector_env(
    scenario: Source | Sequence[Source],
    num_envs: int,
    learners: Learners = "all",
    num_threads: int = 1,
    seed: int = 0,
    copy: bool = False,
    device: str = "cpu",
    record: bool = False,
    tuned: bool = False,
) -> MarketVectorEnv:
    """A batch of markets; see `MarketVectorEnv`.

    Args:
        device: "cpu", or "cuda" for `swarm_env.adapters.cuda.CudaVectorEnv`: PyTorch tensors in and out of a GPU.

    Raises:
        ValueError: another device, record or tuned on a GPU. ImportError: the extra `cuda` is not installed.
        RuntimeError: there is no GPU.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    if device == "cuda":  # from a layer above, with libraries that nobody else needs
        if tuned:
            raise ValueError("tuned: code is made for one shape on the CPU only; leave device='cuda' or tuned away")
        if record:
            raise ValueError("record: interactions are recorded on the CPU only; leave device='cuda' or record away")
        cuda: MarketVectorEnv = import_module("swarm_env.adapters.cuda").CudaVectorEnv(
            scenario, num_envs, learners, num_threads, seed, copy
        )
        return cuda
    return MarketVectorEnv(scenario, num_envs, learners, num_threads, seed, copy, record, tuned)
