"""How large a model on this disk is, whatever lies beside its weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rl.errors import UserError
from rl.policy.model_files import INDEX, count_parameters

SPLIT = {"model-00001-of-00002.safetensors": 3, "model-00002-of-00002.safetensors": 4}


def save(directory: Path, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        save_file({f"{name} weights": torch.zeros(size)}, directory / name)


def index(directory: Path) -> None:
    named = {"weight_map": {f"{name} weights": name for name in SPLIT}}
    (directory / INDEX).write_text(json.dumps(named))


@pytest.mark.parametrize("beside", ["consolidated.safetensors", "model.safetensors"])
def test_of_weights_in_several_files_those_that_the_index_names_count(tmp_path, beside):
    save(tmp_path, {**SPLIT, beside: 7})
    index(tmp_path)
    assert count_parameters(tmp_path) == 7


def test_without_an_index_the_one_file_of_the_model_counts(tmp_path):
    save(tmp_path, {"model.safetensors": 5, "consolidated.safetensors": 5, "other.safetensors": 2})
    assert count_parameters(tmp_path) == 5


def test_without_either_all_files_count_but_the_consolidated_ones(tmp_path):
    assert count_parameters(tmp_path) == 0
    save(
        tmp_path,
        {**SPLIT, "consolidated-00001-of-00001.safetensors": 7, "optimizer.safetensors": 9},
    )
    assert count_parameters(tmp_path) == 7


def test_an_index_that_names_an_absent_file_is_refused_by_its_name(tmp_path):
    save(tmp_path, {"model-00001-of-00002.safetensors": 3})
    index(tmp_path)
    with pytest.raises(UserError, match=r"names model-00002-of-00002\.safetensors, which is not"):
        count_parameters(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}'])
def test_an_index_of_something_else_is_refused(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(UserError, match="does not say which files hold the weights"):
        count_parameters(tmp_path)
