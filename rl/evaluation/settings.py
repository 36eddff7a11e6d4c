"""settings.json: what an evaluation evaluates, on which tasks, how its answers are sampled.

Answers are only ever added to those of the same settings.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from rl.recipe.config import Recipe

QUESTIONS = "envs.math_benchmarks:MathBenchmark"  # what a file of questions is, all held out
GROWING = ("problems", "sampling.samples")  # keys that may be raised: answers are added


class Draw(StrEnum):
    """How problems are drawn from the environments."""

    MIXTURE = "mixture"  # by their weights, as a run of the recipe draws its held-out tasks
    EACH = "each"  # so many from each
    ALL = "all"  # so many from each, and from one with finitely many all of them


@dataclass(frozen=True, slots=True)
class Settings:
    checkpoint: str  # as given
    identity: str  # sha256 of what was evaluated, or the server's name of its model
    step: int | None  # of the run that it is a checkpoint of
    variant: str | None  # int8, int4: simulated weight-only quantisation
    parameters: int | None
    envs: list[dict[str, Any]]  # name, weight and options
    draw: Draw
    problems: int  # in all, or of each environment
    sampling: dict[str, Any]
    versions: dict[str, str]  # of everything installed
    data: str | None = None  # sha256 of the files that the environments' options name, if any

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Settings":
        """Raises KeyError, TypeError or ValueError where this is not what `to_json` gives."""
        return cls(**{**data, "draw": Draw(data["draw"])})

    @property
    def labels(self) -> dict[str, str]:
        """What scores call each environment (see `env_labels`)."""
        options = [
            {k: v for k, v in spec.items() if k not in ("name", "weight")} for spec in self.envs
        ]
        return env_labels((spec["name"], x) for spec, x in zip(self.envs, options, strict=True))


def label_key(name: str, options: dict[str, Any]) -> str:
    """An environment's name, and its options in an order that is always the same."""
    return f"{name} {json.dumps(options, sort_keys=True)}"


def env_name(name: str, options: dict[str, Any]) -> str:
    """What people call an environment: its name, and a file of questions by that of the file."""
    return Path(options["path"]).name if name == QUESTIONS else name


def env_labels(envs: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """By `label_key`, what scores call an environment: its name; where two have the same name, with
    their options."""
    names = {label_key(name, options): env_name(name, options) for name, options in envs}
    shared = Counter(names.values())
    return {key: name if shared[name] == 1 else key for key, name in names.items()}


def sampling_settings(recipe: Recipe) -> dict[str, Any]:
    """Everything that shapes an answer."""
    rollout, evaluation = recipe.rollout, recipe.evaluation
    in_chunks = rollout.chunk_tokens is not None
    return {
        "samples": evaluation.samples,
        "temperature": evaluation.temperature,
        "top_p": evaluation.top_p,
        "max_new_tokens": rollout.budget(evaluation.chunks),
        "chunks": (evaluation.chunks or rollout.chunks) if in_chunks else None,
        "chunk_tokens": rollout.chunk_tokens,
        "carry_tokens": rollout.carry_tokens if in_chunks else None,
        "head_tokens": rollout.head_tokens if in_chunks else None,
        "closing_phrase": rollout.closing_phrase if rollout.truncated == "interrupt" else None,
        "dtype": recipe.engine.dtype,
        "max_model_tokens": recipe.engine.max_model_tokens,
        "extra_args": recipe.engine.extra_args,
        "verify": recipe.verify.model_dump(include={"deadline_s", "cpu_s"}),
        # Answer k to a problem is sampled with the problem's seed + k, and problems have the same
        # seeds in every evaluation.
        "seed": 0,
    }


def data_digest(envs: Iterable[dict[str, Any]]) -> str | None:
    """Of the local files that options name: with other contents they are other problems."""
    options = [x for spec in envs for key, x in spec.items() if key != "name"]
    named = [Path(x).expanduser() for x in options if isinstance(x, str)]
    files = [
        file
        for path in named
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.is_file()
    ]
    if not files:
        return None
    digest = sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(file_digest(content, "sha256").digest())
    return digest.hexdigest()


def differing(then: Settings, now: Settings) -> list[str]:
    """The keys in which stored answers are of other settings than those wanted now.

    Versions may differ, and there may be more problems or samples than then.
    """
    old, new = (dict(_flat(x.to_json() | {"versions": None})) for x in (then, now))
    return [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not (key in GROWING and new[key] > old[key])
    ]


def asks_for_more(then: Settings, now: Settings) -> bool:
    """Whether, of evaluations that do not differ, the second has problems or samples that the first
    has not."""
    old, new = (dict(_flat(x.to_json())) for x in (then, now))
    return any(new[key] > old[key] for key in GROWING)


def _flat(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if key == "sampling":
            yield from ((f"{key}.{inner}", x) for inner, x in value.items())
        else:
            yield key, value
