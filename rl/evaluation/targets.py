"""What `assay eval` is asked to evaluate: from the words of the command to models and servers."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from rl.checkpoint import find_damage
from rl.errors import UserError
from rl.policy.model_files import local_model

Variant = Literal["int8", "int4"]
VARIANTS: tuple[Variant, ...] = ("int8", "int4")
STEP = re.compile(r"step-(\d+)")
ADAPTER = "adapter_config.json"  # what a directory of peft's has


@dataclass(frozen=True, slots=True)
class Target:
    """One model to evaluate."""

    name: str  # in the table, and of its directory among the results unless another model has that
    source: str  # a directory, a hub id, or with `remote` the base URL of a server
    step: int | None = None  # of the run that it is a checkpoint of
    variant: Variant | None = None
    remote: bool = False
    served_as: str | None = None  # remote: the model's name there; None: the only one it has
    run: Path | None = None  # that it is a checkpoint of


def find_targets(given: Sequence[str], variants: Sequence[Variant]) -> list[Target]:
    """The models that the command names, each followed by its quantised variants.

    Different ones may have the same name.

    A run directory stands for the policy that it started from, as far as that is still there, and
    for all its checkpoints.

    Raises:
        UserError: one of them is nothing that can be evaluated, or cannot be quantised.
    """
    found = [target for text in given for target in _targets(text)]
    if variants and (servers := [t.source for t in found if t.remote]):
        raise UserError(
            f"{servers[0]} cannot be quantised from here: leave out --quantized, or give the "
            "model's directory or hub id instead of a server"
        )
    found = list(dict.fromkeys(found))
    return [
        replace(
            target, variant=variant, name=f"{target.name}-{variant}" if variant else target.name
        )
        for target in found
        for variant in (None, *dict.fromkeys(variants))
    ]


def is_run(path: Path) -> bool:
    return (path / "recipe.yaml").exists() and not (path / "settings.json").exists()


def _targets(text: str) -> Iterator[Target]:
    path = Path(text).expanduser()
    if text.startswith(("http://", "https://")):
        yield _server(text)
    elif is_run(path):
        yield from _checkpoints(path)
    elif path.is_dir():
        yield _directory(path)
    else:
        runs = sorted(p.name for p in path.parent.glob("*/") if is_run(p))
        if runs and not (text.count("/") == 1 and not path.parent.is_dir()):
            raise UserError(f"there is no {text}; in {path.parent}: {', '.join(runs)}")
        local_model(text)  # what cannot be a hub id is refused
        yield Target(path.name, text)


def _server(text: str) -> Target:
    try:
        parts = urlsplit(text)
        usable = parts.hostname and parts.port != 0  # which raises where it is no port
    except ValueError:
        parts, usable = urlsplit(""), False
    if not usable or parts.username is not None or parts.password is not None:
        raise UserError(
            "a server is given as https://HOST[:PORT][/PATH][#MODEL]; its key goes into the "
            "environment variable ASSAY_EVAL_KEY, not into the address"
        )
    base = parts._replace(fragment="", query="", path=parts.path.rstrip("/") or "/v1").geturl()
    named = parts.netloc + parts.path.rstrip("/").removesuffix("/v1") + f"-{parts.fragment}"
    name = re.sub(r"[^\w.-]+", "-", named).strip("-.")
    return Target(name, base, remote=True, served_as=parts.fragment or None)


def _checkpoints(run: Path) -> Iterator[Target]:
    """Of a run: the policy that it started from, and every checkpoint, which must be whole."""
    start = run / "policy.json"
    checkpoints = sorted((run / "checkpoints").glob("step-*"))
    if not checkpoints:
        raise UserError(f"{run} has no checkpoint yet; let the run go on to its first one")
    name = run.resolve().name
    if start.exists() and (policy := _starting(start)) is not None:
        yield Target(f"{name}-step-000000", str(policy), step=0)
    for checkpoint in checkpoints:
        if damage := find_damage(checkpoint):
            raise UserError(f"{damage}. Evaluate others of {run / 'checkpoints'} by their names")
        yield Target(
            f"{name}-{checkpoint.name}",
            str(checkpoint.resolve()),
            step=_step(checkpoint.name),
            run=run.resolve(),
        )


def _starting(file: Path) -> Path | None:
    """The policy that a run started from; None where it is no longer in its place."""
    path = Path(json.loads(file.read_text(encoding="utf-8"))["path"])
    return path if path.is_dir() else None


def _directory(path: Path) -> Target:
    whole = path.resolve()
    if inside := sorted(found.name for found in whole.glob("step-*/")):
        raise UserError(
            f"{path} holds checkpoints: give their run's directory for all of them, or one "
            f"({', '.join(inside)})"
        )
    if not (whole / ADAPTER).exists():
        local_model(str(whole))  # one without a model in it is refused
    # Our own checkpoints keep their adapter in a directory of that name.
    inner = whole.parent.name + "-adapter" if whole.name == "adapter" else whole.name
    return Target(inner, str(whole), step=_step(inner), run=_run_of(whole))


def _run_of(model: Path) -> Path | None:
    """The run that a directory is a checkpoint of, or the adapter of one."""
    return next((p for p in list(model.parents)[1:3] if is_run(p)), None)


def _step(name: str) -> int | None:
    found = STEP.match(name)
    return int(found[1]) if found else None
