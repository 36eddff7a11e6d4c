"""The command line of a rollout server: vLLM's own OpenAI server, on loopback, with RL endpoints.

Knows neither torch nor vLLM: the supervisor calls it.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from rl.hardware import installed_for
from rl.recipe.config import Recipe
from rl.sampling.routes import replayed_experts

SERVED_NAME = "policy"
PLUGIN = "assay_weights"  # the entry point of rl/weights/plugin.py in pyproject.toml


def server_command(
    model: str, recipe: Recipe, port: int, api_key: str
) -> tuple[list[str], dict[str, str]]:
    """What to start, and what to add to its environment.

    Args:
        model: a hub id or a local directory in Hugging Face format.
        port: on 127.0.0.1; a server that finds it in use ends with exit code 1.
        api_key: goes into the environment, because other users of the machine can see arguments.

    Returns:
        argv and environment variables.

    Raises:
        UserError: the recipe replays the experts of a model whose experts cannot be replayed.
    """
    engine = recipe.engine
    options: dict[str, str | int | float | bool] = {
        "model": model,
        "served-model-name": SERVED_NAME,
        "host": "127.0.0.1",
        "port": port,
        "seed": recipe.seed % 2**31,
        "dtype": engine.dtype,
        # While sampling runs ahead all of them are taken: one more for the proof of an update.
        "max-num-seqs": engine.max_num_seqs + (recipe.max_staleness > 0),
        "gpu-memory-utilization": engine.gpu_memory_utilization,
        # POST /inference/v1/generate: tokens in, tokens out, weights version per span.
        "enable-scale-out": True,
        # Log-probabilities of the distribution really sampled from, and no sampling parameters
        # other than those of the recipe. (The model's end-of-answer tokens count all the same.)
        "logprobs-mode": "processed_logprobs",
        "generation-config": "vllm",
        "weight-transfer-config": json.dumps({"backend": recipe.weights.backend}),
        # A prompt in parts would crash vLLM 0.32 on CPUs where requests have seeds ("CPU Generator
        # does not use offset"). A prefix from the cache would change bits from call to call.
        "enable-chunked-prefill": False,
        "enable-prefix-caching": False,
        "disable-log-stats": True,
        "disable-uvicorn-access-log": True,
        "uvicorn-log-level": "warning",
    }
    if engine.max_model_tokens is not None:
        options["max-model-len"] = engine.max_model_tokens
    if engine.kv_cache_gib is not None:
        options["kv-cache-memory-bytes"] = int(engine.kv_cache_gib * 2**30)
    if engine.eager:
        options["enforce-eager"] = True
    if replayed_experts(model, recipe) is not None:
        options |= _telling_experts()
    # Later arguments win, so that a recipe can overrule every choice made here.
    argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    argv += _arguments(options) + _arguments(engine.extra_args)
    environment = _environment(model, api_key)
    if engine.eager:
        # vLLM compiles the counting of log-probability ranks even then, with a C++ compiler.
        environment["TORCHDYNAMO_DISABLE"] = "1"
    return argv, environment


def _telling_experts() -> dict[str, str | int | float | bool]:
    """What makes a server say which experts it chose."""
    if installed_for(version("torch")) == "gpu":
        # vLLM takes the one only with the other; engine.py asks every time not to use it.
        return {"enable-return-routed-experts": True, "enable-prefix-caching": True}
    return {
        "worker-cls": "rl.sampling.routes_worker.RoutesWorker",
        "scheduler-cls": "rl.sampling.routes_worker.RoutesScheduler",
        "async-scheduling": False,
    }


def _arguments(options: dict[str, str | int | float | bool]) -> list[str]:
    found = []
    for name, value in options.items():
        if isinstance(value, bool):
            found.append(f"--{name}" if value else f"--no-{name}")
        else:
            found += [f"--{name}", str(value)]
    return found


def _environment(model: str, api_key: str) -> dict[str, str]:
    plugins = os.environ.get("VLLM_PLUGINS")
    environment = {
        "VLLM_API_KEY": api_key,
        "VLLM_SERVER_DEV_MODE": "1",  # the RL endpoints
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_PLUGINS": f"{plugins},{PLUGIN}" if plugins else PLUGIN,
        # Else vLLM runs the model on CPUs in a process of its own, which waits by spinning: that
        # costs more than a small policy computes. On GPUs it is the engine's process anyway.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # One thread per server: with two, sums depend on who else is in the batch, and the same
        # seeds no longer give the same answers. More servers use more cores.
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if Path(model).is_dir():
        environment["HF_HUB_OFFLINE"] = "1"  # no look-up of names that cannot exist there
    return environment
