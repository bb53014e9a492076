"""MACPO: Contrastive Preference Optimization (arXiv 2410.07672), NOT Multi-Agent Constrained Policy Optimisation.

Lyu et al. 2025: weak teachers and a strong student take turns; each learns to prefer what the others answer (unfamiliar
positives) to what its own negative twin answers (familiar negatives). In safe multi-agent reinforcement learning the
same letters mean Multi-Agent Constrained Policy Optimisation (arXiv 2110.02793), which this is not.

Deviations from the paper and its released code:
- The game is the market: prompts are proposals, answers (decision, reason), ground truth the proposal's latent p;
  agents are small MLPs. Teachers are weak because they see few labels, some wrong, and each has a blind spot
  (`trainers.weak_teachers`).
- Nothing is pretrained. Where the released code's reference policy is the pretrained base in all rounds, ours is each
  agent's policy of round 0 (`contrast.reference: initial`), or of the round before (`previous`).
- Adam with the released schedule (a cosine, afresh each round) and ratio of learning rates (CPO a fifth of SFT), at the
  step sizes, batches and epochs of small networks.
- Where the paper is silent: student first, then teachers with the updated student; perplexity under the student as it
  enters the round; negatives made once; no pair dropped; answers decoded greedily; all as in the released data.
- Beyond it, off by default: other selections, `balance`, `replay`, `decay`, `fresh_contexts`, `mixes`, refreshed
  negatives, other orders, `keep`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import swarm_env
from trainers import checkpoint, command, preference_sets, weak_teachers, weak_to_strong
from trainers.checkpoint import RunError
from trainers.contrastive import answers, fit_answers, fit_confidently
from trainers.games import words
from trainers.games.live import Proposals
from trainers.macpo_config import Config, load_config
from trainers.preference_sets import Pairs
from trainers.run import Run
from trainers.society import SEEDS_APART, Society
from trainers.standings import standings
from trainers.weak_to_strong import load, plain

__all__ = ["Config", "Trainer", "load", "load_config", "main", "train"]

#: What happens, in order. Each name is a method of `Trainer`; a run can be cut off and go on between any two.
START = ("meet", "start_teachers", "start_student", "start_baselines", "make_negatives", "judge")
ROUND: dict[str, tuple[str, ...]] = {
    "student_first": ("teachers_answer", "select", "update_student", "student_answers", "update_teachers"),
    "teachers_first": ("student_answers", "update_teachers", "teachers_answer", "select", "update_student"),
    "simultaneous": ("teachers_answer", "select", "student_answers", "update_student", "update_teachers"),
}


def plan(config: Config) -> list[tuple[int, str]]:
    """(round, what happens) of a whole run."""
    before = [*(["meet_again"] if config.fresh_contexts else [])]
    if config.fresh_contexts or config.negatives == "refreshed":
        before.append("make_negatives")
    each = [*before, *ROUND[config.order], "judge"]
    return [(0, name) for name in START] + [(t, name) for t in range(1, config.rounds + 1) for name in each]


class Trainer(Society):
    """What happens to the society, phase by phase: first those of START, then those of ROUND."""

    def __init__(self, config: Config, folder: str | os.PathLike[str]) -> None:
        super().__init__(config, Path(folder))
        self.plan, self.done = plan(config), 0
        self.history: list[dict[str, float]] = []  # a row a round

    def step(self) -> str:
        """The next phase; returns its name.

        Raises:
            RunError: a loss that is not finite, an empty preference set, teachers that say one thing only.
        """
        self.round, name = self.plan[self.done]
        getattr(self, name)()
        self.done += 1
        return name

    def meet(self) -> None:
        """Both halves: proposals with labels, for the teachers' start, and without (Q_w2s), for all that follows."""
        count = self.config.contexts
        both = weak_to_strong.meet(self.config, 0, self.config.seed * SEEDS_APART, 2 * count)
        order = torch.randperm(2 * count, generator=self.generator("halves"))
        self.hold("labelled", both[order[:count]])
        self.hold("unlabelled", both[order[count:]])

    def start_teachers(self) -> None:
        """Each: SFT on its few chosen answers; its negative twin goes on from there with the rejected ones."""
        labelled, config = self.contexts("labelled"), self.config
        for k, teacher in enumerate(self.teachers):
            generator = self.generator(teacher.name)
            rows, told = weak_teachers.lesson(self.rules, labelled, k, config.supervision, generator)
            self.held[f"told.{teacher.name}"] = rows
            self.held[f"wrong.{teacher.name}"] = told.rejected
            self.keep_set(teacher.name, Pairs(rows, told.chosen, told.rejected, torch.ones(len(rows))))
            inputs = teacher.seen(self.rules.first_context(labelled[rows]))
            fit = config.teachers
            self.losses[teacher.name] = fit_answers(
                teacher.positive, inputs, told.chosen, fit, fit.epochs, generator, teacher.name
            )
            self.make_twin(teacher, inputs, told.rejected)
            self.frozen[f"initial_{teacher.name}"] = teacher.positive.copy()

    def start_student(self) -> None:
        """SFT on weak labels (naive weak-to-strong), its negative twin on weak negative ones."""
        config, inputs, generator = self.config, self.inputs(), self.generator("student")
        good, bad = (
            torch.stack([self.said(teacher, part, inputs) for teacher in self.teachers], dim=1)
            for part in ("positive", "negative")
        )
        if bool((good == good[0, 0]).all()):
            said = f"({words.DECISIONS[good[0, 0, 0]]}, {weak_teachers.REASONS[good[0, 0, 1]]})"
            raise RunError(
                f"teachers: all {good.shape[1]} answer {said} to every one of {len(good)} proposals: nothing can be "
                "learnt from them; give them more labels (supervision.labels) or epochs (teachers.epochs)"
            )
        candidates = good
        if config.weak_labels == "majority":
            good, bad = weak_to_strong.majority(good), weak_to_strong.majority(bad)
        else:
            k = torch.zeros(len(good), dtype=torch.long)
            if config.weak_labels == "mixed":
                k = torch.randint(len(self.teachers), k.shape, generator=generator)
            good, bad = (said[torch.arange(len(said)), k] for said in (good, bad))
        self.keep_set("student", Pairs(torch.arange(len(good)), good, bad, torch.ones(len(good))))
        fit = config.student
        self.losses["student"] = fit_answers(self.student.positive, inputs, good, fit, fit.epochs, generator, "student")
        self.held["chosen"], self.held["candidates"], self.held["wrong.student"] = good, candidates, bad
        self.make_twin(self.student, inputs, bad)
        self.frozen["naive"] = self.student.positive.copy()

    def start_baselines(self) -> None:
        """Students like ours: on weak labels by the confidence loss, on the majority's, on the truth (ceiling)."""
        inputs, fit, generator = self.inputs(), self.config.student, self.generator("baselines")
        teacher = self.teachers[0]
        said = self.held["candidates"][:, 0]
        with torch.no_grad():
            weak = teacher.positive.log_prob(
                teacher.seen(inputs), torch.stack([torch.ones_like(said[:, 1]), said[:, 1]], 1)
            )
        fit_confidently(self.frozen["confidence"], inputs, weak[:, 0].exp(), said[:, 1], fit, generator)
        truth = weak_teachers.preferences(self.rules, self.contexts("unlabelled")).chosen
        voted = weak_to_strong.majority(self.held["candidates"])
        for name, labels in (("majority_labels", voted), ("ceiling", truth)):
            fit_answers(self.frozen[name], inputs, labels, fit, fit.epochs, generator, name)

    def make_negatives(self) -> None:
        """Every agent's familiar negatives: what its own negative twin answers."""
        inputs = self.inputs()
        for agent in self.agents:
            if self.config.negatives == "refreshed" and self.round > 0:
                self.renew_twin(agent)
            self.held[f"negative.{agent.name}"] = self.said(agent, "negative", inputs)

    def meet_again(self) -> None:
        """Fresh proposals, met while the student governs."""
        seed = self.config.seed * SEEDS_APART + self.round * self.config.num_envs
        game, generator = weak_to_strong.new_game(self.config, self.round, seed), self.generator("meet")

        def govern(met: Proposals) -> Tensor:
            said = answers(self.student.positive, self.rules.first_context(met), self.config.decoding, generator)
            return self.rules.action(said)

        self.hold("unlabelled", game.contexts(self.config.contexts, govern))

    def teachers_answer(self) -> None:
        """What each teacher would say: candidates (n, K, L) for the student's positives."""
        inputs = self.inputs()
        said = [self.said(teacher, "positive", inputs) for teacher in self.teachers]
        self.held["candidates"] = torch.stack(said, dim=1)

    def select(self) -> None:
        """The student's positives: one teacher's answer to each proposal (-MP: its own)."""
        inputs, candidates, config = self.inputs(), self.held["candidates"], self.config
        student = preference_sets.candidate_perplexity(self.student.positive, inputs, candidates)
        teachers = [
            preference_sets.candidate_perplexity(teacher.positive, teacher.seen(inputs), candidates)
            for teacher in self.teachers
        ]
        taken, scores = preference_sets.select(
            config.selection, candidates, student, teachers, self.generator("selection")
        )
        chosen = candidates[torch.arange(len(taken)), taken]
        self.held["chosen"] = chosen if config.mutual else self.said(self.student, "positive", inputs)
        kept = {"candidates": candidates, "scores": scores, "taken": taken, "perplexity": student}
        preference_sets.write(self.folder, self.round, "candidates", kept)

    def update_student(self) -> None:
        """The student prefers what was selected to what its twin answers."""
        self.update(self.student, self.held["chosen"])

    def student_answers(self) -> None:
        """The teachers' positives."""
        self.held["student"] = self.said(self.student, "positive", self.inputs())

    def update_teachers(self) -> None:
        """Each teacher prefers the student's answers to what its own twin answers (-IW: not at all)."""
        for teacher in self.teachers if self.config.iterate_teachers else ():
            own = None if self.config.mutual else self.said(teacher, "positive", self.inputs())
            self.update(teacher, self.held["student"] if own is None else own)

    def judge(self) -> None:
        """Where everyone stands after the round; the student of the best round so far is kept."""
        row = standings(self)
        best = max((past["agreement_initial"] for past in self.history), default=-1.0)
        if self.config.keep == "last" or row["agreement_initial"] > best:
            self.frozen["kept"] = self.student.positive.copy()
        self.history.append(row)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the rest of the run depends on; draws are functions of seed, round and purpose."""
        return self.tensors(), {
            "done": self.done,
            "losses": self.losses,
            "history": [list(plain(row).items()) for row in self.history],
        }

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.take(tensors)
        self.done, self.losses = state["done"], dict(state["losses"])
        # pairs, not objects: JSON of a checkpoint sorts its keys, and results are written in the order of the columns
        self.history = [{k: math.nan if x is None else x for k, x in row} for row in state["history"]]


def train(
    config: Config, folder: str | os.PathLike[str], *, resume: bool = False, quiet: bool = True
) -> dict[str, Any]:
    """Train, write everything into the run's folder, evaluate; returns what evaluation.json holds.

    Raises:
        ScenarioError: a scenario that does not load. RunError: a folder or checkpoint that cannot be used, or what
        `Trainer.step` raises; checkpoints so far are kept.
    """
    scenario = swarm_env.load_scenario(config.scenario, config.overrides)
    identity = {"trainer": "macpo", "config": config.fingerprint, "scenario": scenario.content_hash[:16]}
    run = Run.resume(folder, identity) if resume else Run.create(folder, config.model_dump(mode="json"), identity)
    trainer = Trainer(config, folder)
    with run, run.progress(len(trainer.plan), trainer.done, "phases", quiet) as show:
        kept = run.load() if resume else None
        if kept is not None:
            trainer.restore(kept.tensors, kept.state)
        while trainer.done < len(trainer.plan):
            used = time.process_time()
            if trainer.step() == "judge":
                run.log(trainer.round, trainer.history[-1], cpu_seconds_of_judging=time.process_time() - used)
            run.save(trainer.done, *trainer.state())
            show(trainer.done, f"round {trainer.round}: {_progress(trainer.history)}")
        checkpoint.write(run.folder / "policy.safetensors", trainer.policies(), {"identity": identity})
        results = weak_to_strong.evaluate(run.folder, config, trainer.history)
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
        checkpoint.write_whole(run.folder / "evaluation.json", text.encode())
        return results


def _progress(history: list[dict[str, float]]) -> str:
    return f"student {history[-1]['student/accuracy']:.3f}" if history else "not judged yet"


def main(arguments: argparse.Namespace) -> int:
    """`swarm train macpo`."""
    return command.run(arguments, load_config, train, weak_to_strong.table)
