import re
from pathlib import Path

import pytest

from rl.recipe.load import RecipeError, dump, load_recipe, make_recipe, read_resolved

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
        ("algorithm.clip_hihg=0.3", "unknown key; did you mean 'algorithm.clip_high'?"),
        ("algorithm.preset=gropo", "algorithm.preset: input should be 'grpo', 'dr_grpo', 'dapo'"),
        ("algorithm.preset=[dapo]", "algorithm.preset: input should be 'grpo'"),
        ("algorithm.loss=3", "algorithm.loss: input should be 'clip'"),
        ("algorithm.advantage=null", "algorithm.advantage: input should be 'group_mean'"),
        ("algorithm.token_band=[0.5]", "algorithm.token_band: too short, at least 2 wanted"),
        (
            "algorithm.weight_max=2",
            "override 'algorithm.weight_max=2': algorithm.weight_max (2.0) belongs to "
            "algorithm.loss reinforce and has no meaning in 'clip'; its ratio is in the loss",
        ),
        ("steps=many", "steps: input should be a valid integer (found 'many')"),
        ("steps=true", "steps: input should be a valid integer (found True)"),
        ("steps=2.5", "steps: input should be a valid integer"),
        ("steps='5'", "steps: input should be a valid integer (found '5')"),
        ("learner.zero_stage=4", "learner.zero_stage: input should be less than or equal to 3"),
        ("learner.lr=.inf", "learner.lr: input should be a finite number"),
        (
            "rollout.temperature=0.005",
            "input should be greater than or equal to 0.01 (found 0.005)",
        ),
        ("evaluation.temperature=0.005", "evaluation.temperature must be 0 or at least 0.01"),
        ("reward.correct=.inf", "reward.correct: input should be a finite number (found inf)"),
        ("reward.partial=.nan", "reward.partial: input should be 'score' or a finite number"),
        ("reward.partial=half", "input should be 'score' or a valid number (found 'half')"),
        ("learner.betas=[1.0, 1.0]", "learner.betas: input should be less than 1 (found 1.0)"),
        ("seed=99999999999999", "seed: input should be less than 4294967296"),
        ("verify.memory_mib=1", "input should be greater than or equal to 256 (found 1)"),
        ("learner=5", "learner: must be a section, of keys and their values (found 5)"),
        ("envs=[]", "override 'envs=[]': envs: too short, at least 1 wanted (found [])"),
        ("weights.transport=ftp", "weights.transport: input should be 'auto', 'file' or 'nccl'"),
        (
            "group_size=1",
            "override 'group_size=1': group_size 1 leaves algorithm.advantage 'group_std' without",
        ),
        ("embedded.hidden=20", "embedded.hidden: input should be a multiple of 8 (found 20)"),
        (
            "embedded.kv_heads=3",
            "override 'embedded.kv_heads=3': embedded.heads (4) must be a multiple of",
        ),
        (
            "evaluation.temperature=0",
            "override 'evaluation.temperature=0': evaluation.temperature 0 always gives the same",
        ),
        (
            "rollout.max_new_tokens=4096",
            "override 'rollout.max_new_tokens=4096': rollout.max_new_tokens (4096) must leave room "
            "for a prompt in embedded.max_tokens (2048)",
        ),
        (
            "engine.max_model_tokens=10",
            "override 'engine.max_model_tokens=10': rollout.max_new_tokens (1024) must leave room "
            "for a prompt in engine.max_model_tokens (10)",
        ),
        (
            "learner.sequence_parallel=3",
            "override 'learner.sequence_parallel=3': learner.sequence_parallel (3) must divide "
            "learner.ranks (1)",
        ),
        ("learner.logits_mib=0", "learner.logits_mib: input should be greater than or equal to 1"),
        ("engine.max_model_tokens=4096", "must not exceed embedded.max_tokens (2048)"),
        ("steps.more=1", "'more' lies inside 3, which is not a section"),
        ("envs.7.weight=1", "'7' is no index of a list of 1"),
        ("steps", "override 'steps': write it as key.path=value"),
        ("steps=[", "the value is not valid YAML"),
        ("profile=tpu", "has no such profile (it has: cpu, gpu)"),
        ("envs.0.name=arithmetics", "override 'envs.0.name=arithmetics': envs.0: unknown env"),
        (
            "envs.0.digitz=3",
            "override 'envs.0.digitz=3': envs.0: environment 'arithmetic': unk",
        ),
        (
            "envs.0.digits=99",
            "override 'envs.0.digits=99': envs.0: environment 'arithmetic': d",
        ),
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
        f"{path}:9: learner.rank: unknown key; did you mean 'learner.ranks'?",
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


def test_a_missing_file_is_not_likened_to_any_other_yaml_or_to_itself(write):
    path = write(RECIPE)
    path.with_name("bin.yaml").touch()
    with pytest.raises(RecipeError) as error:
        load_recipe(path.with_name("missing.yaml"), profile="cpu")
    assert "did you mean" not in str(error.value)
    folder = path.with_name("folder.yaml")
    folder.mkdir()
    with pytest.raises(RecipeError, match=r"Is a directory$"):
        load_recipe(folder, profile="cpu")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "this file is empty"),
        ("- a\n- b\n", "this file holds a list"),
        ("5\n", "this file holds a single value"),
        ("1: 2\n", "the key 1 is not text"),
        ("a: [", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("profiles: {cpu: }\n", ":1: profiles.cpu: must map keys to values (found None)"),
        ("profiles: {cpu: [1]}\n", ":1: profiles.cpu: must map keys to values (found [1])"),
        ("profiles: 5\n", ":1: profiles: must map a name to keys"),
    ],
)
def test_what_is_no_recipe_is_refused_with_what_it_is_instead(write, text, reason):
    with pytest.raises(RecipeError, match=re.escape(reason)):
        load_recipe(write(text), profile="cpu")


@pytest.mark.parametrize("name", ["2026-13-45", "2026-11-22", "1e3", "0x10", "a: [b", "*x", "true"])
def test_text_in_an_override_is_taken_as_it_stands(write, name):
    assert load_recipe(write(RECIPE), [f"run_dir={name}"], profile="cpu").run_dir == name


@pytest.mark.parametrize(
    ("override", "run_dir"),
    [
        ("run_dir=null", None),
        ("run_dir=", None),
        ('run_dir="null"', "null"),
        ("run_dir='1e3'", "1e3"),
    ],
)
def test_text_may_be_null_or_quoted(write, override, run_dir):
    assert load_recipe(write(RECIPE), [override], profile="cpu").run_dir == run_dir


def test_a_date_is_text(write):
    path = write(RECIPE + "run_dir: 2026-11-22\n")
    assert load_recipe(path, profile="cpu").run_dir == "2026-11-22"
    with pytest.raises(RecipeError, match="steps: input should be a valid integer"):
        load_recipe(path, ["steps=2026-13-45"], profile="cpu")


def test_an_override_need_not_fit_the_profile_that_is_not_chosen(write):
    path = write(RECIPE + "    envs: [{name: dataset, path: own/data}]\n")
    changed = load_recipe(path, ["envs.0.digits=4", "sft.epochs=2"], profile="cpu")
    assert changed.envs[0].options == {"digits": 4}


def test_mistakes_of_schema_and_environments_are_told_together(write):
    path = write(RECIPE.replace("name: arithmetic", "name: arithmetic\n    digitz: 3"))
    with pytest.raises(RecipeError) as error:
        load_recipe(path, ["learner.lr=-1", "evaluation.envs=[{name: nowhere}]"], profile="cpu")
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "learner.lr: input should be greater" in lines[0]
    assert f"{path}:4: envs.0: environment 'arithmetic': unknown option 'digitz'" in lines[1]
    assert "evaluation.envs.0: unknown environment 'nowhere'" in lines[2]


def test_all_keys_that_do_not_go_together_are_told_at_once(write):
    path = write(RECIPE)
    with pytest.raises(RecipeError) as error:
        load_recipe(path, ["critic={}", "evaluation.chunks=4", "steps=99"], profile="cpu")
    told = str(error.value).splitlines()
    assert len(told) == 2
    assert told[0].startswith("override 'critic={}': critic: its values are used by")
    assert told[1].startswith("override 'evaluation.chunks=4': evaluation.chunks (4) is about")


def test_a_warm_start_on_an_environment_without_worked_solutions_is_refused(write):
    own = "envs=[{name: dataset, path: my/data.jsonl}]"
    path = write(RECIPE + "sft: {epochs: 2}\n")
    assert load_recipe(path, profile="cpu").sft is not None
    with pytest.raises(RecipeError) as error:
        load_recipe(path, [own], profile="cpu")
    assert str(error.value) == (
        f"override {own!r}: envs.0: environment 'dataset' has no worked solutions to imitate "
        f"(`demonstrate`), and sft wants some ({path}:13): set sft=null, or sft.data=FILE with "
        "JSON lines of prompt and response"
    )
    assert load_recipe(path, [own, "sft=null"], profile="cpu").sft is None
    assert load_recipe(path, [own, "sft.data=rows.jsonl"], profile="cpu").sft is not None


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


def test_a_run_in_place_of_a_recipe_and_a_preset_in_place_of_a_section_are_told(tmp_path):
    (tmp_path / "recipe.yaml").write_text("{}")
    with pytest.raises(RecipeError, match=r"is a run, not a recipe: the command that began it"):
        load_recipe(tmp_path, [], profile="cpu")
    recipe = {"model": "embedded", "envs": [{"name": "arithmetic"}]}
    with pytest.raises(RecipeError, match=r"did you mean algorithm\.preset\?"):
        make_recipe(recipe, ["algorithm=grpo"], "here")
