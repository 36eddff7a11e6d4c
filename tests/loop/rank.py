"""Runs real learner ranks for the tests: `run_ranks` here, one process per rank below.

python -m tests.loop.rank SPEC does the steps of a JSON file and prints one line of JSON per step.
"""

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DEADLINE_S = 240


def run_ranks(
    model: Path,
    steps: list[list[Any]],
    *,
    ranks: int = 1,
    follower: str = "follow",
    temperature: float = 1.0,
    algorithm: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
    critic: dict[str, Any] | None = None,
    lora: dict[str, Any] | None = None,
    **learner: Any,
) -> list[Any]:
    """What rank 0 answers to each of `steps`; every process is gone afterwards.

    Args:
        steps: ["update", seed, n_sequences, advantage, weights, in_chunks], ["routed", and the
            same], ["digest"], ["logprobs", tokens], ["weights"], ["save", directory],
            ["load", directory], ["limit", bytes].
        follower: "follow", or what ranks above 0 do in its place: "die", "sleep", "stall".
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as temporary:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        spec = Path(temporary) / "spec.json"
        given = {"model": str(model), "temperature": temperature, "learner": learner}
        given["algorithm"] = algorithm or ({"preset": "ppo"} if critic else {})
        given["lora"], given["critic"] = lora, critic
        given["sections"] = sections or {}
        given["learner"]["ranks"] = ranks
        spec.write_text(json.dumps({**given, "steps": steps, "follower": follower}))
        free.close()
        processes = []
        try:
            for rank in range(ranks):
                environment = {
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(ranks),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "TORCH_EXTENSIONS_DIR": f"{temporary}/compiled",
                }
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "tests.loop.rank", str(spec)],
                        env=environment,
                        stdout=subprocess.PIPE,
                        stderr=(Path(temporary) / f"{rank}.log").open("w"),
                        text=True,
                    )
                )
            out, _ = processes[0].communicate(timeout=DEADLINE_S)
            logs = [(Path(temporary) / f"{rank}.log").read_text() for rank in range(ranks)]
            assert processes[0].returncode == 0, "\n".join(log[-3000:] for log in logs)
            if follower == "follow":
                assert [p.wait(60) for p in processes[1:]] == [0] * (ranks - 1), logs[-1][-3000:]
            assert not Path(temporary, "compiled").exists(), "DeepSpeed compiled an operator"
        finally:
            for process in processes:
                process.kill()
                process.wait()
    return [json.loads(line) for line in out.splitlines() if line.startswith(("[", "{", '"'))]


def main() -> None:
    from rl.learner.learner import Learner
    from tests.tiny import learner_recipe

    spec = json.loads(Path(sys.argv[1]).read_text())
    recipe = learner_recipe(
        spec["temperature"],
        spec["algorithm"],
        spec["critic"],
        spec["lora"],
        spec["sections"],
        **spec["learner"],
    )
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    learner = Learner(spec["model"], recipe, rank, world_size)
    if rank > 0:
        match spec["follower"]:
            case "follow":
                learner.follow()
            case "die":
                os._exit(3)
            case "sleep":
                signal.pause()  # until run_ranks kills it
            case "stall":  # takes the batch, then leaves rank 0 alone in DeepSpeed's collectives
                _, *numbers = learner._ranks.next_command()
                learner._ranks.share_batch(None, *numbers)
                signal.pause()
        return
    for name, *arguments in spec["steps"]:
        print(json.dumps(do(learner, name, arguments)), flush=True)
    learner.close()


def told(update: Any) -> dict[str, Any]:
    return {**update._asdict(), "critic": update.critic and update.critic._asdict()}


def do(learner: Any, name: str, arguments: list[Any]) -> Any:
    import torch

    from rl.checkpoint import save_checkpoint
    from rl.errors import UserError
    from tests.tiny import random_batch, routed

    try:
        match name:
            case "update":
                return told(learner.update(random_batch(*arguments)))
            case "routed":
                return told(learner.update(routed(random_batch(*arguments), arguments[0])))
            case "logprobs":
                return learner.logprobs(*arguments)
            case "digest":
                every = [
                    w.cpu().view(-1).view(torch.uint8).numpy().tobytes()
                    for _, w in learner.weights()
                ]
                return hashlib.sha256(b"".join(every)).hexdigest()
            case "weights":
                held = list(learner.weights())  # all at once: they must outlast the gathering
                return {name: w.double().norm().item() for name, w in held}
            case "save":
                return str(save_checkpoint(Path(arguments[0]), learner, keep=2))
            case "load":
                learner.load(Path(arguments[0]))
                return [learner.version]
            case "limit":
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (arguments[0], hard))
                return []
    except UserError as error:
        return {"error": type(error).__name__, "message": str(error)}
    raise ValueError(f"no step {name}")


if __name__ == "__main__":
    main()
