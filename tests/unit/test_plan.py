import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from rl.errors import UserError
from rl.hardware import Gpu, Hardware
from rl.plan import make_plan, n_parameters
from rl.recipe.config import Recipe
from rl.recipe.load import load_recipe
from rl.recipe.sections import EnvSpec

CPU = Hardware(cores=2, memory_gib=24, gpus=(), kind="cpu")


def gpus(*ids):
    found = tuple(Gpu(name, "Some GPU") for name in ids)
    return Hardware(cores=16, memory_gib=128, gpus=found, kind="gpu")


ONE, FOUR = gpus("0"), gpus("0", "1", "2", "3")


def recipe(**changes):
    return Recipe.model_validate(
        {"model": "embedded", "envs": [EnvSpec(name="arithmetic")], **changes}
    )


def test_servers_and_ranks_get_gpus_of_their_own_where_there_are_enough():
    plan = make_plan(recipe(engine={"servers": 3}, weights={"transport": "nccl"}), FOUR)
    assert (plan.server_gpus, plan.rank_gpus) == (["0", "1", "2"], ["3"])


def test_the_gpus_handed_out_are_those_visible_under_the_names_they_are_visible_by():
    plan = make_plan(recipe(), gpus("2", "GPU-8932f937"))
    assert (plan.server_gpus, plan.rank_gpus) == (["2"], ["GPU-8932f937"])
    shared = make_plan(recipe(engine={"servers": 3}), gpus("3", "5"))
    assert (shared.server_gpus, shared.rank_gpus) == (["3", "5", "3"], ["3"])


@pytest.mark.parametrize(
    ("hardware", "transport"),
    [
        (CPU, "file"),
        (ONE, "file"),
        (gpus("0", "1"), "nccl"),
        (gpus("MIG-a", "MIG-b"), "file"),  # NCCL takes no slices
    ],
)
def test_the_transport_follows_the_machine_and_is_shown(hardware, transport):
    plan = make_plan(recipe(), hardware)
    assert plan.recipe.weights.transport == plan.recipe.weights.backend == transport
    assert f"transport: {transport}" in "\n".join(plan.lines)
    assert recipe().weights.backend == "file", "without a plan, what works everywhere"


@pytest.mark.parametrize("hardware", [CPU, ONE, FOUR])
def test_the_recipe_shipped_runs_on_any_machine(hardware):
    shipped = load_recipe(Path("recipes/math_grpo.yaml"), profile=hardware.kind)
    assert make_plan(shipped, hardware).lines


def test_an_evaluation_keeps_no_gpu_for_a_learner():
    wish = recipe(engine={"servers": 4}, weights={"transport": "nccl"})
    plan = make_plan(wish, FOUR, learns=False)
    assert (plan.server_gpus, plan.rank_gpus) == (["0", "1", "2", "3"], [])
    assert plan.recipe.weights.transport == "file"


def test_what_is_installed_for_gpus_does_not_run_without_one_unnoticed():
    with pytest.raises(UserError, match=r"sees none.*CUDA_VISIBLE_DEVICES.*ASSAY_HARDWARE=cpu"):
        make_plan(recipe(), gpus())


def test_what_programs_of_the_policy_run_in_is_shown_and_must_be_there():
    programs = [EnvSpec(name="transformations", sandbox="landlock", level=n) for n in (1, 2)]
    lines = make_plan(recipe(envs=programs), CPU).lines
    assert len([line for line in lines if line.startswith("programs    run in ")]) == 1
    assert "programs" not in "\n".join(make_plan(recipe(), CPU).lines)
    nowhere = [EnvSpec(name="transformations", sandbox_url="http://127.0.0.1:1")]
    for wish in (recipe(envs=nowhere), recipe(evaluation={"envs": nowhere})):
        with pytest.raises(
            UserError, match=r"'transformations': the sandbox server http.*1 cannot"
        ):
            make_plan(wish, CPU)


def test_ranks_do_not_share_a_gpu():
    with pytest.raises(UserError, match=r"2 ranks need a GPU each.*learner.ranks=1"):
        make_plan(recipe(learner={"ranks": 2}), ONE)


def test_they_share_gpus_where_the_transport_allows_it():
    plan = make_plan(recipe(engine={"servers": 4}), FOUR)
    assert (plan.server_gpus, plan.rank_gpus) == (["0", "1", "2", "3"], ["0"])


def test_nccl_without_a_gpu_for_each_process_is_refused_with_the_keys():
    changed = recipe(engine={"servers": 4}, weights={"transport": "nccl"})
    with pytest.raises(UserError, match=r"4 servers and 1 ranks.*4 x Some GPU.*transport=auto"):
        make_plan(changed, FOUR)
    with pytest.raises(UserError, match="has none"):
        make_plan(changed, CPU)


def test_the_plan_shows_the_critic_and_counts_its_memory(tmp_path):
    header = json.dumps({"weight": {"dtype": "BF16", "shape": [2**30], "data_offsets": [0, 0]}})
    size = len(header).to_bytes(8, "little")
    (tmp_path / "model.safetensors").write_bytes(size + header.encode())
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")

    def plan(**written):
        lines = make_plan(recipe(model=str(tmp_path), **written), CPU).lines
        (learner,) = (line for line in lines if line.startswith("learner"))
        return "\n".join(lines), float(re.findall(r"([\d.]+) GiB", learner)[0])

    ppo = {"preset": "ppo"}
    _, alone = plan()
    own, with_own = plan(algorithm=ppo, critic={})
    shared, with_shared = plan(algorithm=ppo, critic={"trunk": "shared", "coef": 0.1})
    assert "a value head on a trunk of its own, alone in learning for the first 10 steps" in own
    assert "a value head on the policy's trunk" in shared
    assert "critic: minimise 0.1 x the mean" in shared
    assert with_own == pytest.approx(alone + 16)  # 16 bytes per weight in bfloat16
    assert with_shared == alone


def test_the_plan_shows_what_is_derived_from_the_two_numbers():
    text = "\n".join(make_plan(recipe(groups_per_step=6, group_size=7), CPU).lines)
    assert "6 groups x 7 = 42 answers" in text
    assert "at most 43,008 sampled tokens" in text


def test_the_plan_shows_the_formula_that_is_optimised():
    lines = make_plan(recipe(rollout={"max_new_tokens": 99}), CPU).lines
    at = next(i for i, line in enumerate(lines) if line.startswith("objective   minimise the mean"))
    assert [line[:12].strip() for line in lines[at + 1 : at + 4]] == ["", "", "evaluation"]
    text = "\n".join(make_plan(recipe(algorithm={"preset": "dr_grpo"}), CPU).lines)
    assert "the sum over their tokens / 1,024" in text


def test_the_plan_shows_frozen_policies_and_their_memory(tmp_path):
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 0]}})
    content = len(header).to_bytes(8, "little") + header.encode()  # all that is looked at
    (tmp_path / "model.safetensors").write_bytes(content)
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    policy = {"model": str(tmp_path), "learner": {"dtype": "float32"}}
    reference = {**policy, "algorithm": {"kl_coef": 0.01}}
    teacher = {"model": str(tmp_path)}
    lines = [
        next(line for line in make_plan(recipe(**made), CPU).lines if line.startswith("learner"))
        for made in (policy, reference, {**reference, "teacher": teacher})
    ]
    alone, *more = (float(line.split(", ")[2].split()[0]) for line in lines)
    assert more == pytest.approx([alone + 4, alone + 8])
    text = "\n".join(make_plan(recipe(**reference, teacher=teacher), CPU).lines)
    assert "p0 = a token's probability by the starting policy; t = by the teacher /" in text


def test_more_processes_than_cores_are_warned_of():
    warnings = [x for x in make_plan(recipe(learner={"ranks": 64}), CPU).lines if "warning" in x]
    assert len(warnings) == 1
    assert "learner.ranks 64 on 2 cores" in warnings[0]
    assert "warning" not in "\n".join(make_plan(recipe(engine={"servers": 2}), CPU).lines)


def test_a_learning_rate_for_tiny_policies_is_warned_of_where_the_model_is_none():
    def warnings(**changes):
        found = make_plan(recipe(**{"model": "Org/Model", **changes}), CPU).lines
        return [line for line in found if "warning" in line]

    [line] = warnings(learner={"lr": 2.5e-4})
    assert "learner.lr 0.00025 is for tiny policies" in line
    assert "sft.lr 0.003 " in warnings(sft={"lr": 3e-3})[0]
    assert not warnings(learner={"lr": 1e-6})
    assert not warnings(learner={"lr": 2.5e-4}, lora={"rank": 16})
    assert not warnings(learner={"lr": 2.5e-4}, model="embedded")


@pytest.mark.parametrize(
    ("key", "value", "needed", "given"),
    [
        ("curriculum.max_draws", 9.0, "curriculum.dynamic=true", True),
        ("curriculum.review_fraction", 0.2, "curriculum.retire_at", 0.9),
        ("algorithm.kl_estimator", "k3", "algorithm.kl_coef", 0.1),
        ("algorithm.entropy_coef_step", 0.01, "algorithm.entropy_target", 1.0),
        ("rollout.closing_phrase", "So:", "rollout.truncated=interrupt", "interrupt"),
    ],
)
def test_a_key_that_has_no_effect_is_warned_of_with_what_it_needs(key, value, needed, given):
    section, name = key.split(".")
    other = needed.partition("=")[0].split(".")[1]
    said = f"warning     {key} ({value}) has no effect without {needed}"
    assert said in make_plan(recipe(**{section: {name: value}}), CPU).lines
    both = make_plan(recipe(**{section: {name: value, other: given}}), CPU).lines
    assert not any("has no effect" in line for line in [*both, *make_plan(recipe(), CPU).lines])


def test_the_disk_that_samples_take_grows_with_their_length_and_number():
    def samples(**changes):
        [line] = [x for x in make_plan(recipe(**changes), CPU).lines if x.startswith("disk")]
        number, unit = line.split("at most ")[1].split()[:2]
        return float(number.replace(",", "")) * {"MiB": 1, "GiB": 1024}[unit]

    short = samples(rollout={"max_new_tokens": 64})
    assert samples(rollout={"max_new_tokens": 1984}) > 5 * short
    assert samples(rollout={"max_new_tokens": 64}, evaluation={"every": 1}) > 1.5 * short


def test_a_warm_start_is_shown_with_how_to_leave_it_out():
    text = "\n".join(make_plan(recipe(sft={"demonstrations": 16000}), CPU).lines)
    assert "16,000 worked solutions from the environments (none with sft=null)" in text
    assert "sft" not in "\n".join(make_plan(recipe(), CPU).lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "./nothere"}, "model './nothere' does not exist"),
        ({"model": "tests"}, "model 'tests' is a directory without config.json"),
        ({"teacher": {"model": "./no"}}, "model './no' does not exist"),
        (
            {"reference": {"model": "tests"}, "algorithm": {"kl_coef": 0.1}},
            "model 'tests' is a directory without config.json",
        ),
        ({"sft": {"data": "nope.jsonl"}}, "sft.data 'nope.jsonl': no such file"),
        ({"envs": [{"name": "dataset", "path": "nope.jsonl"}]}, "'nope.jsonl': no such file"),
        (
            {"evaluation": {"envs": [{"name": "dataset", "path": "a/b", "test_path": "./no"}]}},
            "'./no': no such file",
        ),
        ({"embedded": {"layers": 16, "hidden": 512}}, "at most 3,000,000 are meant"),
    ],
)
def test_what_is_not_here_is_said_before_anything_starts(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make_plan(recipe(**changes), CPU)


def test_all_that_is_missing_is_said_at_once():
    with pytest.raises(UserError) as error:
        make_plan(recipe(model="./nothere", sft={"data": "nope.jsonl"}), CPU)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.skipif(find_spec("trackio") is not None, reason="trackio is installed here")
def test_a_tracker_that_is_not_installed_is_said_where_something_is_learned():
    with pytest.raises(UserError, match="trackio is not installed"):
        make_plan(recipe(trackers=["trackio"]), CPU)
    make_plan(recipe(trackers=["trackio"]), CPU, learns=False)


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ({"num_attention_heads": 8, "num_key_value_heads": 4}, (1, 2, 4)),
        ({"num_attention_heads": 6}, (1, 2, 3, 6)),
        ({"text_config": {"num_attention_heads": 4, "num_key_value_heads": 1}}, (1,)),
        ({}, (1,)),
    ],
)
def test_only_ranks_that_divide_the_models_heads_share_sequences(tmp_path, config, allowed):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text("{}")
    for size in (1, 2, 3, 4, 6, 8):
        learner = {"ranks": size, "sequence_parallel": size}
        wish = recipe(model=str(tmp_path), learner=learner)
        if size in allowed:
            assert make_plan(wish, CPU).lines
        else:
            with pytest.raises(UserError, match=r"query heads.*and the key and value heads"):
                make_plan(wish, CPU)
        assert make_plan(wish, CPU, learns=False).lines, "nothing is learned in an evaluation"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (b"\x02\0\0\0\0\0\0\0[]", "it starts with b'[]'"),
        (b"\x40\0\0\0\0\0\0\0{}", "it is damaged"),
        (b"\x0b\0\0\0\0\0\0\0" + b'{"a": null}', "it is damaged"),
        (b"ab", "it is damaged"),
    ],
)
def test_a_file_that_is_no_safetensors_file_is_named(tmp_path, content, message):
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        make_plan(recipe(model=str(tmp_path)), CPU)
    assert f"{tmp_path}/model.safetensors is no safetensors file" in str(error.value)


def test_the_size_of_the_embedded_policy_is_exact(tmp_path):
    from rl.policy.embedded import make_embedded
    from rl.recipe.sections import EmbeddedPolicy

    size = EmbeddedPolicy(layers=2, hidden=64, heads=2, kv_heads=1, intermediate=128)
    made = make_embedded(tmp_path, size, seed=0)
    assert n_parameters(recipe(embedded=size)) == made
    assert n_parameters(recipe(model=str(tmp_path))) == made
