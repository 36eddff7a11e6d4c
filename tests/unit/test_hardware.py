import os

import pytest

from rl import hardware
from rl.errors import UserError
from rl.hardware import Gpu, find_hardware, installed_for, visible_gpus

TWO = """\
GPU 0: NVIDIA H200 (UUID: GPU-8932f937-d72c-4106-c12f-20bd9faed9f6)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1aa0b5de-0000-4106-c12f-20bd9faed9f6)
"""
SLICED = """\
GPU 0: NVIDIA H200 (UUID: GPU-8932f937-d72c-4106-c12f-20bd9faed9f6)
  MIG 1g.18gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 2g.35gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA H200 (UUID: GPU-1aa0b5de-0000-4106-c12f-20bd9faed9f6)
"""


def ids(listed, visible):
    return [gpu.id for gpu in visible_gpus(listed, visible)]


def test_all_gpus_are_used_by_their_index_where_nothing_is_hidden():
    assert visible_gpus(TWO, None) == (Gpu("0", "NVIDIA H200"), Gpu("1", "NVIDIA A100-SXM4-40GB"))
    assert visible_gpus("", None) == ()


@pytest.mark.parametrize("visible", ["1", "1,0", "GPU-1aa0b5de", "0,GPU-1aa0b5de-0000-4106"])
def test_what_is_visible_keeps_the_names_it_is_visible_by(visible):
    assert ids(TWO, visible) == visible.split(",")


def test_a_gpu_keeps_its_own_name_whatever_it_is_visible_by():
    for visible in ("1", "GPU-1aa0b5de"):
        assert visible_gpus(TWO, visible) == (Gpu(visible, "NVIDIA A100-SXM4-40GB"),)


def test_a_gpu_in_slices_is_used_by_its_slices():
    found = ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb"]
    assert ids(SLICED, None) == [*found, "1"]
    assert ids(SLICED, found[1]) == found[1:]
    assert visible_gpus(SLICED, None)[1] == Gpu(found[1], "MIG 2g.35gb")
    assert [gpu.is_slice for gpu in visible_gpus(SLICED, None)] == [True, True, False]


@pytest.mark.parametrize("visible", ["2", "0,7", "GPU-ffff", "MIG-c6d4f1ef", "0,,1"])
def test_a_gpu_that_is_not_there_is_named_and_not_dropped(visible):
    with pytest.raises(UserError, match=rf"CUDA_VISIBLE_DEVICES={visible}: there is no GPU '"):
        visible_gpus(TWO, visible)


def test_the_profile_follows_the_build_of_torch_that_is_installed():
    assert installed_for("2.13.0+cpu") == "cpu"
    assert installed_for("2.13.0") == installed_for("2.13.0+cu130") == "gpu"


@pytest.fixture
def for_gpus(monkeypatch, tmp_path):
    """A machine where torch's CUDA build is installed, and `nvidia-smi` runs a given script."""
    monkeypatch.setattr(hardware, "version", lambda name: "2.13.0+cu130")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def nvidia_smi(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return nvidia_smi


def test_the_gpus_are_those_that_nvidia_smi_lists(for_gpus, monkeypatch):
    for_gpus(f"cat <<'END'\n{TWO}END")
    found = find_hardware()
    assert (found.kind, [gpu.id for gpu in found.gpus]) == ("gpu", ["0", "1"])
    assert str(found).endswith("2 x NVIDIA H200")
    for hiding in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hiding)
        assert find_hardware().gpus == ()


def test_an_nvidia_smi_that_fails_is_an_error_of_the_machine_with_what_it_said(for_gpus):
    for_gpus("echo NVIDIA-SMI has failed because it could not talk to the driver; exit 9")
    with pytest.raises(UserError, match=r"could not talk to the driver: repair the driver, or"):
        find_hardware()


def test_where_the_cpu_build_is_installed_the_gpus_are_left_alone(for_gpus, monkeypatch):
    for_gpus("exit 9")
    monkeypatch.setattr(hardware, "version", lambda name: "2.13.0+cpu")
    assert (find_hardware().kind, find_hardware().gpus) == ("cpu", ())
