"""assay: train language models by reinforcement learning with verifiable rewards."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

TRAIN = """\
Train a policy as a recipe says.

  assay train recipes/math_grpo.yaml                     run it; run it again to resume
  assay train recipes/math_grpo.yaml seed=1 steps=60     change keys of the recipe
  assay train recipes/math_grpo.yaml --dry-run           show the plan, start nothing

Everything the run produces lies in its run directory, the last line printed.
"""
EVAL = """\
Score a policy on held-out tasks: avg@k and pass@k with 95 % intervals.

  assay eval runs/math_grpo-1a2b3c4d                     newest checkpoint of a run
  assay eval path/or/hub-id --recipe recipes/math_grpo.yaml
  assay eval runs/math_grpo-1a2b3c4d evaluation.samples=16
"""
DOCTOR = """\
Check this machine and the stack, in under a minute: imports, sandbox, a vLLM server that answers,
a weight update that arrives, an update with learning rate 0 that changes nothing.
"""
VERIFY = """\
Judge answers from standard input: one JSON object per line in, one per line out, for ever.

  assay verify math      in {"id", "problem" (may be null), "gold", "response"}
  assay verify code      in {"id", "task", "program"}; docs/verification.md describes a task

The first line out is {"ready": true}; then {"id", "verdict", "outcome", "reason", "t", ...}.
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    # Read here, so that --help answers at once.
    from rl.children import ChildDied
    from rl.errors import UserError
    from rl.load import RecipeError

    try:
        return _run(arguments)
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2
    except (UserError, ChildDied) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Overrides may stand anywhere; argparse alone takes them only before the first option."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    unknown = [x for x in rest if x.startswith("-") or "=" not in x]
    if unknown or (rest and not hasattr(arguments, "overrides")):
        parser.error(f"not understood: {' '.join(unknown or rest)}; see `assay --help`")
    if rest:
        arguments.overrides += rest
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "train":
            from rl.launch import train

            return train(arguments.recipe, arguments.overrides, dry_run=arguments.dry_run)
        case "eval":
            from rl.launch import evaluate

            return evaluate(arguments.model, arguments.recipe, arguments.overrides)
        case "verify":
            return _verify(arguments)
        case _:
            from rl.doctor import doctor

            return doctor()


def _verify(arguments: argparse.Namespace) -> int:
    from verifiers.sandbox import TooWeak
    from verifiers.stream import serve_code, serve_math

    if arguments.what == "math":
        serve_math()
        return 0
    try:
        serve_code(arguments.require_strength, partial=arguments.partial)
    except TooWeak as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("assay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    train = command("train", "train a policy as a recipe says", TRAIN)
    train.add_argument("recipe", type=Path, help="YAML file, such as recipes/math_grpo.yaml")
    train.add_argument("overrides", nargs="*", metavar="key.path=value")
    train.add_argument(
        "--dry-run", action="store_true", help="print recipe and plan, start nothing"
    )

    evaluate = command("eval", "score a policy on held-out tasks", EVAL)
    evaluate.add_argument("model", help="run directory, model directory or hub id")
    evaluate.add_argument("overrides", nargs="*", metavar="key.path=value")
    evaluate.add_argument("--recipe", type=Path, help="recipe whose held-out tasks are answered")

    verify = command("verify", "judge answers, as JSON lines", VERIFY)
    verify.add_argument("what", choices=["math", "code"])
    verify.add_argument(
        "--require-strength",
        choices=["landlock", "namespaces"],
        default="namespaces",
        help="weakest sandbox that will do for programs",
    )
    verify.add_argument(
        "--partial", action="store_true", help="score programs by the share of tests they pass"
    )

    command("doctor", "check this machine and the stack", DOCTOR)
    return parser
