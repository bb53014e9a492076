"""The vectorised environment on a GPU: `swarm_env.vector_env(..., device="cuda")`, PyTorch tensors in and out.

The market's tables lie in PyTorch tensors of bytes on the GPU; the kernels of `core/cuda.py` see them as records, and
fields that the host's code needs are strided tensors over the same bytes. No step waits for the GPU: how long an
episode is follows from its scenario, so the host knows without asking which rows end when.

One GPU a process: the current one. Choose it with CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.batch import MEMORY, MarketVectorEnv
from swarm_env.catalog import Source
from swarm_env.compile import Learners
from swarm_env.core import features
from swarm_env.core.compiled import JIT
from swarm_env.core.types import State, View
from swarm_env.episode import EPISODE_TOTALS, metrics_of

_NEEDED = "device='cuda' needs PyTorch and numba-cuda: pip install 'swarm-env[cuda]'"
try:
    import torch
    from numba import cuda

    from swarm_env.core import cuda as kernels
except ImportError as _missing:
    raise ImportError(_NEEDED) from _missing


def find_device() -> torch.device:
    """Where the tables lie: the current GPU, or the host where Numba's CUDA simulator runs the kernels.

    Raises:
        ImportError: numba-cuda is not installed. RuntimeError: no GPU, or NUMBA_DISABLE_JIT is set.
    """
    if kernels.SIMULATED:
        return torch.device("cpu")
    if find_spec("numba_cuda") is None:  # Numba's own CUDA target is deprecated, and older than today's GPUs
        raise ImportError(_NEEDED)
    if not JIT:
        raise RuntimeError("device='cuda' compiles the rules: unset NUMBA_DISABLE_JIT")
    if not torch.cuda.is_available():
        raise RuntimeError("device='cuda': PyTorch finds no GPU (torch.cuda.is_available() is False)")
    if not cuda.is_available():
        raise RuntimeError("device='cuda': Numba finds no CUDA driver (numba.cuda.is_available() is False)")
    return torch.device("cuda", torch.cuda.current_device())


def _kernel_array(tensor: torch.Tensor) -> Any:
    """The tensor's memory as kernels take it."""
    return tensor.numpy() if kernels.SIMULATED else cuda.as_cuda_array(tensor)


def _kernel_table(records: torch.Tensor, dtype: np.dtype[Any]) -> Any:
    """Bytes (..., itemsize) as kernels take a table (...) of records."""
    flat, shape = records.reshape(-1), tuple(records.shape[:-1])
    if kernels.SIMULATED:
        return flat.numpy().view(_with_attributes(dtype)).reshape(shape).view(np.recarray)
    return cuda.as_cuda_array(flat).view(dtype).reshape(shape)


def _with_attributes(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A record's dtype whose elements, and theirs, have attributes in Python: what `tables.record` calls plain."""
    if dtype.fields is None:
        return dtype
    formats = [_with_attributes(field[0]) for field in dtype.fields.values()]
    offsets = [field[1] for field in dtype.fields.values()]
    same: Any = {"names": list(dtype.fields), "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    return np.dtype((np.record, np.dtype(same)))


class CudaVectorEnv(MarketVectorEnv):
    """B markets on a GPU. Arguments and methods are `MarketVectorEnv`'s, with these differences.

    - Observations, rewards, terminations, truncations, `infos`, `state` and `ledger` are tensors on the GPU, of the
      same shapes and types; nothing is copied to the host. Work is queued on PyTorch's current stream.
    - Actions may be a tensor on the GPU; what lies elsewhere is copied there.
    - num_threads must be left at 1.
    - `snapshot` and `restore` do pass through the host; snapshots are those of the CPU, and either takes the other's.

    Numbers are the CPU's to the bit: a step is made of +, -, *, /, square roots and tables (`core.elementary`), each
    rounded by itself, and calls nothing of NVIDIA's libdevice.

    Raises:
        ValueError: as for `MarketVectorEnv`, or num_threads other than 1. ImportError, RuntimeError: see `find_device`.
    """

    def __init__(
        self,
        scenario: Source | Sequence[Source],
        num_envs: int,
        learners: Learners = "all",
        num_threads: int = 1,
        seed: int = 0,
        copy: bool = False,
    ) -> None:
        if num_threads != 1:
            raise ValueError("num_threads is for the CPU; device='cuda' takes one thread an environment")
        self.device = find_device()
        super().__init__(scenario, num_envs, learners, num_threads, seed, copy)
        self._scene_there = self._to_device(self._scene)
        self._initial_there = self._to_device(self._initial)
        self._seats = torch.as_tensor(self._learners, device=self.device)
        self._every_row = torch.arange(self.num_envs, device=self.device)
        self._clock = 0  # steps of the batch so far
        self._end_at(self._clock + self._steps)

    def _allocate(self, which: NDArray[np.int64]) -> None:
        one, shown = self.compiled.allocate(1, infos=False, watched=False)

        def zeros(like: NDArray[Any], *more: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros((self.num_envs, *like.shape[1:], *more), dtype=dtype, device=self.device)

        self._records: Any = State(*(zeros(part, part.dtype.itemsize, dtype=torch.uint8) for part in one))  # type: ignore[arg-type]
        parts = zip(self._records, one, strict=True)
        self.state_tables = State(*(_kernel_table(records, part.dtype) for records, part in parts))  # type: ignore[arg-type]
        self._shown: Any = View(*(zeros(part, dtype=torch.from_numpy(part).dtype) for part in shown))  # type: ignore[arg-type]
        self._view = View(*(_kernel_array(part) for part in self._shown))  # type: ignore[arg-type]
        heads = (self.num_envs, self.compiled.num_learners, len(self.compiled.nvec))
        self._actions = torch.zeros(heads, dtype=torch.int64, device=self.device)
        self._actions_there = _kernel_array(self._actions)
        self._field("rows", "params").copy_(torch.as_tensor(which))

    def _to_device(self, tables: Any) -> Any:
        """A table, or a tuple of tables, as kernels take it; the host's stays as it is."""
        if isinstance(tables, tuple):
            return type(tables)(*map(self._to_device, tables))
        records = np.frombuffer(tables.tobytes(), np.uint8).reshape(*tables.shape, tables.dtype.itemsize)
        return _kernel_table(torch.tensor(records, device=self.device), tables.dtype)

    def _field(self, table: str, name: str) -> torch.Tensor:
        """A field of every record of a table: a strided tensor over the table's memory."""
        dtype, offset = getattr(self.compiled.initial, table).dtype.fields[name][:2]
        records: torch.Tensor = getattr(self._records, table)
        return records.view(torch.from_numpy(np.empty(0, dtype)).dtype)[..., offset // dtype.itemsize]

    def _launch(self, kernel: Any, threads: int, *arguments: Any) -> None:
        stream = 0 if kernels.SIMULATED else torch.cuda.current_stream().cuda_stream
        kernels.launch(kernel, threads, cuda.external_stream(stream) if stream else 0, *arguments)

    def _reset_rows(self, rows: torch.Tensor) -> None:
        tables = self._scene_there, self._initial_there, self.state_tables, self._view
        self._launch(kernels.reset, len(rows), *tables, _kernel_array(rows))

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """As `MarketVectorEnv.reset`."""
        if self._starts_over(seed):
            self._field("rows", "seed").copy_(self._seed + self._every_row)
            self._field("rows", "episode").zero_()
        else:
            self._field("rows", "episode").add_(1)
        self._reset_rows(self._every_row)
        self._end_at(self._clock + self._steps)
        return self.seen(), {}

    def _count_steps(self) -> None:
        """`_end_at` keeps it, from what lies in host memory."""

    def _end_at(self, ends: NDArray[np.int64]) -> None:
        """Keep at which `_clock` each row's episode ends, (B,), and the first of them."""
        self._ends, self._next_end = ends, int(ends.min())

    def step(self, actions: ArrayLike | torch.Tensor) -> tuple[dict[str, Any], Any, Any, Any, dict[str, Any]]:
        """As `MarketVectorEnv.step`. Rewards, terminations and truncations are fresh tensors."""
        if not self._started:
            raise RuntimeError("reset the environment before the first step")
        chosen = torch.as_tensor(actions)
        if chosen.shape != self._actions.shape:
            raise ValueError(
                f"actions have shape {tuple(chosen.shape)}; they must be {tuple(self._actions.shape)} whole numbers"
            )
        self._actions.copy_(chosen)
        self._launch(
            kernels.advance, self.num_envs, self._scene_there, self.state_tables, self._view, self._actions_there
        )
        self._clock += 1
        rewards = self._shown.reward.clone()
        over = torch.zeros((2, *rewards.shape), dtype=torch.bool, device=self.device)
        if self._clock < self._next_end:
            return self.seen(), rewards, over[0], over[1], {}
        ended = np.flatnonzero(self._ends == self._clock)
        rows = torch.as_tensor(ended, device=self.device)
        over[1, rows] = True
        infos = self._finish_there(rows)
        self._ends[ended] += self._steps[ended]
        self._end_at(self._ends)
        return self.seen(), rewards, over[0], over[1], infos

    def _finish_there(self, rows: torch.Tensor) -> dict[str, Any]:
        """Keep what ended episodes leave, then start the next ones: (k,) rows."""
        totals = {name: self._field("rows", name)[rows].double() for name in EPISODE_TOTALS}
        infos = {
            "final_rows": rows,
            "final_observation": {
                "observation": self._shown.observation[rows],
                "action_mask": self._shown.mask[rows],
            },
            "episode": {
                "return": self._field("agents", "gained")[rows[:, None], self._seats],
                "length": self._field("rows", "step")[rows],
                **metrics_of(totals, torch.where),
            },
        }
        self._field("rows", "episode")[rows] += 1
        self._reset_rows(rows)
        return infos

    def seen(self) -> dict[str, Any]:
        """As `MarketVectorEnv.seen`."""
        observation, mask = self._shown.observation, self._shown.mask
        if self.copy:
            observation, mask = observation.clone(), mask.clone()
        return {"observation": observation, "action_mask": mask}

    def state(self) -> Any:
        """As `MarketVectorEnv.state`."""
        out = torch.zeros((self.num_envs, len(self.compiled.state_bounds[0])), device=self.device)
        self._launch(kernels.global_state, self.num_envs, self._scene_there, self.state_tables, _kernel_array(out))
        return out

    def ledger(self) -> Any:
        """As `MarketVectorEnv.ledger`."""
        shape = (self.num_envs, self.compiled.num_agents, self.compiled.inbox, len(features.LEDGER))
        out = torch.zeros(shape, device=self.device)
        self._launch(kernels.ledger, self.num_envs, self._scene_there, self.state_tables, _kernel_array(out))
        return out[:, self._seats]

    def _tensors(self) -> list[torch.Tensor]:
        """What a snapshot holds, in the order of `_parts`."""
        return [*(getattr(self._records, name) for name in MEMORY), self._shown.observation, self._shown.mask]

    def _parts(self) -> list[NDArray[Any]]:
        return [tensor.cpu().numpy() for tensor in self._tensors()]

    def _put_back(self, parts: list[NDArray[Any]]) -> None:
        for tensor, part in zip(self._tensors(), parts, strict=True):
            tensor.copy_(torch.as_tensor(part))
        self._end_at(self._clock + self._steps - self._field("rows", "step").cpu().numpy())
