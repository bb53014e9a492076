"""The `swarm` command: run, analyze, report, validate, list, train, evaluate, study, sweep, reproduce.

Each loads only what it needs.

Exit codes: 0 done; 1 a success criterion failed under --check; 2 bad input (one clear line, no traceback); 3 jobs that
could not be done (failures.json names them, and all others are kept).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from swarm_env.engine.options import add_options, refuse_options

Command = Callable[[argparse.Namespace], int]

TRAINERS = ("macpo", "ppo", "waltz")  #: modules of `trainers` with a `main`


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `swarm` and `python -m swarm_env`."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(arguments)
    except (
        ValueError,
        ImportError,
    ) as error:  # ScenarioError, AnalysisError, RecordingError and wrong arguments
        print(f"swarm: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("swarm: interrupted; nothing half-written is left", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="swarm", description="Governance markets for multi-agent alignment research.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="play a scenario's scripted population and record it"))
    _add_analyze(commands.add_parser("analyze", help="read metrics files: epochs, means, trends, plots"))
    _add_validate(commands.add_parser("validate", help="check scenario files"))
    _add_list(commands.add_parser("list", help="show scenarios, levers, archetypes, metrics, features"))
    _add_report(commands.add_parser("report", help="runs and evaluations as one HTML file, with an episode player"))
    _add_train(commands.add_parser("train", help="train policies in a scenario"))
    _add_evaluate(commands.add_parser("evaluate", help="judge policies in chosen seats, on paired seeds"))
    _add_reproduce(commands.add_parser("reproduce", help="train and judge all that a paper's tables need, over seeds"))
    _add_study(commands.add_parser("study", help="test a paper's annotated claims in the market, and write a note"))
    _add_sweep(commands.add_parser("sweep", help="play a grid of settings on paired seeds, with heat maps"))
    return parser


def _version() -> str:
    from swarm_env import __version__

    return f"swarm {__version__}"


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", help="a YAML file, or the id of a shipped scenario")
    parser.add_argument("--seed", type=int, help="seed of every draw (default: the scenario's)")
    parser.add_argument("--seeds", type=int, metavar="N", help="repeat with N seeds, from the first on")
    parser.add_argument("--epochs", type=int, help="play so many epochs (simulation.n_epochs)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="override a setting")
    parser.add_argument("--out", default="logs", help="folder of the event log and the metrics (default: logs)")
    parser.add_argument("--check", action="store_true", help="exit 1 if a success criterion fails")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from swarm_env.commands import run

    return run(arguments)


def _add_analyze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", help="metrics CSVs, as `swarm run` writes them")
    parser.add_argument("--metrics", help="comma-separated (default: toxicity_rate,quality_gap,spread)")
    parser.add_argument("--plot", metavar="FILE", help="also draw the curves: .png, .svg or .pdf")
    parser.set_defaults(command=_analyze)


def _analyze(arguments: argparse.Namespace) -> int:
    import shutil

    from swarm_env.analysis import analyze, render_text

    analysis = analyze(arguments.files, arguments.metrics, arguments.plot)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    print(render_text(analysis, width=width, color=terminal))
    return 0


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="event log, metrics CSV, evaluation, training run, folder"
    )
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the HTML file (default: report.html)")
    parser.add_argument("--title", help="heading of the page (default: what it shows)")
    parser.add_argument("--player-events", type=int, metavar="N", help="events the player may hold (default: 500000)")
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    from swarm_env.report import ROOM, report

    room = ROOM if arguments.player_events is None else arguments.player_events
    print(f"wrote {report(arguments.runs, arguments.out, title=arguments.title, room=room)}")
    return 0


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", help="scenario files")
    parser.set_defaults(command=_validate)


def _validate(arguments: argparse.Namespace) -> int:
    from swarm_env.catalog import load_scenario
    from swarm_env.scenario import ScenarioError

    failed = 0
    for file in arguments.files:
        try:
            scenario = load_scenario(file)
        except ScenarioError as error:
            failed += 1
            print(error, file=sys.stderr)
        else:
            print(f"{file}: ok ({scenario.scenario_id}, {scenario.num_agents} agents, {scenario.num_steps} steps)")
    return 2 if failed else 0


def _add_list(parser: argparse.ArgumentParser) -> None:
    topics = ("scenarios", "levers", "archetypes", "metrics", "features")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"any of {', '.join(topics)} (default: all)")
    parser.set_defaults(command=_list, known=topics)


def _list(arguments: argparse.Namespace) -> int:
    from swarm_env.commands import show_lists

    unknown = [topic for topic in arguments.topics if topic not in arguments.known]
    if unknown:
        raise ValueError(f"list: unknown topic {unknown[0]!r}; allowed: {', '.join(arguments.known)}")
    show_lists(arguments.topics or arguments.known)
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algorithm", choices=TRAINERS, help="what to train by")
    parser.add_argument("--config", metavar="FILE", help="settings in YAML (configs/ppo.yaml has the defaults)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--seed", type=int, help="seed of weights, draws and markets")
    parser.add_argument("--seeds", type=int, metavar="N", help="train with N seeds, from the first on, a folder each")
    parser.add_argument("--out", metavar="FOLDER", help="the run's folder, new or empty (default: one below runs/)")
    parser.add_argument("--resume", metavar="RUN", help="go on in a run's folder, from its newest checkpoint")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_options(parser)
    parser.set_defaults(command=_train)


def _train(arguments: argparse.Namespace) -> int:
    from importlib import import_module

    if arguments.seeds is None:
        refuse_options(arguments, "--seeds")
    try:
        trainer = import_module("trainers.seeds" if arguments.seeds is not None else f"trainers.{arguments.algorithm}")
    except ModuleNotFoundError as error:
        raise ImportError(f"swarm train needs {error.name}: pip install 'swarm-env[train]'") from error
    code: int = trainer.main(arguments)
    return code


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", action="append", default=[], metavar="NAME=SPEC",
        help="scripts, random, an archetype, module:function, a training run's FOLDER or FOLDER#PART; repeat",
    )  # fmt: skip
    parser.add_argument("--scenario", action="append", default=[], metavar="FILE", help="a file, or an id; repeat")
    parser.add_argument("--episodes", type=int, default=64, metavar="N", help="of each seed (default: 64)")
    parser.add_argument("--seeds", type=int, default=10, metavar="S", help="the same for every policy (default: 10)")
    parser.add_argument("--first-seed", type=int, metavar="SEED", help="of the markets (default: 2^62, held out)")
    parser.add_argument("--seats", action="append", metavar="PATTERN", help="focal seats (default: honest_*); repeat")
    parser.add_argument("--mode", default="resident", help="resident: all focal seats at once; visitor: one at a time")
    parser.add_argument("--baseline", metavar="NAME", help="policy to compare with (default: scripts, or the first)")
    parser.add_argument("--metrics", metavar="A,B", help="primary metrics: shown, and corrected together")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="override in scenarios")
    parser.add_argument("--transfer", action="store_true", help="let trained policies play other scenarios")
    parser.add_argument("--out", metavar="DIR", help="results; the same command resumes (default: one below runs/)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_options(parser)
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from swarm_env.evaluation.command import main as evaluate

    return evaluate(arguments)


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    known = "waltz, macpo, waltz_language, macpo_language or compare"
    parser.add_argument("name", metavar="NAME", help=f"of the study: {known}")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of every training (default: 5)")
    parser.add_argument(
        "--out", metavar="DIR", help="runs and results; the same command resumes (default: below runs/)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny trainings, to see that all of it works")
    add_options(parser)
    parser.set_defaults(command=_reproduce)


def _reproduce(arguments: argparse.Namespace) -> int:
    try:
        from trainers.reproduce import main as reproduce
    except ModuleNotFoundError as error:
        raise ImportError(f"swarm reproduce needs {error.name}: pip install 'swarm-env[train,eval]'") from error
    return reproduce(arguments)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an annotation, as in research/annotations/")
    parser.add_argument("--seeds", type=int, metavar="N", help="the same for every arm (default: 40)")
    parser.add_argument("--episodes", type=int, metavar="N", help="of each seed (default: 8)")
    parser.add_argument(
        "--out", metavar="DIR", help="numbers and note (default: one below runs/, and the note in research/notes/)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with what the folder holds")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_options(parser)
    parser.set_defaults(command=_study)


def _study(arguments: argparse.Namespace) -> int:
    from swarm_env.study.command import main as study

    return study(arguments)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", required=True, metavar="FILE", help="a file, or the id of a shipped scenario")
    parser.add_argument(
        "--grid", action="append", default=[], metavar="KEY=VALUES",
        help="a setting and START:STOP:COUNT or a,b,c; repeat for more axes",
    )  # fmt: skip
    parser.add_argument("--metrics", metavar="A,B", help="to draw and to compare (default: those of the research note)")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="the same for every cell (default: 20)")
    parser.add_argument("--episodes", type=int, default=4, metavar="N", help="of each seed (default: 4)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="override in every cell")
    parser.add_argument("--format", default="png", metavar="SUFFIX", help="of the drawings: png, svg or pdf")
    parser.add_argument("--out", metavar="DIR", help="results (default: one below runs/)")
    parser.add_argument("--resume", action="store_true", help="go on with what the folder holds")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_options(parser)
    parser.set_defaults(command=_sweep)


def _sweep(arguments: argparse.Namespace) -> int:
    from swarm_env.sweep.command import main as sweep

    return sweep(arguments)
