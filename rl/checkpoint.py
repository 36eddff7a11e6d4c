"""Checkpoints: whole or not there. A plain Hugging Face directory, and `trainer/` to go on from.

    checkpoints/step-000050/   config.json  model.safetensors  tokenizer files ...
                               adapter/        with `lora` also what was learned, in peft's format
                               trainer/        DeepSpeed's own state
                               manifest.json   size and SHA-256 of every other file, written last

DeepSpeed reads its state with pickle: resume only from directories that your own runs wrote.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from rl.errors import UserError

MANIFEST = "manifest.json"
NAME = re.compile(r"step-\d{6,}")

# Files of the starting policy that are copied; its weights and what they say are written anew.
COPIED = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"}


class CheckpointError(UserError):
    """A checkpoint could not be written, or the one to resume from is damaged."""


class Saved(Protocol):
    """What a checkpoint is made of: a learner."""

    version: int

    @property
    def checkpoint_bytes(self) -> int: ...

    def save(self, directory: Path) -> None: ...


def save_checkpoint(
    checkpoints: Path, learner: Saved, keep: int, also: Sequence[Callable[[Path], None]] = ()
) -> Path:
    """Write `checkpoints`/step-<version>, then forget all but the `keep` newest.

    `also` are called with its directory after the learner has written into it.

    It is written under another name beside its place, synchronised with the disk and then renamed:
    whatever happens, what is called step-* is whole.

    Raises:
        CheckpointError: the disk is full or cannot be written; the earlier checkpoints are whole.
    """
    target = checkpoints / f"step-{learner.version:06d}"
    checkpoints.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(checkpoints)
    free = shutil.disk_usage(checkpoints).free
    if free < learner.checkpoint_bytes:
        raise _cannot_write(target, learner.checkpoint_bytes, "the disk is too full to begin")
    temporary = _hidden(target)
    try:
        temporary.mkdir()
        learner.save(temporary)
        for write in also:
            write(temporary)
        _seal(temporary)
        if target.exists():  # the same step once more, after a resume
            _remove(target)
        temporary.rename(target)
        _synchronise(checkpoints)
    except UserError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # torch.save says RuntimeError
        said = str(error).splitlines()[0]
        raise _cannot_write(target, learner.checkpoint_bytes, said) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _steps(checkpoints)[:-keep]:
        _remove(old)
    return target


def latest_checkpoint(checkpoints: Path) -> Path | None:
    """The newest checkpoint, verified; None where none was ever written.

    Raises:
        CheckpointError: the newest one is damaged. It is never skipped silently: going on from an
            older one repeats steps, so the user decides.
    """
    steps = _steps(checkpoints)
    if not steps:
        return None
    damage = find_damage(steps[-1])
    if damage is None:
        return steps[-1]
    whole = next((step for step in reversed(steps[:-1]) if find_damage(step) is None), None)
    then = (
        f"the same command then resumes from {whole.name}, which is whole"
        if whole
        else "no older checkpoint is whole: the same command then starts from the beginning"
    )
    raise CheckpointError(f"{damage}. To go on, delete {steps[-1]}: {then}")


def find_damage(checkpoint: Path) -> str | None:
    """The first file that is not as it was written, and what is wrong with it; None: all are."""
    manifest = checkpoint / MANIFEST
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return f"checkpoint {checkpoint} is damaged: {MANIFEST} is missing"
    except (ValueError, KeyError, TypeError):
        return f"checkpoint {checkpoint} is damaged: {MANIFEST} cannot be read"
    for name, written in files.items():
        path = checkpoint / name
        if not path.is_file():
            return f"checkpoint {checkpoint} is damaged: {name} is missing"
        size = path.stat().st_size
        if size != written["bytes"]:
            return (
                f"checkpoint {checkpoint} is damaged: {name} has {size} bytes, "
                f"{written['bytes']} were written"
            )
        if _sha256(path) != written["sha256"]:
            return f"checkpoint {checkpoint} is damaged: the content of {name} has changed"
    return None


def write_model(directory: Path, model: Any, weights: dict[str, Any], source: Path) -> None:
    """Write a Hugging Face model directory: `weights`, and the tokenizer files of `source`.

    Args:
        model: the transformers model whose configuration is written.
        weights: its whole tensors by name, on the CPU.
        source: the directory of the policy that training started from.
    """
    for file in sorted(source.iterdir()):
        of_weights = file.name.endswith(".index.json") or file.name == MANIFEST
        if file.is_file() and file.suffix in COPIED and not of_weights:
            shutil.copyfile(file, directory / file.name)
    model.save_pretrained(directory, state_dict=weights)


def _seal(directory: Path) -> None:
    """Bring every file to the disk, and write down what each must look like."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            name = path.relative_to(directory).as_posix()
            files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    with (directory / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump({"files": files}, file, indent=1)
    for path in [*directory.rglob("*"), directory]:
        _synchronise(path)


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _steps(checkpoints: Path) -> list[Path]:
    """Those that are called as checkpoints are, oldest first; a user's own copies are not."""
    own = [path for path in checkpoints.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted(own, key=lambda path: int(path.name.removeprefix("step-")))


def _hidden(step: Path) -> Path:
    return step.with_name(f".{step.name}.partial")


def _remove(step: Path) -> None:
    """Take the name away first: a removal that is cut short must not leave half a checkpoint."""
    hidden = _hidden(step).with_suffix(".removed")
    step.rename(hidden)
    shutil.rmtree(hidden)


def _leftovers(checkpoints: Path) -> Iterator[Path]:
    yield from checkpoints.glob(".step-*.partial")
    yield from checkpoints.glob(".step-*.removed")


def _remove_leftovers(checkpoints: Path) -> None:
    """What an earlier process had under way when it was killed."""
    for path in _leftovers(checkpoints):
        shutil.rmtree(path)


def _cannot_write(target: Path, needed: int, why: str) -> CheckpointError:
    free = shutil.disk_usage(target.parent).free
    whole = _steps(target.parent)
    resume = f"resumes from {whole[-1].name}, which is whole" if whole else "starts again"
    return CheckpointError(
        f"checkpoint {target} could not be written: {why}. It needs at least {needed} bytes; "
        f"{free} are free there. Free some space, or set checkpoint.keep lower or run_dir to a "
        f"larger disk; the same command then {resume}"
    )
