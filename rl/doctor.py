"""`assay doctor`: a clear yes or no per item of the machine and the stack, in under a minute."""

import sys
import tempfile
from pathlib import Path

from rl.children import ChildDied
from rl.config import (
    Checkpoint,
    EmbeddedPolicy,
    Engine,
    EnvSpec,
    Evaluation,
    Learner,
    Recipe,
    Rollouts,
    Weights,
)
from rl.errors import UserError
from rl.hardware import Hardware, find_hardware
from rl.launch import prepare, starting_policy
from rl.plan import make_plan
from rl.progress import Progress
from rl.supervisor import Supervisor
from verifiers.sandbox import STRENGTHS, Sandbox, TooWeak

SPINE = ("torch", "vllm", "transformers", "trl", "deepspeed", "accelerate", "sympy", "pydantic")
START_DEADLINE_S = 180.0


def doctor() -> int:
    """Check everything, print a line per item; 0 if a run will work here."""
    hardware = find_hardware()
    print(f"machine: {hardware}")
    good = [_say(sandbox_item(), needed=False)]
    with tempfile.TemporaryDirectory(prefix="assay-doctor-") as directory:
        try:
            items = _stack(Path(directory), hardware)
        except (UserError, ChildDied) as error:
            items = [("the stack works together", False, str(error))]
        good += [_say(item) for item in items]
    print("all is well: bash launch.sh recipes/math_grpo.yaml" if all(good) else "not ready")
    return 0 if all(good) else 1


Item = tuple[str, bool, str]  # what, whether, detail


def _say(item: Item, *, needed: bool = True) -> bool:
    what, ok, detail = item
    print(f"{'yes' if ok else 'NO ':3}  {what}: {detail}", flush=True)
    return ok or not needed


def _stack(directory: Path, hardware: Hardware) -> list[Item]:
    recipe = _recipe(hardware)
    plan = make_plan(recipe, hardware)
    with Progress(0) as progress, Supervisor(directory, progress) as supervisor:
        prepare(directory, recipe)
        names = ", ".join(SPINE)
        imports = supervisor.start("imports", [sys.executable, "-c", f"import {names}"], {})
        model = starting_policy(supervisor)
        urls, key = supervisor.serve(model, recipe, plan)
        supervisor.finish(imports, "importing the stack", START_DEADLINE_S)
        found = supervisor.lead(
            ["doctor", str(directory), "--model", model, "--servers", *urls],
            environment={"ASSAY_API_KEY": key},
            gpus=plan.rank_gpus,
            doing="starting the learner",
            deadline_s=START_DEADLINE_S,
        )
    items = [(what, item["ok"], item["detail"]) for what, item in found.items()]
    return [("imports", True, names), *items]


def _recipe(hardware: Hardware) -> Recipe:
    """Everything real, everything small: an untrained policy that samples nonsense."""
    gpus = len(hardware.gpus)
    dtype = "bfloat16" if gpus else "float32"
    return Recipe(
        model="embedded",
        embedded=EmbeddedPolicy(layers=2, hidden=64, heads=2, kv_heads=2, max_tokens=256),
        envs=[EnvSpec(name="arithmetic")],
        steps=2,
        groups_per_step=4,
        group_size=4,
        rollout=Rollouts(max_new_tokens=16, deadline_s=60),
        engine=Engine(
            dtype=dtype,
            eager=True,
            kv_cache_gib=None if gpus else 0.25,
            start_deadline_s=START_DEADLINE_S,
            update_deadline_s=60,
        ),
        learner=Learner(dtype=dtype, lr=0.0),
        weights=Weights(
            transport="nccl" if gpus >= 2 else "file", max_logprob_diff=0.05 if gpus else 1e-4
        ),
        evaluation=Evaluation(problems=4, samples=2),
        checkpoint=Checkpoint(),
        trackers=[],
    )


def sandbox_item() -> Item:
    """The strongest isolation to be had for programs that a policy writes."""
    try:
        with Sandbox(require="landlock") as sandbox:
            strong = sandbox.strength == STRENGTHS[-1]
            hint = "" if strong else "; code tasks want namespaces, see docs/verification.md"
            return ("sandbox", strong, f"{sandbox.description}{hint}")
    except TooWeak as error:
        return ("sandbox", False, f"{error}. Mathematics needs none")
