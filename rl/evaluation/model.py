"""The directory that a rollout server loads: a checkpoint as it is, merged, or quantised.

python -m rl.evaluation.model find SOURCE --out FILE
python -m rl.evaluation.model make FILE --into DIRECTORY [--variant int4]
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl.errors import UserError
from rl.evaluation.targets import ADAPTER, VARIANTS
from rl.policy.model_files import TRAINING, count_parameters
from rl.policy.starting import find_model

REFUSED = 2  # exit code when the last line is a complete message
COPIED = {".json", ".jinja", ".txt", ".model", ".tiktoken"}
WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf"}
NOT_MODEL = {"manifest.json", "assay.json", "README.json"}  # what else lies in our own directories

Say = Callable[[str], None]


class Found(NamedTuple):
    path: str  # directory of the model, or of the adapter
    base: str | None  # directory of the model that an adapter belongs to
    identity: str  # sha256 over the files of both
    parameters: int | None  # of the model; None where it keeps its weights in another format


def find(source: str, say: Say) -> Found:
    """A model or an adapter on this machine, after fetching what is on the hub.

    Raises:
        UserError: there is none, or an adapter whose base model is not there.
    """
    directory = Path(source)
    if not (directory / ADAPTER).exists():
        directory = find_model(source, say)
    if not (directory / ADAPTER).exists() or (directory / "config.json").exists():
        say(f"reading {directory}")
        return Found(str(directory), None, identity(directory), count_parameters(directory) or None)
    if not (directory / "adapter_model.safetensors").exists():
        raise UserError(
            f"adapter {directory} has no adapter_model.safetensors: save it as that "
            "(other formats can run code when they are read)"
        )
    base = find_model(_base_of(directory), say)
    say(f"reading {directory} and {base}")
    both = hashlib.sha256((identity(directory) + identity(base)).encode()).hexdigest()
    return Found(str(directory), str(base), both, count_parameters(base) or None)


def _base_of(adapter: Path) -> str:
    try:
        base = json.loads((adapter / ADAPTER).read_text(encoding="utf-8"))[
            "base_model_name_or_path"
        ]
    except (ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str) or not base:
        raise UserError(
            f"{adapter / ADAPTER} does not say which model the adapter belongs to: set "
            "base_model_name_or_path in it to a directory or hub id"
        )
    return base


def identity(directory: Path) -> str:
    """Hex digest of names and contents of the files that decide how a model answers."""
    files = [file for file in sorted(directory.iterdir()) if file.is_file()]
    weights = [x for x in files if x.suffix in WEIGHTS and not x.name.startswith(TRAINING)]
    # Where there are safetensors files, others are not loaded.
    weights = [file for file in weights if file.suffix == ".safetensors"] or weights
    whole = hashlib.sha256()
    for file in files:
        if file in weights or (file.suffix in COPIED and file.name not in NOT_MODEL):
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            whole.update(f"{file.name} {digest}\n".encode())
    return whole.hexdigest()


def make(found: Found, into: Path, variant: str | None, say: Say) -> None:
    """Write the model that answers like a base with its adapter, or like the quantised variant.

    `into` is made anew.
    """
    shutil.rmtree(into, ignore_errors=True)
    source = Path(found.path)
    if found.base is not None:
        say(f"merging {found.path} into {found.base}")
        _merge(Path(found.base), source, into)
        source = into
    if variant is not None:
        say(f"rounding the weights to {variant}")
        _quantize(source, into, variant)


def _merge(base: Path, adapter: Path, into: Path) -> None:
    """peft knows all kinds of adapters; its sum has the type that the base's weights have."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
    try:
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise UserError(
            f"adapter {adapter} does not fit {base}: {' '.join(str(error).split())[:500]}"
        ) from error
    into.mkdir(parents=True)
    for file in _described(base):
        if not file.name.endswith(".index.json"):  # of weights that may be split otherwise now
            shutil.copyfile(file, into / file.name)
    merged.save_pretrained(into)


def _quantize(source: Path, into: Path, variant: str) -> None:
    """File by file, so that no more than one of them is in memory."""
    from safetensors.torch import load_file, save_file

    from rl.evaluation.quantized import quantized

    files = sorted(source.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{source} cannot be quantised: it keeps its weights in another format than "
            "safetensors; save it as that"
        )
    if source != into:
        into.mkdir(parents=True)
        for file in _described(source):
            shutil.copyfile(file, into / file.name)
    for file in files:
        rounded = {k: w.contiguous() for k, w in quantized(load_file(file).items(), variant)}
        temporary = into / f"{file.name}.tmp"
        save_file(rounded, temporary, {"format": "pt"})
        temporary.replace(into / file.name)


def _described(directory: Path) -> Iterator[Path]:
    """The files of a model that hold no weights."""
    for file in sorted(directory.iterdir()):
        if file.is_file() and file.suffix in COPIED and file.name not in NOT_MODEL:
            yield file


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m rl.evaluation.model", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    finding = commands.add_parser("find")
    finding.add_argument("source", help="directory or hub id")
    finding.add_argument("--out", type=Path, required=True, help="JSON to write: what was found")
    making = commands.add_parser("make")
    making.add_argument("found", type=Path, help="what `find` wrote")
    making.add_argument("--into", type=Path, required=True, help="directory to write")
    making.add_argument("--variant", choices=VARIANTS)
    args = parser.parse_args(argv)
    try:
        if args.command == "make":
            found = Found(**json.loads(args.found.read_text(encoding="utf-8")))
            make(found, args.into, args.variant, _say)
        else:
            text = json.dumps(find(args.source, _say)._asdict())
            temporary = args.out.with_name(args.out.name + ".tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.rename(args.out)
    except UserError as error:
        # One line: whoever started this shows the last one.
        print("; ".join(str(error).splitlines()), file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
