"""Policies that govern: they answer the proposals made to their seats, and everything else there is by script."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.compile import Compiled
from swarm_env.core.types import AS_SCRIPTED, State, View
from swarm_env.deals import pending
from swarm_env.evaluation.protocol import Govern, Policy, PolicyError, one_line
from swarm_env.oversight import offers

TRIGGERED, REVISIONS = "feedback_trigger_rate", "revisions_per_decision"
#: What is known of an episode's decisions where an overseer takes part, over all of them; NaN without one, and in an
#: episode without decisions. Share of decisions with a revision or more asked for, [0, 1]; mean revisions, >= 0.
OVERSIGHT: tuple[str, ...] = (TRIGGERED, REVISIONS)


class Governor:
    """Answers for the learners of some episodes of one scenario, and counts.

    Args:
        policy: for its name.
        compiled: its learners are the governed seats.
        decide: what answers.
        episodes: E.
    """

    def __init__(self, policy: Policy, compiled: Compiled, decide: Govern, episodes: int) -> None:
        self.policy, self.compiled, self.decide = policy, compiled, decide
        self.learner = compiled.scene.seats["learner"][0].astype(np.int64)  # (N,) row of its observation, -1 for none
        self.overseen: bool | None = None  # whether answers come with revisions; not known before the first
        self.decisions, self.triggered, self.revisions = np.zeros((3, episodes))

    def actions(self, state: State, view: View, step: int) -> NDArray[np.int64]:
        """The learners' actions (E, L, heads) of a step; only what waits for an answer is not AS_SCRIPTED.

        Raises:
            PolicyError: answers of another shape, or none that is allowed.
        """
        episodes, learners = view.observation.shape[:2]
        out = np.full((episodes, learners, len(self.compiled.nvec)), AS_SCRIPTED, dtype=np.int64)
        waiting = pending(self.compiled.scene, state)
        waiting = waiting[self.learner[waiting["responder"]] >= 0]
        if len(waiting):
            row = self.learner[waiting["responder"]]
            ledger = self.compiled.ledger(state)[:, self.learner >= 0]
            seen = offers(waiting, row, view.observation, ledger)
            out[waiting["row"], row, waiting["slot"]] = self._decided(waiting, seen.view, seen.ledger, step)
        return out

    def _decided(
        self, waiting: NDArray[Any], view: NDArray[np.float32], ledger: NDArray[np.float32], step: int
    ) -> NDArray[np.int64]:
        """Answers (n,), checked and counted."""
        where = f"policy {self.policy.name} in {self.compiled.scenario.scenario_id}, step {step}"
        try:
            given = self.decide(view, ledger)
        except (PolicyError, ImportError):
            raise
        except Exception as error:
            raise PolicyError(f"{where}: it raised {one_line(error)}") from error
        overseen = isinstance(given, tuple)
        if overseen and len(given) != 2:
            raise PolicyError(f"{where}: it returned a tuple of {len(given)}; one must be (accept, revisions)")
        if self.overseen not in (None, overseen):
            raise PolicyError(f"{where}: revisions come with all of its answers or with none; here they changed")
        self.overseen = overseen
        accept, revisions = given if overseen else (given, np.zeros(len(waiting)))
        answers = self._whole(where, waiting, "answers", accept, AS_SCRIPTED, 1)
        rounds = self._whole(where, waiting, "revisions", revisions, 0, None)
        np.add.at(self.decisions, waiting["row"], 1)
        np.add.at(self.triggered, waiting["row"], rounds > 0)
        np.add.at(self.revisions, waiting["row"], rounds)
        return answers

    def _whole(
        self, where: str, waiting: NDArray[Any], what: str, values: Any, low: int, high: int | None
    ) -> NDArray[np.int64]:
        """Whole numbers (n,) in low..high."""
        try:
            given = np.asarray(values)
        except ValueError as error:  # ragged
            raise PolicyError(f"{where}: {what} are no array ({one_line(error)})") from error
        if given.shape != (len(waiting),):
            raise PolicyError(f"{where}: {what} have shape {given.shape}; they must be ({len(waiting)},) whole numbers")
        if given.dtype.kind not in "biuf":
            raise PolicyError(f"{where}: {what} are of type {given.dtype}; they must be whole numbers")
        fine = np.isfinite(given) & (given == np.floor(given)) & (given >= low)
        fine &= given <= (2**31 - 1 if high is None else high)
        if fine.all():
            return given.astype(np.int64)
        k = int(np.flatnonzero(~fine)[0])
        names, one = self.compiled.names, waiting[k]
        allowed = "0, 1 and -1 (as scripted)" if high is not None else "whole numbers from 0 to 2^31-1"
        raise PolicyError(
            f"{where}: {what}[{k}], to {names[one['initiator']]}'s proposal to {names[one['responder']]}, is "
            f"{given[k].item()}; allowed: {allowed}"
        )

    def rates(self) -> dict[str, NDArray[np.float64]]:
        """OVERSIGHT: (E,) each."""
        counted = np.where(self.decisions > 0, self.decisions, np.nan) if self.overseen else np.nan
        return {TRIGGERED: self.triggered / counted, REVISIONS: self.revisions / counted}
