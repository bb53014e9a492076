"""The sections of a scenario that belong to no single rule: the home of each default, range and unit.

Levers, archetypes and the payoff define their sections beside their rules; `Governance` composes the levers'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, create_model, field_validator, model_validator

from swarm_env.core.governance import LEVERS
from swarm_env.core.section import Section
from swarm_env.scenario.errors import Key, show
from swarm_env.scenario.messages import Fault, faulty
from swarm_env.scenario.spelling import Spelled

#: The largest total that a criterion may ask for.
TOTAL = 1e12


class _Aliases(Spelled):
    """``governance:`` section: the fields of every lever. A lever is off unless the scenario turns it on."""

    SPELLINGS: ClassVar[dict[str, tuple[Key, ...]]] = {
        "reputation_decay_rate": (("reputation_decay",),),
        "transaction_tax_rate": (("transaction_tax",),),
    }


if TYPE_CHECKING:

    class Governance(Section):
        """Composed when the module loads, so its fields are only known then."""

        SPELLINGS: ClassVar[dict[str, tuple[Key, ...]]]

        def __getattr__(self, name: str) -> Any: ...

else:
    # pydantic collects fields from the last base to the first
    _bases = (_Aliases, *(lever.Config for lever in reversed(LEVERS.values())))
    Governance = create_model("Governance", __base__=_bases, __module__=__name__, __doc__=_Aliases.__doc__)


class Simulation(Section):
    """``simulation:`` section. An episode is n_epochs * steps_per_epoch steps."""

    n_epochs: int = Field(default=10, ge=1, le=100_000, description="epochs of an episode")
    steps_per_epoch: int = Field(default=10, ge=1, le=100_000, description="steps of an epoch")
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="seed of every draw")

    @model_validator(mode="after")
    def bounded(self) -> Self:
        """Refuse episodes that no run would finish."""
        steps = self.n_epochs * self.steps_per_epoch
        if steps > 10_000_000:
            what = f"{self.n_epochs} epochs of {self.steps_per_epoch} steps are {steps} steps"
            raise faulty(Fault(("n_epochs",), what, "at most 10000000 steps in all"))
        return self


class RateLimits(Section):
    """``rate_limits:`` section: budgets of an agent."""

    posts_per_epoch: int = Field(default=10, ge=0, le=1_000_000, description="posts of an agent in an epoch")
    interactions_per_step: int = Field(default=5, ge=1, le=64, description="proposals an inbox takes in a step")
    votes_per_epoch: int = Field(default=50, ge=0, le=1_000_000, description="votes of an agent in an epoch")
    tasks_per_epoch: int = Field(default=3, ge=0, le=1_000_000, description="tasks of an agent in an epoch")


class PerConduct(Section):
    """A price for each conduct, in resources per accepted interaction."""

    honest: float = Field(default=0.0, ge=0, le=1000, description="of honest conduct")
    opportunistic: float = Field(default=0.0, ge=0, le=1000, description="of opportunistic conduct")
    deceptive: float = Field(default=0.0, ge=0, le=1000, description="of deceptive conduct")
    adversarial: float = Field(default=0.0, ge=0, le=1000, description="of adversarial conduct")


class Effort(PerConduct):
    """What the initiator spends on its own conduct."""

    honest: float = Field(default=0.3, ge=0, le=1000, description="of honest conduct")
    opportunistic: float = Field(default=0.1, ge=0, le=1000, description="of opportunistic conduct")
    deceptive: float = Field(default=0.2, ge=0, le=1000, description="of deceptive conduct")


class Extraction(PerConduct):
    """What the initiator takes from its counterparty: tau = -extraction."""

    opportunistic: float = Field(default=0.1, ge=0, le=1000, description="of opportunistic conduct")
    deceptive: float = Field(default=0.15, ge=0, le=1000, description="of deceptive conduct")
    adversarial: float = Field(default=1.2, ge=0, le=1000, description="of adversarial conduct")


class Conduct(Section):
    """``conduct:`` section: what conduct costs and brings. All zeros reproduce SWARM."""

    effort: Effort = Field(default_factory=Effort, description="paid by the initiator if accepted")
    extraction: Extraction = Field(default_factory=Extraction, description="taken from its counterparty")


class View(Section):
    """``view:`` section: how much of the market an agent sees and can address."""

    inbox: int | None = Field(
        default=None, ge=1, le=64, description="inbox slots; absent: min(N-1, interactions_per_step)"
    )
    peers: int | None = Field(default=None, ge=1, le=64, description="peer slots; absent: min(N-1, 16)")


class Weights(Section):
    """Weights of the proxy's four parts; what counts is their share of the sum."""

    task_progress: float = Field(default=0.4, ge=0, le=1e6, description="of task progress")
    rework: float = Field(default=0.2, ge=0, le=1e6, description="of the rework count")
    verifier: float = Field(default=0.2, ge=0, le=1e6, description="of rejections and misuse")
    engagement: float = Field(default=0.2, ge=0, le=1e6, description="of engagement")

    @model_validator(mode="after")
    def some(self) -> Self:
        """Refuse weights without a sum to divide by."""
        if not self._sum() > 0:
            raise faulty(Fault((), "all weights are 0", "at least one weight above 0"))
        return self

    def _sum(self) -> float:
        return self.task_progress + self.rework + self.verifier + self.engagement

    @property
    def normalised(self) -> tuple[float, float, float, float]:
        """The shares of task_progress, rework, verifier and engagement; they sum to 1."""
        s = self._sum()
        return self.task_progress / s, self.rework / s, self.verifier / s, self.engagement / s


class Decays(Section):
    """How fast a count spoils its signal: count_signal(n, d) = 2*d**n - 1."""

    rework: float = Field(default=0.3, ge=0.01, le=0.999999, description="per round of rework")
    rejections: float = Field(default=0.4, ge=0.01, le=0.999999, description="per rejection by the verifier")
    misuse: float = Field(default=0.5, ge=0.01, le=0.999999, description="per misuse of a tool")


class Market(Section):
    """``market:`` section: signals, tasks and the proxy."""

    safety_threshold: float = Field(default=0.5, ge=0, le=1, description="p from which on a proposal counts as safe")
    task_reward: float = Field(default=0.2, ge=0, le=1000, description="pay of a task per unit of p less effort")
    signal_noise: float = Field(default=0.15, ge=0, le=10, description="sd of the surface signal's noise")
    disguise_probability: float = Field(default=0.5, ge=0, le=1, description="chance that an adversarial signal lies")
    disguise_bias: float = Field(default=0.6, ge=-2, le=2, description="what it then adds")
    sensitive_probability: float = Field(default=0.2, ge=0, le=1, description="chance that an honest signal misleads")
    sensitive_bias: float = Field(default=-0.5, ge=-2, le=2, description="what it then adds")
    deceptive_bias: float = Field(default=0.3, ge=-2, le=2, description="what a deceptive signal adds")
    ledger_noise: float = Field(default=0.3, ge=0, le=10, description="sd of an overseer's reading of v_hat")
    initial_resources: float = Field(default=100.0, ge=0, le=1e9, description="resources of an agent at the start")
    vote_step: float = Field(default=0.01, ge=0, le=1, description="reputation that a vote of weight 1 moves")
    history_per_agent: int = Field(
        default=32, ge=1, le=1024, description="interactions per agent that security control remembers"
    )
    weights: Weights = Field(default_factory=Weights, description="of the parts of v_hat")
    decays: Decays = Field(default_factory=Decays, description="of the count signals")


class SuccessCriteria(Section):
    """``success_criteria:`` section: what a run must reach to pass. Absent criteria are not checked."""

    min_epochs: int | None = Field(default=None, ge=0, le=100_000, description="epochs played")
    min_agents: int | None = Field(default=None, ge=0, le=1_000_000, description="agents in the market")
    toxicity_threshold: float | None = Field(default=None, ge=0, le=1, description="highest mean toxicity_rate")
    min_net_social_welfare: float | None = Field(
        default=None, ge=-TOTAL, le=TOTAL, description="lowest mean net_social_welfare of an epoch"
    )
    max_ecosystem_threat_level: float | None = Field(default=None, ge=0, le=1, description="highest threat level")
    max_contagion_depth: int | None = Field(default=None, ge=0, le=1_000_000, description="longest contagion chain")
    min_containment_effectiveness: float | None = Field(
        default=None, ge=0, le=1, description="lowest share of contagion chains whose origin was quarantined"
    )
    min_flagged_pairs: int | None = Field(default=None, ge=0, le=10**12, description="pairs flagged for collusion")
    max_ecosystem_collusion_risk: float | None = Field(default=None, ge=0, le=1, description="highest collusion risk")
    min_penalty_total: float | None = Field(default=None, ge=0, le=TOTAL, description="penalties levied in the run")
    min_acceptance_rate: float | None = Field(default=None, ge=0, le=1, description="lowest mean acceptance_rate")
    min_avg_payoff: float | None = Field(default=None, ge=-TOTAL, le=TOTAL, description="lowest mean payoff")


class Outputs(Section):
    """``outputs:`` section. A file from somewhere else must not choose where on this machine we write."""

    event_log: str | None = Field(
        default=None, max_length=200, description="events; absent: logs/<scenario_id>_events.jsonl"
    )
    metrics_csv: str | None = Field(
        default=None, max_length=200, description="metrics; absent: logs/<scenario_id>_metrics.csv"
    )

    @field_validator("event_log", "metrics_csv")
    @classmethod
    def in_logs(cls, path: str | None) -> str | None:
        """Refuse whatever could lead out of the log folder, on any system."""
        parts = path.split("/") if path is not None else ["logs", "default"]
        plain = all(part.isprintable() and not set("\\:") & set(part) for part in parts)
        if parts[0] == "logs" and len(parts) > 1 and plain and not {"", ".", ".."} & set(parts):
            return path
        what = f"{show(path)} is no file in the log folder"
        hint = "to write elsewhere, use --out on the command line"
        raise faulty(Fault((), what, "a path like logs/name.csv", hint))

    @model_validator(mode="after")
    def distinct(self) -> Self:
        """Refuse to write both files into one."""
        if self.event_log is not None and self.event_log == self.metrics_csv:
            what = f"{show(self.metrics_csv)} is also the event log"
            raise faulty(Fault(("metrics_csv",), what, "a path of its own"))
        return self
