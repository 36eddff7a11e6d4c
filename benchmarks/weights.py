"""One weight update as the loop does it, against writing and reading the same bytes.

Two policies, so that the costs of every update and those of every byte can be told apart.

As a helper process: python -m benchmarks.weights RESOLVED.yaml MODEL URL...
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import (
    API_KEY,
    SHORT,
    Helper,
    Result,
    Row,
    answer_requests,
    interleave,
    recipe_of,
    scratch_directory,
    serving,
    starting_policy,
    write_recipe,
)
from rl.recipe.sections import EmbeddedPolicy

LARGER = {  # 77 M parameters with the embedded policy's vocabulary
    "hidden_size": 768,
    "intermediate_size": 2304,
    "num_hidden_layers": 10,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
}


class Line(NamedTuple):
    """Seconds as a straight line over bytes, through two points."""

    fixed_s: float
    bytes_per_s: float

    @classmethod
    def through(cls, small: tuple[int, float], large: tuple[int, float]) -> "Line":
        """Raises ValueError when the larger one did not take longer: too much noise to tell."""
        if large[1] <= small[1]:
            raise ValueError(f"{large[0]:,} bytes took no longer than {small[0]:,}")
        rate = (large[0] - small[0]) / (large[1] - small[1])
        return cls(small[1] - small[0] / rate, rate)

    def __str__(self) -> str:
        return f"{1e3 * self.fixed_s:.0f} ms + bytes / {self.bytes_per_s / 1e9:.2f} GB/s"


def weights(repeats: int) -> Result:
    result = Result("weights")
    points: dict[str, list[tuple[int, float]]] = {"update": [], "copy": []}
    for name in ("embedded policy", "larger policy"):
        with scratch_directory() as scratch:
            embedded = recipe_of(SHORT)
            model = (
                starting_policy(embedded, scratch)
                if name == "embedded policy"
                else make_larger(scratch / "model")
            )
            recipe = recipe_of(SHORT, f"model={model}", "sft=null")
            argv = [sys.executable, "-m", "benchmarks.weights"]
            argv += [str(write_recipe(recipe, scratch)), model]
            parts: dict[str, list[float]] = {"transfer_s": [], "proof_s": []}
            with (
                serving(model, recipe, scratch) as urls,
                Helper([*argv, *urls], scratch / "weights.log", {}) as helper,
            ):
                size = helper.ask("bytes")

                def update(ask: Any = helper.ask, parts: Any = parts) -> float:
                    spent = ask("update")
                    for part, seconds in spent.items():
                        parts[part].append(seconds)
                    return 1e3 * sum(spent.values())

                ours, baseline = interleave(
                    update, lambda ask=helper.ask: 1e3 * ask("copy"), repeats
                )
            what = f"weight update, {name}, {size / 1e6:.1f} MB"
            result.rows.append(Row(what, "ms", ours, baseline, more_is_better=False))
            points["update"].append((size, statistics.median(ours) / 1e3))
            points["copy"].append((size, statistics.median(baseline) / 1e3))
            transfer, proof = (1e3 * statistics.median(x) for x in parts.values())
            result.notes.append(f"{what}: transfer {transfer:.0f} ms, proof {proof:.0f} ms")
    lines = [f"{what} {Line.through(*found)}" for what, found in points.items()]
    result.notes.append(f"weights: {'; '.join(lines)}")
    return result


def make_larger(directory: Path) -> str:
    """An untrained Qwen3 policy; returns its directory."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from rl.policy.embedded import make_config, make_tokenizer

    size = EmbeddedPolicy()
    tokenizer = make_tokenizer(size.max_tokens)
    config = Qwen3Config(
        **{**make_config(size, tokenizer).to_dict(), **LARGER, "layer_types": None}
    )
    Qwen3ForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


class Side:
    """Both sides in one process, as the loop's rank 0 is one."""

    def __init__(self, recipe: Any, model: str, urls: list[str], runner: asyncio.Runner) -> None:
        from transformers import AutoTokenizer

        from rl.chat import encode
        from rl.learner.learner import Learner
        from rl.sampling.engine import Engine
        from rl.tasks import Tasks
        from rl.weights.publisher import WeightPublisher

        self._recipe, self._runner = recipe, runner
        self._learner = Learner(model, recipe)
        first = Tasks(recipe).held_out[0]
        tokenizer = AutoTokenizer.from_pretrained(model)
        solution = tokenizer.encode(first.solution, add_special_tokens=False)
        self._probe = [*encode(tokenizer, first.task), *solution]
        self._engine = runner.run(Engine(urls, API_KEY, recipe).__aenter__())
        runner.run(self._engine.wait_ready(recipe.engine.start_deadline_s))
        self._publisher = WeightPublisher(self._engine, recipe)
        self._version = 0

    def bytes(self) -> int:
        return sum(tensor.nbytes for _, tensor in self._learner.weights())

    def update(self) -> dict[str, float]:
        """What `publish` in rl/train.py does."""
        self._version += 1
        return self._runner.run(self._publish(self._version))

    async def _publish(self, version: int) -> dict[str, float]:
        begin = time.perf_counter()
        await self._publisher.publish(self._learner.weights(), version)
        middle = time.perf_counter()
        own = self._learner.logprobs(self._probe)
        await self._engine.assert_agrees(
            self._probe, own, version, self._recipe.weights.max_logprob_diff
        )
        return {"transfer_s": middle - begin, "proof_s": time.perf_counter() - middle}

    def copy(self) -> float:
        """The same bytes into a file in memory, and out of it into other memory."""
        from safetensors.torch import load_file, save_file

        from rl.weights.publisher import MEMORY_DIRECTORY

        tensors = dict(self._learner.weights())
        with tempfile.NamedTemporaryFile(dir=MEMORY_DIRECTORY, suffix=".safetensors") as file:
            begin = time.perf_counter()
            save_file(tensors, file.name)
            # What is loaded is still the file's own memory until it is copied.
            copies = [tensor.clone() for tensor in load_file(file.name).values()]
            seconds = time.perf_counter() - begin
        assert sum(tensor.nbytes for tensor in copies) == self.bytes()
        return seconds

    def close(self) -> None:
        self._runner.run(self._engine.__aexit__())
        self._learner.close()


def main() -> None:
    from rl.recipe.load import read_resolved

    recipe, model, urls = read_resolved(Path(sys.argv[1])), sys.argv[2], sys.argv[3:]
    with asyncio.Runner() as runner:
        side = Side(recipe, model, urls, runner)
        answers = {"bytes": side.bytes, "update": side.update, "copy": side.copy}
        answer_requests(lambda request: answers[request]())
        side.close()


if __name__ == "__main__":
    main()
