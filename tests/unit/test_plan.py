import pytest

from rl.config import EnvSpec, Recipe
from rl.errors import UserError
from rl.hardware import Hardware
from rl.plan import make_plan, n_parameters

CPU = Hardware(cores=2, memory_gib=24, gpus=())
FOUR = Hardware(cores=16, memory_gib=128, gpus=("GPU",) * 4)


def recipe(**changes):
    return Recipe.model_validate(
        {"model": "embedded", "envs": [EnvSpec(name="arithmetic")], **changes}
    )


def test_servers_and_ranks_get_gpus_of_their_own_where_there_are_enough():
    plan = make_plan(recipe(engine={"servers": 3}, weights={"transport": "nccl"}), FOUR)
    assert (plan.server_gpus, plan.rank_gpus) == (["0", "1", "2"], ["3"])


def test_they_share_gpus_where_the_transport_allows_it():
    plan = make_plan(recipe(engine={"servers": 4}), FOUR)
    assert (plan.server_gpus, plan.rank_gpus) == (["0", "1", "2", "3"], ["0"])


def test_nccl_without_a_gpu_for_each_process_is_refused_with_the_keys():
    changed = recipe(engine={"servers": 4}, weights={"transport": "nccl"})
    with pytest.raises(UserError, match=r"4 servers and 1 ranks.*has 4.*weights.transport=file"):
        make_plan(changed, FOUR)
    with pytest.raises(UserError, match="has none"):
        make_plan(changed, CPU)


def test_the_plan_shows_what_is_derived_from_the_two_numbers():
    text = "\n".join(make_plan(recipe(groups_per_step=6, group_size=7), CPU).lines)
    assert "6 groups x 7 = 42 answers" in text
    assert "at most 43,008 sampled tokens" in text


def test_the_size_of_the_embedded_policy_is_exact(tmp_path):
    from rl.config import EmbeddedPolicy
    from rl.embedded import make_embedded

    size = EmbeddedPolicy(layers=2, hidden=64, heads=2, kv_heads=1, intermediate=128)
    made = make_embedded(tmp_path, size, seed=0)
    assert n_parameters(recipe(embedded=size)) == made
    assert n_parameters(recipe(model=str(tmp_path))) == made
