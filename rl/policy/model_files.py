"""A model on this disk: whether there is one, and how large it is, without torch."""

import json
from math import prod
from pathlib import Path
from typing import Any

from rl.errors import UserError

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
INDEX = "model.safetensors.index.json"  # beside weights in several files: which one has which

# What lies beside the weights of a model in training.
TRAINING = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")


def local_model(model: str) -> Path | None:
    """The directory that `model` names; None for what can only be on the hub.

    Raises:
        UserError: it can only be a directory, and is none, or is one without a model in it.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        missing = [
            name for name in ("config.json", "tokenizer_config.json") if not (path / name).is_file()
        ]
        if missing:
            raise UserError(
                f"model '{model}' is a directory without {' and '.join(missing)}: give one in "
                "Hugging Face format, as save_pretrained writes it"
            )
        return path.resolve()
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise UserError(
            f"model '{model}' does not exist: give `embedded`, a directory in Hugging Face format, "
            "or a hub id such as Qwen/Qwen3-1.7B"
        )
    return None


def count_parameters(directory: Path) -> int:
    """Number of weights in a directory's safetensors files; 0 if it keeps them in another format.

    The files that its index names are the model, or else `model.safetensors`: what else lies there,
    such as `consolidated.safetensors`, may hold the same weights once more.

    Raises:
        UserError: a file with that ending is something else, or the index names one that is absent.
    """
    return sum(_in_file(file) for file in _weight_files(directory))


def check_heads(directory: Path, sequence_parallel: int) -> None:
    """Raises UserError where a group of so many ranks cannot share the model's heads evenly."""
    if sequence_parallel == 1:
        return
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or config
    query = text.get("num_attention_heads") or 0
    keys = text.get("num_key_value_heads") or query
    if not query or query % sequence_parallel or keys % sequence_parallel:
        raise UserError(
            f"learner.sequence_parallel ({sequence_parallel}) must divide the query heads "
            f"({query or 'unknown'}) and the key and value heads ({keys or 'unknown'}) of "
            f"{directory}: every rank of a group attends for some of them"
        )


def _weight_files(directory: Path) -> list[Path]:
    index = directory / INDEX
    if not index.exists():
        alone = directory / "model.safetensors"
        found = [alone] if alone.exists() else sorted(directory.glob("*.safetensors"))
        return [file for file in found if not file.name.startswith(("consolidated", *TRAINING))]
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = [directory / name for name in sorted(named)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{index} does not say which files hold the weights ({error!r}): get it again"
        ) from error
    if absent := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"{index} names {', '.join(absent)}, which is not there: get the model again"
        )
    return files


def _in_file(file: Path) -> int:
    """Eight bytes of length and as much JSON; the weights behind it are not read."""
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(MAX_HEADER_BYTES, file.stat().st_size):
            raise _not_safetensors(file, start + stream.read(40))
        header = stream.read(length)
    try:
        tensors: dict[str, Any] = json.loads(header)
        return sum(prod(t["shape"]) for name, t in tensors.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_safetensors(file, header[:48]) from error


def _not_safetensors(file: Path, start: bytes) -> UserError:
    if start.startswith(b"version https://git-lfs"):
        remedy = "it is git-LFS's stand-in for the real file: run `git lfs pull` in its directory"
    else:
        remedy = f"it is damaged, or something else (it starts with {start!r}): get it again"
    return UserError(f"{file} is no safetensors file: {remedy}")
