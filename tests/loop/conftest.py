"""A real rollout server on a tiny random policy, shared by all tests that need one."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rl.children import Child, start, stop
from rl.policy.embedded import make_embedded
from rl.recipe.config import Recipe
from rl.recipe.sections import EmbeddedPolicy
from rl.sampling.server import server_command
from rl.supervisor import free_ports

API_KEY = "a key for tests"
SIZE = EmbeddedPolicy(layers=2, hidden=64, heads=2, kv_heads=1, intermediate=128, max_tokens=512)


@dataclass(frozen=True)
class Server:
    url: str
    api_key: str
    recipe: Recipe
    child: Child


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy of 0.1 M parameters with tokenizer and chat template, far from uniform."""
    from safetensors.torch import load_file, save_file

    directory = tmp_path_factory.mktemp("policy")
    make_embedded(directory, SIZE, seed=0)
    file = directory / "model.safetensors"
    weights = load_file(file)
    save_file({k: w * 4 if w.ndim > 1 else w for k, w in weights.items()}, file, {"format": "pt"})
    return directory


@pytest.fixture(scope="session")
def server_recipe(tiny_policy: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "model": str(tiny_policy),
            "envs": [{"name": "arithmetic"}],
            "rollout": {"deadline_s": 300},
            "engine": {
                "dtype": "float32",
                "kv_cache_gib": 0.5,
                "eager": True,
                "max_num_seqs": 64,
                "start_deadline_s": 540,
            },
        }
    )


@contextlib.contextmanager
def running_server(recipe: Recipe, run_dir: Path) -> Iterator[Server]:
    """A server that was started, not yet ready; ended afterwards with all it has started."""
    (port,) = free_ports(1, 0)
    argv, environment = server_command(recipe.model, recipe, port, API_KEY)
    child = start("server", argv, run_dir=run_dir, environment=environment)
    try:
        yield Server(f"http://127.0.0.1:{port}", API_KEY, recipe, child)
    finally:
        stop([child], run_dir=run_dir)


@pytest.fixture(scope="session")
def server(server_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Shared: whoever publishes weights brings the first ones back."""
    with running_server(server_recipe, tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def fresh_server(server_recipe: Recipe, tmp_path: Path) -> Iterator[Server]:
    """One for this test alone, which may break it."""
    with running_server(server_recipe, tmp_path) as started:
        yield started
