"""MACPO: Contrastive Preference Optimization (arXiv 2410.07672), NOT Multi-Agent Constrained Policy Optimisation.

Lyu et al. 2025: weak teachers and a strong student take turns; each learns to prefer what the others answer (unfamiliar
positives) to what its own negative twin answers (familiar negatives). In safe multi-agent reinforcement learning the
same letters mean Multi-Agent Constrained Policy Optimisation (arXiv 2110.02793), which this is not.

What is played is a game of `GAMES`: the market with small networks (`trainers.macpo_market`), or dialogue with language
models (`trainers.language.macpo`). Their modules say how they deviate; the loop, in both:
- Adam with the released schedule (a cosine, afresh each round) and ratio of learning rates (CPO a fifth of SFT).
- Where the paper is silent: student first, then teachers with the updated student; perplexity under the student as it
  enters the round; negatives made once; no pair dropped; answers decoded greedily; all as in the released data.
- Beyond it, off by default: other selections, `balance`, `replay`, `decay`, `fresh_contexts`, refreshed negatives,
  other orders, `keep`, `stop_on_regression`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from trainers import checkpoint, command, preference_sets
from trainers.checkpoint import RunError
from trainers.contrastive import answers, fit_answers
from trainers.macpo_config import MacpoSettings
from trainers.macpo_game import MacpoGame
from trainers.preference_sets import Pairs, vote
from trainers.run import Run
from trainers.settings import load_of_game, module_of
from trainers.society import Society
from trainers.standings import plain, standings

__all__ = ["GAMES", "Trainer", "load_config", "main", "train"]

#: Games by name; the module of each has `Config`, `game(config, folder)`, a `MacpoGame`, and `table(results)`.
GAMES: dict[str, str] = {"market": "trainers.macpo_market", "language": "trainers.language.macpo"}

#: What happens, in order. Each name is a method of `Trainer`; a run can be cut off and go on between any two.
START = ("meet", "start_teachers", "start_student", "check_answers", "start_baselines", "make_negatives", "judge")
ROUND: dict[str, tuple[str, ...]] = {
    "student_first": ("teachers_answer", "select", "update_student", "student_answers", "update_teachers"),
    "teachers_first": ("student_answers", "update_teachers", "teachers_answer", "select", "update_student"),
    "simultaneous": ("teachers_answer", "select", "student_answers", "update_student", "update_teachers"),
}


#: Selections that ask the teachers.
BY_TEACHERS = ("all_teachers", "other_teachers")


def plan(config: MacpoSettings) -> list[tuple[int, str]]:
    """(round, what happens) of a whole run."""
    before = [*(["meet_again"] if config.fresh_contexts else [])]
    if config.fresh_contexts or config.negatives == "refreshed":
        before.append("make_negatives")
    each = [*before, *ROUND[config.order], "judge"]
    return [(0, name) for name in START] + [(t, name) for t in range(1, config.rounds + 1) for name in each]


class Trainer(Society):
    """What happens to the society, phase by phase: first those of START, then those of ROUND."""

    def __init__(self, config: MacpoSettings, folder: str | os.PathLike[str], game: MacpoGame | None = None) -> None:
        super().__init__(game or play(config, folder), config, Path(folder))
        self.plan, self.done = plan(config), 0
        self.history: list[dict[str, float]] = []  # a row a round

    def step(self) -> str:
        """The next phase; returns its name.

        Raises:
            RunError: a loss that is not finite, an empty preference set, teachers that say one thing only or little
                that is well formed.
        """
        self.round, name = self.plan[self.done]
        self.done += 1
        try:
            getattr(self, name)()
        except BaseException:
            self.done -= 1
            raise
        return name

    def meet(self) -> None:
        """Both halves: contexts with labels, for the teachers' start, and without (Q_w2s), for all that follows."""
        labelled, unlabelled = self.game.halves()
        self.hold("labelled", labelled)
        self.hold("unlabelled", unlabelled)

    def start_teachers(self) -> None:
        """Each: SFT on its few chosen answers; its negative twin goes on from there with the rejected ones."""
        labelled, fit = self.contexts("labelled"), self.config.teachers
        for k, teacher in enumerate(self.teachers):
            generator = self.generator(teacher.name)
            rows, told = self.game.lesson(labelled, k, generator)
            self.held[f"told.{teacher.name}"] = rows
            self.held[f"wrong.{teacher.name}"] = told.rejected
            self.keep_set(teacher.name, Pairs(rows, told.chosen, told.rejected, torch.ones(len(rows))))
            inputs = self.game.inputs(teacher.name, labelled[rows])
            self.losses[teacher.name] = fit_answers(
                teacher, teacher.positive, inputs, told.chosen, fit, fit.epochs, generator, teacher.name
            )
            self.make_twin(teacher, inputs, told.rejected)
            self.keep_aside(f"initial_{teacher.name}", teacher.positive)

    def start_student(self) -> None:
        """SFT on weak labels (naive weak-to-strong), its negative twin on weak negative ones."""
        config, student, generator = self.config, self.student, self.generator("student")
        good, bad = self.told("positive"), self.told("negative")
        if bool((good == good[0, 0]).all()):
            raise RunError(
                f"teachers: all {good.shape[1]} answer {self.game.describe(good[0, 0], 'student')} to every one of "
                f"{len(good)} contexts: nothing can be learnt from them; give them more labels (supervision.labels) or "
                "epochs (teachers.epochs)"
            )
        candidates = good
        if config.weak_labels == "majority":
            good, bad = vote(good, self.decided(good)), vote(bad, self.decided(bad))
        else:
            k = torch.zeros(len(good), dtype=torch.long)
            if config.weak_labels == "mixed":
                k = torch.randint(len(self.teachers), k.shape, generator=generator)
            good, bad = (said[torch.arange(len(said)), k] for said in (good, bad))
        self.keep_set("student", Pairs(torch.arange(len(good)), good, bad, torch.ones(len(good))))
        fit, inputs = config.student, self.inputs("student")
        self.losses["student"] = fit_answers(
            student, student.positive, inputs, good, fit, fit.epochs, generator, "student"
        )
        self.held["chosen"], self.held["candidates"], self.held["wrong.student"] = good, candidates, bad
        self.make_twin(student, inputs, bad)
        self.keep_aside("naive", student.positive)

    def start_baselines(self) -> None:
        """Students like ours: the game's own baselines, on the majority's labels, on the truth (ceiling)."""
        inputs, fit, generator = self.inputs("student"), self.config.student, self.generator("baselines")
        self.game.start_baselines(self, generator)
        candidates, truth = self.held["candidates"], self.game.truth(self.contexts("unlabelled"))
        voted = vote(candidates, self.decided(candidates))
        for name, labels in (("majority_labels", voted), ("ceiling", truth)):
            policy = self.frozen[name]
            fit_answers(self.student, policy, inputs, labels, fit, fit.epochs, generator, name)

    def check_answers(self) -> None:
        """Refuse rounds of agents that cannot answer."""
        contexts, game = self.contexts("unlabelled"), self.game
        for agent in self.agents if game.gate else ():
            share = game.well_formed(contexts, self.said(agent, "positive"), agent.name)
            if share < game.gate:
                raise RunError(
                    f"{agent.name}: {share:.1%} of its answers are well formed, and rounds begin at {game.gate:.0%}: "
                    "contrast with such answers collapses; start it from a better model, or with more epochs "
                    f"({'student' if agent is self.student else 'teachers'}.epochs), or lower `gate`"
                )

    def make_negatives(self) -> None:
        """Every agent's familiar negatives: what its own negative twin answers."""
        for agent in self.agents:
            if self.config.negatives == "refreshed" and self.round > 0:
                self.renew_twin(agent)
            self.held[f"negative.{agent.name}"] = self.said(agent, "negative")

    def meet_again(self) -> None:
        """Fresh contexts, met while the student answers."""
        generator, policy = self.generator("meet"), self.student.positive

        def decide(met: Any) -> Tensor:
            return answers(policy, self.game.inputs("student", met), self.config.decoding, generator)

        self.hold("unlabelled", self.game.meet_again(self.round, decide, generator))

    def teachers_answer(self) -> None:
        """What each teacher would say: candidates (n, K, L) for the student's positives."""
        self.held["candidates"] = self.told("positive")

    def select(self) -> None:
        """The student's positives: one teacher's answer to each context (-MP: its own)."""
        candidates, config = self.held["candidates"], self.config
        perplexity = preference_sets.candidate_perplexity(self.student.positive, self.inputs("student"), candidates)
        by = [self._perplexity_to(k) for k in range(len(self.teachers))] if config.selection in BY_TEACHERS else []
        taken, scores = preference_sets.select(
            config.selection, self.decided(candidates), perplexity, by, self.generator("selection")
        )
        chosen = candidates[torch.arange(len(taken)), taken]
        self.held["chosen"] = chosen if config.mutual else self.said(self.student, "positive")
        kept = {"candidates": candidates, "scores": scores, "taken": taken, "perplexity": perplexity}
        preference_sets.write(self.folder, self.round, "candidates", kept)

    def _perplexity_to(self, k: int) -> Tensor:
        """(n, K): of the candidates, under a teacher."""
        teacher, said = self.teachers[k], self.held["candidates"].unbind(dim=1)
        heard = torch.stack([self.game.heard(each, "student", teacher.name) for each in said], dim=1)
        return preference_sets.candidate_perplexity(teacher.positive, self.inputs(teacher.name), heard)

    def update_student(self) -> None:
        """The student prefers what was selected to what its twin answers."""
        self.update(self.student, self.held["chosen"])

    def student_answers(self) -> None:
        """The teachers' positives."""
        self.held["student"] = self.said(self.student, "positive")

    def update_teachers(self) -> None:
        """Each teacher prefers the student's answers to what its own twin answers (-IW: not at all)."""
        for teacher in self.teachers if self.config.iterate_teachers else ():
            if self.config.mutual:
                self.update(teacher, self.game.heard(self.held["student"], "student", teacher.name))
            else:
                self.update(teacher, self.said(teacher, "positive"))

    def judge(self) -> None:
        """Where everyone stands after the round; the student of the best round so far is kept."""
        row = standings(self)
        best = max((past["agreement_initial"] for past in self.history), default=-1.0)
        if self.config.keep == "last" or row["agreement_initial"] > best:
            self.keep_aside("kept", self.student.positive)
        worse = bool(self.history) and row["agreement_initial"] < self.history[-1]["agreement_initial"]
        self.history.append(row)
        if self.config.stop_on_regression and worse:
            self.done = len(self.plan)

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


def play(config: MacpoSettings, folder: str | os.PathLike[str] | None = None) -> MacpoGame:
    """The game of a configuration; in a run's folder it keeps there what it makes."""
    game: MacpoGame = module_of(GAMES, config.game).game(config, None if folder is None else Path(folder))
    return game


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Any:
    """The configuration of a YAML file, "key=value" overrides applied, of the game that its `game` names.

    Raises:
        ScenarioError: says what is wrong with it.
    """
    return load_of_game(GAMES, path, overrides)


def train(config: Any, folder: str | os.PathLike[str], *, resume: bool = False, quiet: bool = True) -> dict[str, Any]:
    """Train, write everything into the run's folder, evaluate; returns what evaluation.json holds.

    Raises:
        ScenarioError: a scenario that does not load. RunError: a folder or checkpoint that cannot be used, or what
        `Trainer.step` raises; checkpoints so far are kept.
    """
    game = play(config, folder)
    identity = {"trainer": "macpo", "config": config.fingerprint, **game.identity}
    run = Run.resume(folder, identity) if resume else Run.create(folder, config.model_dump(mode="json"), identity)
    trainer = Trainer(config, folder, game)
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
        results = game.evaluate(trainer, trainer.history)
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
        checkpoint.write_whole(run.folder / "evaluation.json", text.encode())
        return results


def _progress(history: list[dict[str, float]]) -> str:
    return f"student {history[-1]['student/accuracy']:.3f}" if history else "not judged yet"


def table(results: dict[str, Any]) -> Table:
    """What a run's evaluation found."""
    shown: Table = module_of(GAMES, results.get("game", "market")).table(results)
    return shown


def main(arguments: argparse.Namespace) -> int:
    """`swarm train macpo`."""
    return command.run(arguments, load_config, train, table)
