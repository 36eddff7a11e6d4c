"""assay: train language models by reinforcement learning with verifiable rewards."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path

from rl.density.arguments import DENSITY, density_arguments
from rl.scaling.arguments import SCALING, scaling_arguments

TRAIN = """\
Train a policy as a recipe says.

  assay train recipes/math_grpo.yaml                     run it; run it again to resume
  assay train recipes/math_grpo.yaml seed=1 steps=60     change keys of the recipe
  assay train recipes/math_grpo.yaml --dry-run           show the plan, start nothing

Everything the run produces lies in its run directory, the last line printed.
"""
EVAL = """\
Score models on held-out tasks: avg@k, pass@k, pass^k, majority@k with 95 % intervals, and which of
them is better.

  assay eval runs/math_grpo-1a2b3c4d                     every checkpoint of a run, on its tasks
  assay eval path/or/hub-id --recipe recipes/math_grpo.yaml
  assay eval Qwen/Qwen3-1.7B path/to/adapter --env gsm8k --env arithmetic:digits=3,terms=4
  assay eval http://host:8000/v1#MODEL --env gsm8k       an OpenAI-compatible server
  assay eval runs/math_grpo-1a2b3c4d --quantized int4    beside it with weights rounded to 4 bits
  assay eval runs/math_grpo-1a2b3c4d evaluation.samples=16
  assay eval --regrade runs/eval-math_grpo-1a2b3c4d-5e6f7a8b

Every answer is stored as soon as it is judged: the same command goes on where it was stopped.
docs/evaluation.md has the rest.
"""
ATTACK = """\
Attack environments as a policy under reinforcement would, and say whether they may train: wrong
answers that are accepted, right ones that are refused, bombs, forged verdicts, poisoned state.

  assay attack arithmetic --option digits=4              one of those listed in envs/__init__.py
  assay attack path/to/file.py:Class                     one of your own
  assay attack recipes/math_grpo.yaml                    every one that a recipe trains on

Exit code 0: admitted, 1: not. `assay train` does the same, on fewer tasks, for what is new to it.
"""
AUDIT = """\
Judge every answer of a run again, with the verifiers of today, and list the verdicts that changed.

  assay audit runs/math_grpo-1a2b3c4d

The list is written to audit.jsonl in the run directory. Exit code 0: nothing changed, 1: it did.
"""
REPORT = """\
Show what runs came to: curves, verdicts, and every answer token by token, as one HTML file.

  assay report runs/math_grpo-1a2b3c4d                   written into the run, as report.html
  assay report runs/math_grpo-* --out compared.html      several runs side by side

The file needs no network and no server: open it in a browser, or send it to somebody.
"""
WATCH = """\
Follow a run in the terminal, from here or over ssh, until it ends: curves, verdicts, answers.

  assay watch runs/math_grpo-1a2b3c4d

It reads the run's files and touches nothing; q or Ctrl-C leaves the run alone.
"""
SIMULATE = """\
Say how long a run's steps would take with another schedule: who is idle, tokens per second.

  assay simulate runs/math_grpo-1a2b3c4d                        the run beside its simulation
  assay simulate runs/math_grpo-1a2b3c4d max_staleness=4 engine.servers=2
  assay simulate runs/ahead --costs-of runs/turns --costs-of runs/turns-narrow max_staleness=2

What costs how long is fitted to the run's own steps, or to those of others (--costs-of), which must
be synchronous. docs/accelerators.md says what is counted.
"""
NEW_ENV = """\
Write an environment that works, its test and its recipe into the current directory.

  assay new-env doubling          doubling.py, test_doubling.py, doubling.yaml

docs/environments.md goes on from there.
"""
DOCTOR = """\
Check this machine and the stack, in under a minute: imports, sandbox, a vLLM server that answers,
a weight update that arrives, an update with learning rate 0 that changes nothing.
"""
SANDBOX = """\
Run programs for graders on other machines, which get back what came out: nothing else leaves here.

  assay sandbox                                          on this machine, port 8900
  assay sandbox --host 0.0.0.0                           for others; needs ASSAY_SANDBOX_TOKEN

Used by `assay verify code --sandbox URL` and by the option sandbox_url of code environments.
"""
VERIFY = """\
Judge answers from standard input: one JSON object per line in, one per line out, for ever.

  assay verify math      in {"id", "problem" (may be null), "gold", "response"}
  assay verify code      in {"id", "task", "program"}; docs/verification-code.md describes a task

The first line out is {"ready": true}; then {"id", "verdict", "outcome", "reason", "t", ...}.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    # Read here, so that --help answers at once.
    from rl.children import ChildDied
    from rl.errors import UserError
    from rl.recipe.load import RecipeError
    from rl.supervisor import Interrupted

    try:
        return _run(arguments)
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2
    except (UserError, ChildDied) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (Interrupted, KeyboardInterrupt):
        print("interrupted: every process has ended", file=sys.stderr)
        return 130


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Overrides may stand anywhere; argparse alone takes them only before the first option."""
    parser, commands = _parser()
    given = list(sys.argv[1:] if argv is None else argv)
    if given and not given[0].startswith("-") and given[0] not in commands:
        near = get_close_matches(given[0], commands, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(commands)}"
        parser.error(f"there is no command '{given[0]}'; {hint}")
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command == "eval":
        # So may models: argparse takes all that follow each other, and leaves the others.
        arguments.models += [x for x in rest if not x.startswith("-")]
        rest = [x for x in rest if x.startswith("-")]
        asked = [arguments.models, arguments.recipe, arguments.env, arguments.quantized]
        if arguments.regrade is not None and any(asked):
            parser.error("--regrade judges what is stored in its directory: it takes nothing else")
        if not arguments.models and arguments.regrade is None:
            parser.error("the following arguments are required: CHECKPOINT")
    unknown = [x for x in rest if x.startswith("-") or "=" not in x]
    if unknown or (rest and not hasattr(arguments, "overrides")):
        hint = "; keys of a recipe are written as key=value" if arguments.command == "train" else ""
        parser.error(f"not understood: {' '.join(unknown or rest)}{hint}; see `assay --help`")
    if rest:
        arguments.overrides += rest
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "train":
            from rl.launch import train

            return train(arguments.recipe, arguments.overrides, dry_run=arguments.dry_run)
        case "eval":
            return _evaluate(arguments)
        case "verify":
            return _verify(arguments)
        case "attack":
            from rl.commands.attack import attack_command

            return attack_command(
                arguments.what,
                arguments.overrides,
                options=arguments.option,
                n_tasks=arguments.tasks,
                json_file=arguments.json,
                admit=arguments.admit,
            )
        case "sandbox":
            return _sandbox(arguments)
        case "audit":
            from rl.commands.audit import audit

            return audit(arguments.run)
        case "report":
            from rl.report.command import report

            return report(arguments.runs, arguments.out, arguments.answers)
        case "watch":
            from rl.report.live import watch

            return watch(arguments.run)
        case "simulate":
            from rl.simulator.calibrate import simulate_run

            return simulate_run(
                arguments.run,
                arguments.overrides,
                arguments.costs_of,
                colocated=arguments.colocated,
            )
        case "scaling":
            from rl.scaling.command import scaling

            return scaling(arguments)
        case "density":
            from rl.density.command import density

            return density(arguments)
        case "new-env":
            from rl.commands.new_env import new_env

            return new_env(arguments.name)
        case _:
            from rl.commands.doctor import doctor

            return doctor()


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        print(f"assay {version('assay')}")
        parser.exit()


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.regrade is not None:
        from rl.evaluation.regrade import regrade

        return regrade(arguments.regrade)
    from rl.evaluation.command import evaluate

    return evaluate(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    from verifiers.sandbox import SandboxError
    from verifiers.stream import serve_code, serve_math

    if arguments.what == "math":
        if arguments.require_strength or arguments.sandbox or arguments.partial:
            print(
                "error: --require-strength, --sandbox and --partial are for `assay verify code`",
                file=sys.stderr,
            )
            return 2
        serve_math()
        return 0
    try:
        strength = arguments.require_strength or "namespaces"
        serve_code(strength, url=arguments.sandbox, partial=arguments.partial)
    except (SandboxError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _sandbox(arguments: argparse.Namespace) -> int:
    from rl.commands.sandbox_server import MOST, serve

    most = MOST._replace(
        memory_mib=arguments.memory_mib or MOST.memory_mib,
        output_bytes=(arguments.output_mib << 20) if arguments.output_mib else MOST.output_bytes,
    )
    serve(
        arguments.host,
        arguments.port,
        n_sandboxes=arguments.sandboxes,
        require=arguments.require_strength or "namespaces",
        most=most,
    )
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not '{text}'")
    return int(text)


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser, and the names of its commands."""
    parser = argparse.ArgumentParser("assay", description=__doc__)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def require_strength(its: argparse.ArgumentParser) -> None:
        its.add_argument(
            "--require-strength",
            choices=["landlock", "container", "namespaces"],
            help="weakest sandbox that will do for programs (default: namespaces)",
        )

    train = command("train", "train a policy as a recipe says", TRAIN)
    train.add_argument("recipe", type=Path, help="YAML file, such as recipes/math_grpo.yaml")
    train.add_argument("overrides", nargs="*", default=[], metavar="key.path=value")
    train.add_argument(
        "--dry-run", action="store_true", help="print recipe and plan, start nothing"
    )

    _eval_arguments(command("eval", "score models on held-out tasks", EVAL))

    verify = command("verify", "judge answers, as JSON lines", VERIFY)
    verify.add_argument("what", choices=["math", "code"])
    require_strength(verify)
    verify.add_argument(
        "--sandbox", metavar="URL", help="run programs there, at an `assay sandbox`, and not here"
    )
    verify.add_argument(
        "--partial", action="store_true", help="score programs by the share of tests they pass"
    )

    sandbox = command("sandbox", "run programs for graders on other machines", SANDBOX)
    _sandbox_arguments(sandbox)
    require_strength(sandbox)

    attack = command("attack", "find out whether an environment can be cheated", ATTACK)
    attack.add_argument("what", help="environment, path/to/file.py:Class, or recipe")
    attack.add_argument("overrides", nargs="*", metavar="key.path=value")
    attack.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the environment"
    )
    effort = attack.add_mutually_exclusive_group()
    effort.add_argument("--tasks", type=_count, help="how many to attack (default: by its kind)")
    effort.add_argument(
        "--admit", action="store_true", help="only what has no record yet, on few tasks"
    )
    attack.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")

    audit = command("audit", "judge a run's answers again", AUDIT)
    audit.add_argument("run", type=Path, help="run directory")

    report = command("report", "show runs as one HTML file", REPORT)
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directory")
    report.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/report.html")
    report.add_argument(
        "--answers", type=_count, default=20_000, metavar="N", help="shown at most (default: 20000)"
    )
    watch = command("watch", "follow a run in the terminal", WATCH)
    watch.add_argument("run", type=Path, help="run directory")

    simulate = command("simulate", "say what another schedule would make of a run", SIMULATE)
    _simulate_arguments(simulate)

    scaling_arguments(command("scaling", "forecast what more compute will bring", SCALING))
    density_arguments(command("density", "how much capability a parameter holds", DENSITY))

    new_env = command("new-env", "write a new environment to start from", NEW_ENV)
    new_env.add_argument("name", help="lower-case letters, digits and underscores")

    command("doctor", "check this machine and the stack", DOCTOR)
    return parser, list(commands.choices)


def _eval_arguments(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "models",
        nargs="*",
        default=[],
        metavar="CHECKPOINT",
        help="run directory, model or adapter directory, hub id, server's URL; or key.path=value",
    )
    evaluate.add_argument("--recipe", type=Path, help="recipe whose held-out tasks are answered")
    evaluate.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[:OPTION=VALUE,...]",
        help="environment or file of questions to take tasks from instead; may be repeated",
    )
    evaluate.add_argument(
        "--quantized",
        action="append",
        default=[],
        choices=["int8", "int4"],
        help="also with its weights rounded to so many bits; may be repeated",
    )
    evaluate.add_argument(
        "--regrade", type=Path, metavar="DIR", help="judge the stored answers there again"
    )


def _sandbox_arguments(sandbox: argparse.ArgumentParser) -> None:
    sandbox.add_argument("--host", default="127.0.0.1", help="address to listen on")
    sandbox.add_argument("--port", type=int, default=8900, help="0 for any that is free")
    sandbox.add_argument(
        "--sandboxes", type=_count, metavar="N", help="programs at a time (default: one per core)"
    )
    sandbox.add_argument(
        "--memory-mib", type=_count, metavar="MIB", help="most for a program (default: 4096)"
    )
    sandbox.add_argument(
        "--output-mib", type=_count, metavar="MIB", help="most that one may print (default: 16)"
    )


def _simulate_arguments(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("run", type=Path, help="run directory")
    simulate.add_argument("overrides", nargs="*", default=[], metavar="key.path=value")
    simulate.add_argument(
        "--costs-of", type=Path, action="append", default=[], metavar="RUN", help="may be repeated"
    )
    simulate.add_argument(
        "--colocated", action="store_true", help="servers and learner cannot work at the same time"
    )
