"""RLlib samples from our batch: an EnvRunner of its new API stack that plays B markets as arrays.

    config.environment(MarketMultiAgentEnv, env_config={...}).env_runners(
        env_runner_cls=MarketEnvRunner, num_envs_per_env_runner=64, num_env_runners=1
    )

RLlib's own `MultiAgentEnvRunner` keeps a dictionary for every agent of every step and runs its connectors over them,
which costs many times what the markets and the networks cost; RLlib 2.60 vectorises multi-agent environments by a loop
over them. Here a rollout is a few arrays, cut into RLlib's episodes when it is over. What PPO learns from is the same.

What goes by the board with RLlib's loop, each with an error: connectors of one's own between environment and module,
callbacks within episodes, random actions. Which module plays a seat is asked once, not for every episode.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.adapters.rllib import MarketMultiAgentEnv
from swarm_env.adapters.rllib_rows import MarketRows
from swarm_env.adapters.seat import any_seed

try:
    import torch
    from ray.rllib.callbacks.callbacks import RLlibCallback
    from ray.rllib.callbacks.utils import make_callback
    from ray.rllib.core.columns import Columns
    from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
    from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode
    from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
    from ray.rllib.utils import force_list, metrics
    from ray.rllib.utils.torch_utils import convert_to_torch_tensor
except ImportError as error:
    raise ImportError("swarm_env.adapters.rllib_runner needs RLlib: pip install 'swarm-env[rllib]'") from error

SEEDS_APART = 1 << 24  #: market b of a runner with seed s plays s * SEEDS_APART + b: two runners share none
WITHIN_EPISODES = ("on_episode_created", "on_episode_start", "on_episode_step", "on_episode_end")


class MarketEnvRunner(MultiAgentEnvRunner):  # type: ignore[misc]
    """Samples `num_envs_per_env_runner` markets of a `MarketMultiAgentEnv` configuration at once.

    For algorithms that learn from what is sampled and throw it away; tested with PPO. Chunks of episodes come one by
    learner, as `SingleAgentEpisode`s that name agent and module.

    Raises:
        ValueError: another environment, or a setting that would be without effect.
    """

    env: MarketRows  # None until RLlib calls `make_env`

    def make_env(self) -> None:
        """Make the markets; RLlib calls it."""
        _check(self.config)
        if self.env is not None:
            self.env.close()
        self.env = MarketRows(self.config.env_config, self.config.num_envs_per_env_runner)
        self.num_envs = self.env.num_envs
        nobody = MultiAgentEpisode()
        self._modules = [self.config.policy_mapping_fn(agent, nobody) for agent in self.env.agents]
        self._needs_initial_reset = True
        self._first = (any_seed() if self._seed is None else self._seed) * SEEDS_APART
        self._seeded, self._chunks = False, 0
        self._ended: list[tuple[NDArray[np.float64], float]] = []  # returns (B, L), and seconds a market took

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[Any]:
        """Play on in all markets.

        Args:
            num_timesteps: environment steps, or agent steps where the configuration counts these; rounded up to whole
                steps of all markets. Unless given, the configuration's rollout fragment.
            num_episodes: whole episodes in place of these, from their start; rounded up to one of every market.
            explore: draw actions, or take the likeliest; the configuration's unless given.
            random_actions: must be False.
            force_reset: start new episodes first.

        Returns:
            Chunks of episodes, market by market and learner by learner, one part of the episode after the other.

        Raises:
            ValueError: random actions, or both numbers given.
        """
        if random_actions:
            raise ValueError("MarketEnvRunner takes no random_actions; use RLlib's own env runner")
        if num_timesteps is not None and num_episodes is not None:
            raise ValueError("sample: give num_timesteps or num_episodes, not both")
        explore = self.config.explore if explore is None else explore
        with self.metrics.log_time(metrics.SAMPLE_TIMER):
            if force_reset or num_episodes is not None or self._needs_initial_reset:
                self._start()
            samples: list[Any] = []
            steps = self._steps(num_timesteps, num_episodes)
            while steps > 0:
                part = min(steps, self.env.left)
                samples += self._play(part, explore)
                steps -= part
            self._needs_initial_reset = num_episodes is not None
        self.metrics.log_value(metrics.WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        make_callback(
            "on_sample_end",
            callbacks_objects=self._callbacks,
            callbacks_functions=self.config.callbacks_on_sample_end,
            kwargs={"env_runner": self, "metrics_logger": self.metrics, "samples": samples},
        )
        return samples

    def _steps(self, num_timesteps: int | None, num_episodes: int | None) -> int:
        """Steps of every market that a call to `sample` asks for."""
        whole = self.config.batch_mode == "complete_episodes" and num_timesteps is None
        if whole or num_episodes is not None:
            return self.env.steps * math.ceil((num_episodes or 1) / self.num_envs) - (self.env.steps - self.env.left)
        if num_timesteps is None:
            num_timesteps = self.config.get_rollout_fragment_length(self.worker_index) * self.num_envs
        a_step = self.num_envs * (len(self.env.agents) if self.config.count_steps_by == "agent_steps" else 1)
        return math.ceil(num_timesteps / a_step)

    def _start(self) -> None:
        """New episodes everywhere: the first ones of the seed, later the next ones."""
        self._seen, _ = self.env.reset(seed=None if self._seeded else self._first)
        self._seeded = True
        self._returns = np.zeros((self.num_envs, len(self.env.agents)))
        self._since = time.perf_counter()

    def _play(self, steps: int, explore: bool) -> list[Any]:
        """So many steps of one episode of every market, as chunks."""
        began = self.env.steps - self.env.left
        seen, taken, paid = _Table(steps + 1), _Table(steps), _Table(steps)
        over, last = False, self._seen
        for t in range(steps):
            decided = self._decide(self._seen, explore)
            seen.put(t, self._seen)
            taken.put(t, decided)
            self._seen, rewards, over, last = self.env.step(decided[Columns.ACTIONS])
            paid.put(t, {Columns.REWARDS: rewards.astype(np.float32)})
            self._returns += rewards
        seen.put(steps, last)
        self._count(steps, over)
        chunks = []
        for b in range(self.num_envs):
            self._chunks += 1
            name = f"{self._first}_{self._chunks}"  # of one chunk: RLlib would merge two chunks of one name
            for seat, (agent, module) in enumerate(zip(self.env.agents, self._modules, strict=True)):
                outputs = {key: InfiniteLookbackBuffer(data) for key, data in taken.of(b, seat).items()}
                chunks.append(
                    SingleAgentEpisode(
                        f"{name}_{agent}",
                        observations=InfiniteLookbackBuffer(seen.of(b, seat)),
                        actions=outputs.pop(Columns.ACTIONS),
                        rewards=InfiniteLookbackBuffer(paid.of(b, seat)[Columns.REWARDS]),
                        extra_model_outputs=outputs,
                        truncated=over,
                        t_started=began,
                        len_lookback_buffer=0,
                        agent_id=agent,
                        module_id=module,
                        multi_agent_episode_id=name,
                    )
                )
        return chunks

    def _decide(self, seen: Any, explore: bool) -> dict[str, NDArray[Any]]:
        """Actions, their log-probabilities and the logits, (B, L, ...) each."""
        found: dict[str, NDArray[Any]] = {}
        for module_id in dict.fromkeys(self._modules):
            seats = [seat for seat, module in enumerate(self._modules) if module == module_id]
            for key, values in self._ask(self.module[module_id], _pick(seen, seats), explore).items():
                parts = values.reshape(self.num_envs, len(seats), *values.shape[1:])
                if key not in found:
                    found[key] = np.empty((self.num_envs, len(self._modules), *parts.shape[2:]), parts.dtype)
                found[key][:, seats] = parts
        return found

    def _ask(self, module: Any, seen: Any, explore: bool) -> dict[str, NDArray[Any]]:
        """What a module decides on observations with the axes (B, seats) in front: (B * seats, ...) each."""
        batch = {Columns.OBS: convert_to_torch_tensor(_flat(seen), device=self._device)}
        with torch.no_grad():
            outputs = module.forward_exploration(batch) if explore else module.forward_inference(batch)
            logits = outputs[Columns.ACTION_DIST_INPUTS]
            if explore:
                drawn = module.get_exploration_action_dist_cls().from_logits(logits)
                actions = drawn.sample()
            else:
                drawn = module.get_inference_action_dist_cls().from_logits(logits)
                actions = drawn.to_deterministic().sample()
            likely = drawn.logp(actions)
        decided = {Columns.ACTIONS: actions, Columns.ACTION_LOGP: likely, Columns.ACTION_DIST_INPUTS: logits}
        return {key: values.cpu().numpy() for key, values in decided.items()}

    def _count(self, steps: int, over: bool) -> None:
        """Log what was sampled, under RLlib's names, and keep what ended episodes returned."""
        log, played = self.metrics.log_value, steps * self.num_envs
        log(metrics.NUM_ENV_STEPS_SAMPLED, played, reduce="sum")
        log(metrics.NUM_ENV_STEPS_SAMPLED_LIFETIME, played, reduce="lifetime_sum", with_throughput=True)
        for agent, module in zip(self.env.agents, self._modules, strict=True):
            log((metrics.NUM_AGENT_STEPS_SAMPLED, agent), played, reduce="sum")
            log((metrics.NUM_AGENT_STEPS_SAMPLED_LIFETIME, agent), played, reduce="lifetime_sum")
            log((metrics.NUM_MODULE_STEPS_SAMPLED, module), played, reduce="sum")
            log((metrics.NUM_MODULE_STEPS_SAMPLED_LIFETIME, module), played, reduce="lifetime_sum")
        if over:
            log(metrics.NUM_EPISODES, self.num_envs, reduce="sum")
            log(metrics.NUM_EPISODES_LIFETIME, self.num_envs, reduce="lifetime_sum")
            now = time.perf_counter()
            self._ended.append((self._returns.copy(), (now - self._since) / self.num_envs))
            self._returns[:], self._since = 0.0, now

    def get_metrics(self) -> Any:
        """What was logged since the last call; episodes' returns are those of their learners together."""
        steps = dict.fromkeys(self.env.agents, self.env.steps)
        for returns, seconds in self._ended:
            for row in returns.tolist():
                modules = dict.fromkeys(self._modules, 0.0)
                for module, value in zip(self._modules, row, strict=True):
                    modules[module] += value
                agents = dict(zip(self.env.agents, row, strict=True))
                self._log_episode_metrics(self.env.steps, sum(row), seconds, agents, modules, steps)
        self._ended = []
        return self.metrics.reduce()


class _Table:
    """Arrays that are filled step by step, laid out so that what one learner gets is one block."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._whole: Any = None

    def put(self, t: int, values: Any) -> None:
        """Values of step t, (B, L, ...), or a dictionary of them."""
        named = values if isinstance(values, dict) else {"": values}
        if self._whole is None:
            self._bare = not isinstance(values, dict)
            shapes = {key: (*part.shape[:2], self._steps, *part.shape[2:]) for key, part in named.items()}
            self._whole = {key: np.empty(shape, named[key].dtype) for key, shape in shapes.items()}
        for key, part in named.items():
            self._whole[key][:, :, t] = part

    def of(self, row: int, seat: int) -> Any:
        """What one learner of one market got, (steps, ...)."""
        parts = {key: whole[row, seat] for key, whole in self._whole.items()}
        return parts[""] if self._bare else parts


def _pick(seen: Any, seats: list[int]) -> Any:
    """Observations of some seats."""
    return {key: part[:, seats] for key, part in seen.items()} if isinstance(seen, dict) else seen[:, seats]


def _flat(seen: Any) -> Any:
    """The first two axes as one."""
    if isinstance(seen, dict):
        return {key: _flat(part) for key, part in seen.items()}
    return seen.reshape(-1, *seen.shape[2:])


def _check(config: Any) -> None:
    """Raise ValueError for a configuration that asks for more than this runner does."""
    if config.env is not MarketMultiAgentEnv:
        raise ValueError(f"MarketEnvRunner plays MarketMultiAgentEnv, got the environment {config.env!r}")
    asked = []
    if config._env_to_module_connector is not None or config._module_to_env_connector is not None:
        asked.append("connectors between environment and module")
    if config.use_env_runner_state_server:
        asked.append("use_env_runner_state_server")
    for name in WITHIN_EPISODES:
        theirs = [getattr(each, name) for each in force_list(config.callbacks_class)]
        if getattr(config, f"callbacks_{name}") or any(one is not getattr(RLlibCallback, name) for one in theirs):
            asked.append(f"the callback {name}")
    if asked:
        raise ValueError(f"MarketEnvRunner knows no {', '.join(asked)}; use RLlib's own env runner")
