"""An evaluation as a log of Inspect (https://inspect.aisi.org.uk), so that `inspect view` opens it.

Written as JSON, in version 2 of its log format as inspect-ai 0.3.285 reads it; the library is not
needed. One log for each evaluation directory: a sample is a problem, an epoch one answer to it.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from rl.record import RunDirectory

VERSION = 2
FOLDER = "inspect"  # in the directory of an evaluation
MAX_TARGET = 2000  # characters of a truth that is no text: the tests of a program can be megabytes
SCORER = "assay"
STOPS = {"finished": "stop", "length": "max_tokens"}

Row = Mapping[str, Any]  # of answers.jsonl


class Times(NamedTuple):
    """When an evaluation began, and when its last answer came; single answers have no times."""

    began: datetime
    ended: datetime


def write_inspect_log(
    directory: Path, settings: Row, answers: Iterable[Row], scores: Row, times: Times
) -> Path:
    """Write the log of an evaluation into its folder `inspect`, in place of one before.

    Args:
        directory: of the evaluation.
        settings, scores: what settings.json and scores.json hold.
        answers: the rows of answers.jsonl.
        times: of the evaluation.

    Raises:
        UserError: the disk is full or not writable.
    """
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*_assay_*.json"):
        old.unlink()
    # Inspect lists the files whose names begin with a time.
    name = f"{times.began.astimezone(UTC):%Y-%m-%dT%H-%M-%S}+00-00_assay_{_id(settings)[:12]}.json"
    RunDirectory(folder).write_json(name, inspect_log(settings, answers, scores, times))
    return folder / name


def inspect_log(settings: Row, answers: Iterable[Row], scores: Row, times: Times) -> dict[str, Any]:
    """The log of one evaluation, as plain data; arguments as for `write_inspect_log`."""
    samples = [_sample(settings, row) for row in answers]
    began, ended = (time.astimezone(UTC).isoformat(timespec="seconds") for time in times)
    sampling = settings["sampling"]
    names = [spec["name"] for spec in settings["envs"]]
    identity = _id(settings)
    ids = list(dict.fromkeys(sample["id"] for sample in samples))
    log = {
        "version": VERSION,
        "status": "success",
        "eval": {
            "created": began,
            "eval_id": identity,
            "run_id": identity,
            "task": "+".join(names),
            "task_id": "+".join(names),
            "task_args": {"envs": settings["envs"]},
            "dataset": {"name": "+".join(names), "samples": len(ids), "sample_ids": ids},
            "model": str(settings["checkpoint"]),
            "model_args": {
                key: settings[key] for key in ("identity", "step", "variant", "parameters")
            },
            "model_generate_config": {
                "temperature": sampling["temperature"],
                "top_p": sampling["top_p"],
                "max_tokens": sampling["max_new_tokens"],
                "seed": sampling["seed"],
            },
            "config": {"epochs": sampling["samples"]},
            "packages": settings["versions"],
            "scorers": [{"name": SCORER}],
        },
        "plan": {"steps": [{"solver": "generate", "params": {}}]},
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [
                _score("all", scores["all"]),
                *(_score(name, found) for name, found in scores["by_env"].items()),
            ],
        },
        "stats": {"started_at": began, "completed_at": ended},
        "samples": samples,
    }
    return _whole_text(log)


def _whole_text(value: Any) -> Any:
    """The value with U+FFFD for halves of surrogate pairs, which Inspect's reader refuses."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole_text(key): _whole_text(x) for key, x in value.items()}
    return [_whole_text(x) for x in value] if isinstance(value, list) else value


def _id(settings: Row) -> str:
    """Of what was evaluated, in letters and digits; a server's name of its model may hold any."""
    whole = f"{settings['checkpoint']} {settings['identity']} {settings['variant']}"
    return sha256(whole.encode(errors="backslashreplace")).hexdigest()


def _env(row: Row) -> str:
    options = json.dumps(row["options"], sort_keys=True) if row["options"] else ""
    return f"{row['env']} {options}".strip()


def _sample(settings: Row, row: Row) -> dict[str, Any]:
    verdict, prompt, truth = row["verdict"], row["prompt"], row["truth"]
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    answered = {"role": "assistant", "content": row["response"], "source": "generate"}
    tokens = {"input_tokens": row["prompt_tokens"], "output_tokens": row["response_tokens"]}
    tokens["total_tokens"] = sum(tokens.values())
    model = str(settings["checkpoint"])
    stop = STOPS.get(row["stop"], "unknown")
    return {
        "id": f"{_env(row)}/{row['problem'][:16]}",
        "epoch": row["sample"] + 1,
        "input": prompt,
        "target": truth if isinstance(truth, str) else json.dumps(truth)[:MAX_TARGET],
        "messages": [*asked, answered],
        "output": {
            "model": model,
            "choices": [{"message": answered, "stop_reason": stop}],
            "usage": tokens,
        },
        "scores": _judged(verdict),
        "metadata": {
            "outcome": verdict["outcome"],
            "family": row["family"],
            "verifier": verdict["verifier"],
            "detail": verdict["detail"],
        },
        "model_usage": {model: tokens},
    }


def _judged(verdict: Row) -> dict[str, Any]:
    """Nothing for a broken verdict: it says nothing about the answer."""
    if verdict["outcome"] == "broken":
        return {}
    return {
        SCORER: {
            "value": verdict["score"],
            "answer": verdict["answer"],
            "explanation": verdict["detail"] or verdict["outcome"],
        }
    }


def _score(name: str, found: Row) -> dict[str, Any]:
    """All figures of an environment, or of everything; each with the ends of its interval."""
    k = found["samples"]
    figures = {f"avg@{k}": found["avg_at_k"]}
    for which, values in (("pass@", found["pass_at_k"]), ("pass^", found["pass_hat_k"])):
        figures |= {f"{which}{k}": value for k, value in values.items() if _shown(int(k), values)}
    if found["majority_at_k"] is not None:
        figures[f"majority@{k}"] = found["majority_at_k"]
    figures["mean_tokens"] = found["mean_tokens"]
    metrics = {
        figure + end: {"name": figure + end, "value": value[key]}
        for figure, value in figures.items()
        for key, end in (("value", ""), ("low", " low"), ("high", " high"))
        if value[key] is not None  # no upper end
    }
    metrics["truncated"] = {"name": "truncated", "value": found["truncated_fraction"]}
    return {
        "name": name,
        "scorer": SCORER,
        "scored_samples": sum(found["outcomes"].values()) - found["broken"],
        "unscored_samples": found["broken"],
        "metrics": metrics,
    }


def _shown(k: int, values: Row) -> bool:
    """Powers of two, and the last: of a thousand values of k nobody reads all."""
    return k & (k - 1) == 0 or k == len(values)
