"""`assay new-env NAME`: an environment that works, its test and its recipe, to start from."""

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from rl.errors import UserError

IMPORTED = ("task", "env", "verdict")  # whose classes the file uses

ENVIRONMENT = '''\
"""Doubling whole numbers. Change the tasks, how they are judged and solved into your own."""

from dataclasses import dataclass
from random import Random

from envs.base import Env, Task, unguessable
from verifiers.math import verify_math
from verifiers.verdict import Verdict


@dataclass(frozen=True)
class CLASS(Env):
    largest: int = 999  # options of the recipe are the fields of the class

    def task(self, rng: Random) -> Task:
        n = rng.randint(1, self.largest)
        return Task(prompt=f"2*{n}=?", truth=str(2 * n))

    def verify(self, task: Task, response: str) -> Verdict:
        return verify_math(task.truth, response)

    def solve(self, task: Task) -> str:
        return f"\\\\boxed{{{task.truth}}}"

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        return f"\\\\boxed{{{int(task.truth) + (rng.choice((-2, 2)) if corrupt else 0)}}}"

    def canary(self, rng: Random) -> Task:
        return Task(prompt="2*=?", truth=unguessable(rng))
'''

TEST = '''\
"""What NAME.py must hold to. `assay attack NAME.py:CLASS` looks much closer."""

from pathlib import Path

from envs.contract import check_env
from NAME import CLASS
from rl.cli import main


def test_it_keeps_the_contract() -> None:
    check_env(CLASS(), 100)


def test_the_attack_suite_admits_it() -> None:
    here = Path(__file__).with_name("NAME.py")
    assert main(["attack", f"{here}:CLASS", "--tasks", "10"]) == 0
'''

RECIPE = """\
# GRPO on NAME.py. Every key: docs/recipes.md.
#
#   .venv/bin/assay attack NAME.yaml               can it be cheated?
#   .venv/bin/assay train NAME.yaml --dry-run      what would run
#   .venv/bin/assay train NAME.yaml                run it

envs:
  - { name: "NAME.py:CLASS", largest: 999 }
groups_per_step: 32 # tasks per update
group_size: 8 # answers per task
evaluation: { problems: 64, samples: 8 }

profiles:
  # Two cores and minutes: a tiny policy made on first use, that imitates worked solutions first.
  # Half of them carry a slip, which leaves it something to learn.
  cpu:
    model: embedded
    embedded: { layers: 2, hidden: 96, heads: 3, kv_heads: 3, intermediate: 256, max_tokens: 128 }
    sft: { demonstrations: 16000, corrupted_fraction: 0.5, lr: 3e-3, batch_tokens: 1024 }
    steps: 60
    rollout: { max_new_tokens: 24 }
    engine: { servers: 2, dtype: float32, kv_cache_gib: 0.5, eager: true }
    learner: { dtype: float32, lr: 1.2e-4, warmup_steps: 10 }

  gpu:
    model: Qwen/Qwen2.5-1.5B-Instruct
    steps: 100
    rollout: { max_new_tokens: 512 }
    learner: { lr: 1e-6, activation_checkpointing: true }
    weights: { max_logprob_diff: 0.05 }
"""


def new_env(name: str) -> int:
    """Write NAME.py, test_NAME.py and NAME.yaml into the current directory.

    Raises:
        UserError: the name is no module's name or a taken one, or one of the files exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"'{name}' cannot be a module's name: take lower-case letters, digits and underscores, "
            "a letter first, such as 'doubling'"
        )
    contents = {f"{name}.py": ENVIRONMENT, f"test_{name}.py": TEST, f"{name}.yaml": RECIPE}
    existing = [file for file in contents if Path(file).exists()]
    if existing:
        raise UserError(f"{', '.join(existing)}: already here; choose another name or directory")
    if keyword.iskeyword(name) or name in IMPORTED or find_spec(name) is not None:
        raise UserError(
            f"'{name}' is taken, by Python, an installed package or what the file imports: choose "
            "another name"
        )
    class_name = "".join(part.capitalize() for part in name.split("_"))
    for file, text in contents.items():
        Path(file).write_text(text.replace("NAME", name).replace("CLASS", class_name))
    print(f"{name}.py         the environment: tasks, how they are judged, how they are solved")
    print(f"test_{name}.py    what it must hold to:  {beside('pytest')} test_{name}.py")
    print(f"{name}.yaml       a recipe that trains on it")
    assay = beside("assay")
    print(f"next: {assay} attack {name}.yaml; {assay} train {name}.yaml")
    return 0


def beside(program: str) -> str:
    """A program of this installation, which is usually not on the shell's path."""
    found = Path(sys.executable).with_name(program)
    return str(found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found)
