"""The starting policy: made, warm-started and found again, with real files and real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rl.errors import UserError
from rl.policy.sft import demonstrations
from rl.policy.starting import Policy, starting_policy
from rl.recipe.config import Recipe
from rl.recipe.sections import Sft

ROOT = Path(__file__).parents[2]
DEADLINE_S = 300

TINY: dict[str, Any] = {
    "model": "embedded",
    "embedded": {"layers": 1, "hidden": 32, "heads": 1, "kv_heads": 1, "intermediate": 32},
    "envs": [{"name": "arithmetic", "digits": 2}],
    "learner": {"dtype": "float32", "threads": 1},
}
SFT = {"demonstrations": 64, "corrupted_fraction": 0.5, "lr": 1e-3, "batch_tokens": 512}
WARM = {**TINY, "sft": SFT}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(recipe: dict[str, Any], said: list[str] | None = None) -> Policy:
    return starting_policy(Recipe.model_validate(recipe), (said if said is not None else []).append)


def weights(policy: Policy) -> bytes:
    return (Path(policy.path) / "model.safetensors").read_bytes()


class Making:
    """`python -m rl.policy.starting` in a process of its own, as the supervisor starts it."""

    def __init__(self, recipe: dict[str, Any], directory: Path, **environment: str) -> None:
        directory.mkdir(exist_ok=True)
        self.out = directory / "policy.json"
        (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        argv = [sys.executable, "-m", "rl.policy.starting", "--out", str(self.out)]
        self.process = subprocess.Popen(
            [*argv, "--recipe", str(directory / "recipe.yaml")],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self) -> str:
        try:
            _, errors = self.process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return errors

    def made(self) -> dict[str, Any]:
        errors = self._ended()
        assert self.process.returncode == 0, errors
        return json.loads(self.out.read_text())

    def refused(self) -> str:
        """The last line it leaves with: the supervisor shows exactly that."""
        errors = self._ended()
        assert self.process.returncode == 2, errors
        assert "Traceback" not in errors
        assert not self.out.exists()
        return errors.splitlines()[-1]


@pytest.mark.slow
def test_the_same_recipe_makes_the_same_policy_and_another_seed_another(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = make(WARM), make(WARM)
    assert (first.cached, again.cached) == (False, True)
    assert first.path == again.path
    other_seed, untrained = make({**WARM, "seed": 1}), make(TINY)
    monkeypatch.setenv("ASSAY_CACHE", str(cache / "elsewhere"))
    made_elsewhere = make(WARM)
    assert made_elsewhere.path != first.path
    assert weights(made_elsewhere) == weights(first)
    assert len({weights(policy) for policy in (first, other_seed, untrained)}) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_the_policy_loads_with_transformers_as_it_was_counted() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    made = make(WARM)
    model = AutoModelForCausalLM.from_pretrained(made.path)
    tokenizer = AutoTokenizer.from_pretrained(made.path)
    assert model.num_parameters() == made.n_parameters
    assert {str(parameter.dtype) for parameter in model.parameters()} == {"torch.float32"}
    assert model.config.vocab_size == len(tokenizer)
    ending = GenerationConfig.from_pretrained(made.path).eos_token_id
    assert ending == tokenizer.eos_token_id
    assert tokenizer.chat_template
    assert [path for path in Path(made.path).iterdir() if path.is_dir()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_the_warm_start_learns_and_says_how_far_it_is() -> None:
    said: list[str] = []
    make({**TINY, "sft": {**SFT, "demonstrations": 4000, "lr": 1e-2}}, said)
    assert said[0] == "making the embedded policy"
    assert said[1].startswith("warm start: 4,000 worked solutions, ")
    assert said[-1].startswith("warm start: update ")
    loss = float(said[-1].split("loss ")[1].split(",")[0])
    assert loss < 1.5, "from ln 263 = 5.6 at the start"


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_two_processes_at_once_make_it_once(tmp_path: Path) -> None:
    both = [Making(TINY, tmp_path / name) for name in ("one", "other")]
    made = [making.made() for making in both]
    assert sorted(policy["cached"] for policy in made) == [False, True]
    assert made[0]["path"] == made[1]["path"]
    assert made[0]["n_parameters"] == made[1]["n_parameters"] > 10_000


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_what_a_killed_process_left_half_made_is_not_taken_for_a_policy() -> None:
    whole = make(TINY)
    path = Path(whole.path)
    half = path.with_name(f"{path.name}.tmp")
    path.rename(half)
    (half / "model.safetensors").write_bytes(b"half")
    again = make(TINY)
    assert again == whole
    assert not half.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_local_model_is_warm_started_from_a_file_of_ones_own(tmp_path: Path) -> None:
    cold = make(TINY)
    recipe = {**TINY, "model": cold.path}
    assert make(recipe) == Policy(cold.path, True, cold.n_parameters)
    rows: list[dict[str, Any]] = [
        {"prompt": f"{n}?", "response": f"Answer: {n}"} for n in range(40)
    ]
    rows.append({"prompt": [{"role": "user", "content": "1?"}], "response": "Answer: 1"})
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    warm = make({**recipe, "sft": {**SFT, "data": str(data)}})
    assert weights(warm) != weights(cold)
    data.write_text(data.read_text() + json.dumps(rows[0]) + "\n")
    assert make({**recipe, "sft": {**SFT, "data": str(data)}}).path != warm.path


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"prompt": "a", "response": "b"}\n{"prompt": "a"}\n', "row 2: needs the keys prompt and"),
        ('{"prompt": 5, "response": "b"}\n', "row 1: prompt must be a text or a list of turns"),
        ('{"prompt": "a", "response": 5}\n', "row 1: response must be a text, found 5"),
        ('{"prompt": [{"role": "user"}], "response": "b"}\n', "every turn of prompt needs role"),
        ('{"prompt": "a", \n', "line 1 is not JSON"),
        ("[1]\n", "needs the keys prompt and response, found: list"),
        ("\n", "has no rows"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_demonstrations_file_is_refused_with_the_place(
    tmp_path: Path, rows: str | None, message: str
) -> None:
    data = tmp_path / "rows.jsonl"
    if rows is not None:
        data.write_text(rows)
    with pytest.raises(UserError, match=r"sft\.data '") as refused:
        demonstrations(Recipe.model_validate(TINY), Sft(data=str(data)))
    assert str(data) in str(refused.value)
    assert message in str(refused.value)


def test_half_of_the_demonstrations_carry_a_slip_and_none_is_a_held_out_task() -> None:
    recipe = Recipe.model_validate({**TINY, "envs": [{"name": "arithmetic"}]})
    found = demonstrations(recipe, Sft(demonstrations=1000, corrupted_fraction=0.5))
    wrong = sum(f"{{{shown.task.truth}}}" not in shown.response for shown in found)
    assert 430 < wrong < 570  # 4.4 standard deviations
    assert all(int(shown.task.key[:8], 16) >= 0.1 * 2**32 for shown in found)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("model", ["no/such/model", "/no/such/model", "./nothing", "qwen"])
def test_a_model_that_does_not_exist_is_named_with_what_to_give(model: str) -> None:
    with pytest.raises(UserError) as refused:
        make({**TINY, "model": model})
    said = f"model '{model}' does not exist: give `embedded`, a directory in Hugging Face format"
    assert str(refused.value).startswith(said)


def test_a_directory_that_is_no_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"is a directory without tokenizer_config\.json: give"):
        make({**TINY, "model": str(tmp_path)})


@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_model_without_a_network_is_one_sentence(tmp_path: Path, offline: bool) -> None:
    nobody = "http://127.0.0.1:9"  # nothing listens on the discard port
    environment = {"HF_HUB_OFFLINE": "1"} if offline else {"HF_HUB_OFFLINE": "0"}
    recipe = {**TINY, "model": "some-owner/some-model"}
    making = Making(recipe, tmp_path, HF_HOME=str(tmp_path), HF_ENDPOINT=nobody, **environment)
    said = making.refused()
    assert said.startswith("model 'some-owner/some-model' is not a directory here and the hub")


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_more_than_three_million_parameters_are_refused() -> None:
    large = {"layers": 4, "hidden": 256, "heads": 4, "kv_heads": 4, "intermediate": 1024}
    with pytest.raises(UserError, match=r"at most 3,000,000 are meant: lower embedded\.layers"):
        make({**TINY, "embedded": large})


def test_a_wrong_environment_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = {**WARM, "envs": [{"name": "arithmetic", "digit": 2, "term": 3}]}
    said = Making(wrong, tmp_path, ASSAY_CACHE=str(tmp_path)).refused()
    assert "unknown option 'digit': did you mean 'digits'?" in said
    assert "unknown option 'term': did you mean 'terms'?" in said
