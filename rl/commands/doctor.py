"""`assay doctor`: a clear yes or no per item of the machine and the stack, in under a minute."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rl.children import ChildDied
from rl.errors import UserError
from rl.hardware import Hardware, find_hardware
from rl.launch import prepare, starting_policy
from rl.plan import make_plan
from rl.progress import Progress
from rl.recipe.config import Recipe, Rollouts
from rl.recipe.learner import Learner, Weights
from rl.recipe.sections import Alarms, Checkpoint, EmbeddedPolicy, Engine, EnvSpec, Evaluation
from rl.supervisor import Supervisor
from verifiers.sandbox import STRENGTHS, Sandbox, TooWeak

SPINE = ("torch", "vllm", "transformers", "trl", "deepspeed", "accelerate", "sympy", "pydantic")
START_DEADLINE_S = 180.0


# The items after the sandbox, in the order in which they become known.
IMPORTS = "imports"
POLICY = "a starting policy"
SERVER = "a vLLM server that answers"
VERIFIER = "a verifier that judges"
WEIGHTS = "a weight update that arrives"
NOTHING = "an update with learning rate 0 that changes nothing"
ITEMS = (IMPORTS, POLICY, SERVER, VERIFIER, WEIGHTS, NOTHING)

Item = tuple[str, bool, str]  # what, whether, detail


def doctor() -> int:
    """Check everything, print a line per item; 0 if a run will work here.

    Raises:
        Interrupted: the user did not want to wait.
    """
    hardware = find_hardware()
    with tempfile.TemporaryDirectory(prefix="assay-doctor-") as directory, Progress(0) as progress:
        progress.say(f"machine: {hardware}")
        what, ok, detail = sandbox_item()
        progress.say(_line(what, ok, detail))  # wanting, but not needed
        checklist = Checklist(ITEMS, progress)
        try:
            _stack(Path(directory), hardware, progress, checklist)
        except (UserError, ChildDied) as error:
            checklist.fail(str(error))
        progress.say(
            "all is well: bash launch.sh recipes/math_grpo.yaml" if checklist.good else "not ready"
        )
    return 0 if checklist.good else 1


class Checklist:
    """Items that become known one after the other, each shown at once."""

    def __init__(self, items: Sequence[str], progress: Progress) -> None:
        self._open = list(items)
        self._progress = progress
        self._all_ok = True

    @property
    def good(self) -> bool:
        """Whether every item is known, and well."""
        return self._all_ok and not self._open

    def answer(self, what: str, ok: bool, detail: str) -> None:
        self._open.remove(what)
        self._all_ok &= ok
        self._progress.say(_line(what, ok, detail))

    def fail(self, why: str) -> None:
        """The item that was being checked failed with an error, so no later one was reached."""
        self._all_ok = False
        for what in self._open:
            self._progress.say(_line(what, False, why))
            why = "not reached"
        self._open = []


def _line(what: str, ok: bool, detail: str) -> str:
    return f"{'yes' if ok else 'NO':3}  {what}: {detail}"


def _stack(directory: Path, hardware: Hardware, progress: Progress, checklist: Checklist) -> None:
    recipe = _recipe(hardware)
    plan = make_plan(recipe, hardware)
    recipe = plan.recipe
    with Supervisor(directory, progress) as supervisor:
        prepare(directory, recipe)
        names = ", ".join(SPINE)
        imports = supervisor.start("imports", [sys.executable, "-c", f"import {names}"], {})
        try:
            model = starting_policy(supervisor)
            urls, key = supervisor.serve(model, recipe, plan)
        finally:  # also where there is no policy: a library that is missing is the likely reason
            supervisor.finish(imports, "importing the stack", START_DEADLINE_S)
            checklist.answer(IMPORTS, True, names)
        checklist.answer(POLICY, True, model)
        supervisor.lead(
            ["doctor", str(directory), "--model", model, "--servers", *urls],
            environment={"ASSAY_API_KEY": key},
            gpus=plan.rank_gpus,
            doing="starting the learner",
            deadline_s=START_DEADLINE_S,
            on_item=lambda item: checklist.answer(item["what"], item["ok"], item["detail"]),
        )


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
        weights=Weights(max_logprob_diff=0.05 if gpus else 1e-4),
        evaluation=Evaluation(problems=4, samples=2),
        checkpoint=Checkpoint(),
        alarms=Alarms(broken_fraction=1.0),  # a verifier that fails is an item of its own
        trackers=[],
    )


def sandbox_item() -> Item:
    """The strongest isolation to be had for programs that a policy writes."""
    try:
        with Sandbox(require="landlock") as sandbox:
            strong = sandbox.strength == STRENGTHS[-1]
            wanted = "; code tasks want namespaces, here or at an `assay sandbox`: "
            hint = "" if strong else f"{wanted}docs/verification-code.md"
            return ("sandbox", strong, f"{sandbox.description}{hint}")
    except TooWeak as error:
        return ("sandbox", False, f"{error}. Mathematics needs none")
