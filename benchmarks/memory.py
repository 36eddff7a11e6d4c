"""Peak memory of one update at 8k, 32k and 131k tokens, by what a recipe has against it.

Bytes of all tensors that the update makes and that are alive at one time, on rank 0, by
benchmarks/peak.py: the same on every machine. The notes have the growth of resident memory beside
it. The baseline keeps everything: all logits, all activations, on one rank. Answers have 4,096
tokens: attention keeps nothing that grows with the square of an answer
(tests/unit/test_memory.py), so one long answer takes as much.

As a rank: python -m benchmarks.memory SPEC.json RANK
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Result, Row, run, scratch_directory
from rl.supervisor import free_ports

TOKENS = (8192, 32768, 131072)
ANSWER_TOKENS = 4096
SIZES = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "tie_word_embeddings": True,
}
EVERYTHING_KEPT = {"dtype": "float32", "threads": 1, "logits_mib": 2**20}
PARTS = {"logits_mib": 16}
AGAIN = {"activation_checkpointing": True}
SHARED = {"ranks": 2, "sequence_parallel": 2}
NOTHING = "nothing against it"
MEANS: dict[str, dict[str, Any]] = {
    "logits in parts": PARTS,
    "activation checkpointing": AGAIN,
    "sequence parallel 2": SHARED,
    "the first two": {**PARTS, **AGAIN},
    "all three": {**PARTS, **AGAIN, **SHARED},
}
FOLLOWER_ENDS_S = 60.0
# Else glibc keeps much of what was freed: 181 MiB resident where tensors take 68, and 70 with this.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def memory(repeats: int) -> Result:
    """An update of each size with each means, and with none."""
    from benchmarks.random_policy import random_policy

    result = Result("memory")
    with scratch_directory() as scratch:
        model = random_policy(scratch / "policy", SIZES)
        for tokens in TOKENS:
            found = {
                name: [peak_mib(model, scratch, tokens, means) for _ in range(repeats)]
                for name, means in {NOTHING: {}, **MEANS}.items()
            }
            kept = [one["tensors"] for one in found[NOTHING]]
            for name in MEANS:
                ours = [one["tensors"] for one in found[name]]
                what = f"peak memory, {tokens:,} tokens: {name}"
                result.rows.append(Row(what, "MiB", ours, kept, more_is_better=False))
            resident = ", ".join(
                f"{name} {statistics.median(one['resident'] for one in ones):,.0f}"
                for name, ones in found.items()
            )
            result.notes.append(f"resident memory, {tokens:,} tokens, MiB: {resident}")
    return result


def peak_mib(model: Path, scratch: Path, tokens: int, means: dict[str, Any]) -> dict[str, float]:
    """Of one update in processes that make just this one: of its tensors, and resident."""
    spec, found = scratch / "spec.json", scratch / "found.json"
    (port,) = free_ports(1, 0)
    learner = {**EVERYTHING_KEPT, "micro_batch_tokens": tokens, **means}
    learner["micro_batch_tokens"] //= learner.get("sequence_parallel", 1)
    given = {"model": str(model), "tokens": tokens, "learner": learner, "found": str(found)}
    spec.write_text(json.dumps(given))
    argv = [sys.executable, "-m", "benchmarks.memory", str(spec), "0"]
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **GIVE_BACK}
    run(argv, scratch / "memory.log", environment)
    return json.loads(found.read_text())


def main() -> None:
    spec, rank = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    if rank:
        update(spec, rank)
        return
    command = [sys.executable, "-m", "benchmarks.memory", sys.argv[1]]
    ranks = range(1, spec["learner"].get("ranks", 1))
    followers = [subprocess.Popen([*command, str(i)], cwd=ROOT) for i in ranks]
    try:
        found = update(spec, 0)
        for follower in followers:
            follower.wait(FOLLOWER_ENDS_S)
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()
    Path(spec["found"]).write_text(json.dumps(found))


def update(spec: dict[str, Any], rank: int) -> dict[str, float]:
    """One update; on rank 0 the MiB that it took above what was there before it."""
    os.environ.update(LOCAL_RANK=str(rank))
    from benchmarks.peak import Peak
    from benchmarks.random_policy import learner_recipe, random_answers
    from rl.learner.learner import Learner

    recipe = learner_recipe(Path(spec["model"]), **spec["learner"])
    learner = Learner(spec["model"], recipe, rank, recipe.learner.ranks)
    if rank:
        learner.follow()
        return {}
    learner.update(random_answers([64, 64], SIZES["vocab_size"]))  # makes the optimiser's state
    whole, rest = divmod(spec["tokens"], ANSWER_TOKENS)
    batch = random_answers([ANSWER_TOKENS] * whole + [rest] * bool(rest), SIZES["vocab_size"])
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    with Peak() as peak:
        done = learner.update(batch)
    resident = resident_mib("VmHWM") - before
    assert done.n_micro_batches == 1
    learner.close()
    return {"tensors": peak.bytes / 2**20, "resident": resident}


def resident_mib(kind: str) -> float:
    """VmRSS: now; VmHWM: at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


if __name__ == "__main__":
    main()
