import re
from pathlib import Path

import pytest

from rl.load import RecipeError, dump, load_recipe, read_resolved

RECIPE = """\
model: embedded
envs:
  - name: arithmetic
learner:
  lr: 1e-3
profiles:
  cpu:
    steps: 3
    learner: {ranks: 1}
  gpu:
    model: some/model
    steps: 9
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_the_profile_is_laid_over_the_recipe_and_sections_merge(write):
    cpu = load_recipe(write(RECIPE), profile="cpu")
    assert (cpu.model, cpu.steps, cpu.learner.lr, cpu.learner.ranks) == ("embedded", 3, 1e-3, 1)
    gpu = load_recipe(write(RECIPE), profile="gpu")
    assert (gpu.model, gpu.steps) == ("some/model", 9)


def test_profile_on_the_command_line_wins_over_the_hardware(write):
    assert load_recipe(write(RECIPE), ["profile=cpu"], profile="gpu").steps == 3


def test_an_override_wins_over_the_profile_and_reaches_into_lists(write):
    recipe = load_recipe(write(RECIPE), ["steps=5", "envs.0.weight=2.5"], profile="cpu")
    assert (recipe.steps, recipe.envs[0].weight) == (5, 2.5)


def test_an_exponent_without_a_dot_is_a_number(write):
    # PyYAML alone reads 2e-6 as a string.
    assert load_recipe(write(RECIPE), ["learner.lr=2e-6"], profile="cpu").learner.lr == 2e-6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learner.clip=1", "override 'learner.clip=1': learner.clip: unknown key; allowed here:"),
        ("lerner.lr=1", "lerner: unknown key; did you mean 'learner'?"),
        ("algorithm.clip_hihg=0.3", "unknown key; did you mean 'clip_high'?"),
        ("steps=many", "steps: input should be a valid integer (found 'many')"),
        ("steps=true", "steps: input should be a valid integer (found True)"),
        ("steps=2.5", "steps: input should be a valid integer"),
        ("steps='5'", "steps: input should be a valid integer (found '5')"),
        ("learner.zero_stage=4", "learner.zero_stage: input should be less than or equal to 3"),
        ("learner.lr=.inf", "learner.lr: input should be a finite number"),
        ("rollout.temperature=0", "rollout.temperature: input should be greater than 0 (found 0)"),
        ("weights.transport=ftp", "weights.transport: input should be 'file' or 'nccl'"),
        ("group_size=1", "group_size must be at least 2"),
        ("embedded.hidden=17", "hidden must be a multiple of heads"),
        ("steps.more=1", "'more' lies inside 3, which is not a section"),
        ("envs.7.weight=1", "'7' is no index of a list of 1"),
        ("steps", "override 'steps': write it as key.path=value"),
        ("steps=[", "the value is not valid YAML"),
        ("profile=tpu", "has no such profile (it has: cpu, gpu)"),
        ("envs.0.name=arithmetics", "arithmetic"),
        ("envs.0.digitz=3", "digitz"),
        ("evaluation.envs=[{name: nowhere}]", "evaluation.envs.0"),
    ],
)
def test_a_wrong_override_is_explained(write, override, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(write(RECIPE), [override], profile="cpu")


def test_every_mistake_is_reported_at_its_line_also_in_the_profile_not_chosen(write):
    text = RECIPE.replace("ranks: 1", "rank: 1").replace("steps: 9", "stepz: 9")
    path = write(text.replace("lr: 1e-3", "lr: -1"))
    with pytest.raises(RecipeError) as error:
        load_recipe(path, profile="cpu")
    assert sorted(str(error.value).splitlines()) == [
        f"{path}:12: stepz: unknown key; did you mean 'steps'?",
        f"{path}:5: learner.lr: input should be greater than or equal to 0 (found -1)",
        f"{path}:9: learner.rank: unknown key; did you mean 'ranks'?",
    ]


def test_a_key_set_twice_is_an_error(write):
    # PyYAML keeps the last one without a word.
    path = write("model: a\nenvs: [{name: arithmetic}]\nmodel: b\n")
    with pytest.raises(RecipeError, match=r":3: model: already set at .*:1"):
        load_recipe(path, profile="cpu")


def test_a_missing_file_names_the_nearest_one(write):
    path = write(RECIPE)
    with pytest.raises(RecipeError, match=r"No such file.*did you mean .*recipe.yaml"):
        load_recipe(path.with_name("recipes.yaml"), profile="cpu")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "1: 2\n", "\x00"])
def test_what_is_no_recipe_is_refused(write, text):
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        load_recipe(write(text), profile="cpu")


def test_a_machine_without_a_profile_for_it_is_told_which_there_are(write):
    with pytest.raises(RecipeError, match=r"asks for the profile 'tpu'.*it has: cpu, gpu"):
        load_recipe(write(RECIPE), profile="tpu")


def test_the_resolved_recipe_reads_back_the_same(write, tmp_path):
    recipe = load_recipe(write(RECIPE), ["steps=5"], profile="cpu")
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump(recipe))
    assert read_resolved(resolved) == recipe


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_loads(path, profile):
    load_recipe(path, profile=profile)
