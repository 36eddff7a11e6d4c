"""The policy that a run starts from: made, warm-started or fetched once, then found in the cache.

python -m rl.policy.starting --recipe RESOLVED.yaml --out FILE [--learns]
"""

import argparse
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from inspect import getsourcefile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from envs.base import EnvError
from envs.registry import make_env
from envs.sources import source_files
from rl.errors import UserError
from rl.policy.model_files import count_parameters, local_model
from rl.recipe.config import Recipe
from rl.recipe.load import RecipeError, read_resolved

Say = Callable[[str], None]

# What a file system answers when a download cannot be stored.
STORING_FAILS = (
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR,
)  # fmt: skip
LIBRARIES = ("torch", "transformers", "tokenizers", "trl")
MODULES = (
    "envs.base",
    "rl.sampling.answering",
    "rl.chat",
    "rl.policy.embedded",
    "rl.policy.sft",
)  # their text decides what comes out


@dataclass(frozen=True)
class Policy:
    path: str  # directory in Hugging Face format
    cached: bool  # found, not made now
    n_parameters: int


def starting_policy(recipe: Recipe, say: Say) -> Policy:
    """Make the starting policy of a recipe, or find it where an earlier run left it.

    Waits for another process that makes the same policy, however long it takes: whoever started
    this one has a deadline for the whole (POLICY_DEADLINE_S in rl/launch.py).

    Raises:
        UserError: no such model, no network, sizes out of range, nothing to imitate.
    """
    source = None if recipe.model == "embedded" else find_model(recipe.model, say)
    if source is not None and recipe.sft is None:
        return Policy(str(source), True, count_parameters(source))
    target = cache_root() / fingerprint(recipe, source)
    with _locked(target, say):
        if target.is_dir():
            return Policy(str(target), True, count_parameters(target))
        for leftover in target.parent.glob(f"{target.name}.tmp*"):
            shutil.rmtree(leftover)  # of a process that was killed: nobody else is in here
        scratch = target.with_name(f"{target.name}.tmp")
        _make(scratch, recipe, source, say)
        (scratch / "assay.json").write_text(json.dumps(_ingredients(recipe, source), indent=2))
        scratch.rename(target)
    return Policy(str(target), False, count_parameters(target))


def find_model(model: str, say: Say) -> Path:
    """The directory of a local model, or of a hub model after fetching it.

    Raises:
        UserError: neither exists.
    """
    return local_model(model) or _fetch(model, say)


def _fetch(model: str, say: Say) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    say(f"fetching {model} from the hub")
    patterns = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(model, allow_patterns=patterns))
    except GatedRepoError as error:
        raise UserError(
            f"model '{model}' needs its owner's consent: ask for access on its hub page, then log "
            "in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"model '{model}' is neither a directory here nor a model on the hub: check the "
            "spelling, or give `embedded`"
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise hub_error(model, error) from error


def hub_error(model: str, error: OSError) -> UserError:
    """What to tell of a download that failed: the disk's fault, or the network's."""
    if error.errno in STORING_FAILS:
        where = f"{error.filename}: " if error.filename else ""
        return UserError(
            f"model '{model}' cannot be stored ({where}{error.strerror}): free some space in the "
            "hub's cache, or move it with HF_HOME to a directory that can be written to"
        )
    return UserError(
        f"model '{model}' is not a directory here and the hub cannot be reached: connect to "
        "the network, unset HF_HUB_OFFLINE, or give a local directory"
    )


def cache_root() -> Path:
    root = os.environ.get("ASSAY_CACHE") or "~/.cache/assay"
    return Path(root).expanduser() / "policies"


def fingerprint(recipe: Recipe, source: Path | None) -> str:
    """Hex digest of everything that decides what the policy will be."""
    text = json.dumps(_ingredients(recipe, source), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:20]


def _ingredients(recipe: Recipe, source: Path | None) -> dict[str, Any]:
    """What a policy is made from, by name; also written beside it, for whoever wonders later."""
    made_of: dict[str, Any] = {
        "model": recipe.model,
        "seed": recipe.seed,
        "versions": {name: version(name) for name in LIBRARIES},
        "sources": {name: _source_digest(getsourcefile(import_module(name))) for name in MODULES},
    }
    if source is None:
        made_of["embedded"] = recipe.embedded.model_dump()
    else:
        made_of["files"] = [
            [file.name, file.stat().st_size, file.stat().st_mtime_ns]
            for file in sorted(source.iterdir())
            if file.is_file()
        ]
    if recipe.sft is not None:
        made_of["sft"] = recipe.sft.model_dump()
        if recipe.rollout.chunk_tokens is not None:
            keys = {"chunk_tokens", "carry_tokens", "head_tokens"}
            made_of["rollout"] = recipe.rollout.model_dump(include=keys)
        # What torch takes where none are said; sums of floats depend on how many there are.
        usual = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
        made_of["learner"] = {
            "dtype": recipe.learner.dtype,
            "threads": recipe.learner.threads or usual,
        }
        data = recipe.sft.data
        if data is None:
            made_of["envs"] = [[spec.model_dump(), _env_digest(spec)] for spec in recipe.envs]
        elif Path(data).is_file():
            made_of["data"] = _source_digest(data)
    return made_of


def _env_digest(spec: Any) -> list[str]:
    env = type(make_env(spec.name, spec.options))
    return [_source_digest(str(file)) for file in source_files(env)]


def _source_digest(file: str | None) -> str:
    return sha256(Path(file).read_bytes()).hexdigest() if file else ""


@contextmanager
def _locked(target: Path, say: Say) -> Any:
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting for another process that makes the same policy (it holds {lock.lock_file})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(scratch: Path, recipe: Recipe, source: Path | None, say: Say) -> None:
    """Write the policy into `scratch`, which does not exist yet."""
    from rl.policy.embedded import make_embedded
    from rl.policy.sft import warm_start

    untrained = scratch / "untrained"
    if source is None:
        say("making the embedded policy")
        source = scratch if recipe.sft is None else untrained
        make_embedded(source, recipe.embedded, recipe.seed)
    if recipe.sft is not None:
        warm_start(source, scratch, recipe, recipe.sft, say)
    if untrained.is_dir():
        shutil.rmtree(untrained)


def fetch(recipe: Recipe, policy: Path, say: Say) -> None:
    """Have the frozen policies of a recipe on this machine, and make sure that they can guide.

    Args:
        policy: directory of the policy that training starts from.

    Raises:
        UserError: no such model, no network, other tokens than the policy's.
    """
    from rl.policy.tokens import refuse_other_tokens

    for key, model in recipe.frozen_models.items():
        refuse_other_tokens(policy, find_model(model, say), key, model)


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m rl.policy.starting", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="resolved recipe, YAML")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write: path, cached, ...")
    parser.add_argument("--learns", action="store_true", help="its frozen policies are needed too")
    args = parser.parse_args(argv)
    try:
        recipe = read_resolved(args.recipe)
        policy = starting_policy(recipe, _say)
        if args.learns:
            fetch(recipe, Path(policy.path), _say)
    except (UserError, RecipeError, EnvError) as error:
        # One line: the supervisor shows the last line of a refusal.
        print("; ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    scratch = args.out.with_name(args.out.name + ".tmp")
    scratch.write_text(json.dumps(asdict(policy)))
    scratch.rename(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
