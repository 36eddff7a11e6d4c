"""What this machine has and what is installed for, found out without importing torch."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from glob import glob
from importlib.metadata import version
from typing import Literal, NamedTuple

import psutil

from rl.errors import UserError

Kind = Literal["cpu", "gpu"]
NONE_VISIBLE = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that hide every GPU
GPU_LINE = re.compile(r"GPU (\d+): (.+) \(UUID: (\S+)\)")
SLICE_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (\S+)\)")


class Gpu(NamedTuple):
    """`id` is what CUDA_VISIBLE_DEVICES takes: an index, or the UUID of a GPU or of a MIG slice."""

    id: str
    name: str

    @property
    def is_slice(self) -> bool:
        return self.id.startswith("MIG-")


@dataclass(frozen=True, slots=True)
class Hardware:
    cores: int  # that this process may use
    memory_gib: float
    gpus: tuple[Gpu, ...]  # that this process may use
    kind: Kind  # what was installed, which is the name of the recipe profile that fits

    def __str__(self) -> str:
        gpus = f"{len(self.gpus)} x {self.gpus[0].name}" if self.gpus else "no GPU"
        return f"{self.cores} cores, {self.memory_gib:.0f} GiB memory, {gpus}"


def find_hardware() -> Hardware:
    """Raises UserError when what is installed is for GPUs and they cannot be listed."""
    kind = installed_for(version("torch"))
    return Hardware(
        cores=len(os.sched_getaffinity(0)),
        memory_gib=psutil.virtual_memory().total / 2**30,
        gpus=_gpus() if kind == "gpu" else (),
        kind=kind,
    )


def installed_for(torch_version: str) -> Kind:
    """launch.sh installs torch's CPU build, such as 2.13.0+cpu, together with vLLM's."""
    return "cpu" if torch_version.endswith("+cpu") else "gpu"


def _gpus() -> tuple[Gpu, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible in NONE_VISIBLE:
        return ()
    command = shutil.which("nvidia-smi")
    if command is None:
        devices = glob("/dev/nvidia[0-9]*")
        if not devices:
            return ()
        raise UserError(
            f"there is {devices[0]}, and no nvidia-smi to ask about it: install the NVIDIA "
            "driver's programs (in a container: let its runtime provide `utility` too)"
        )
    try:
        listed = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = " ".join(str(getattr(error, "stdout", None) or "").split())
        raise UserError(
            f"`nvidia-smi -L` failed ({error}){f', saying: {said}' if said else ''}: repair the "
            "driver, or run launch.sh with ASSAY_HARDWARE=cpu, which sets up for CPUs"
        ) from error
    return visible_gpus(listed, visible)


def visible_gpus(listed: str, visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs of this process, each under the name that the CUDA_VISIBLE_DEVICES of a child takes.

    Args:
        listed: what `nvidia-smi -L` prints: a line per GPU, and below it one per MIG slice.
        visible: this process's own CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: `visible` names what is not listed. CUDA would drop it and all behind it without
            a word.
    """
    known: dict[str, Gpu] = {}  # under index and UUID
    usable: list[Gpu] = []
    for line in listed.splitlines():
        if (gpu := GPU_LINE.match(line)) is not None:
            index, name, uuid = gpu.groups()
            known[index], known[uuid] = Gpu(index, name), Gpu(uuid, name)
            usable.append(known[index])
        elif (part := SLICE_LINE.match(line)) is not None and usable:
            size, uuid = part.groups()
            known[uuid] = Gpu(uuid, f"MIG {size}")
            if not usable[-1].is_slice:
                usable.pop()  # a GPU in slices is used by its slices only
            usable.append(known[uuid])
    if visible is None:
        return tuple(usable)
    return tuple(_named(name.strip(), visible, known) for name in visible.split(","))


def _named(name: str, visible: str, known: dict[str, Gpu]) -> Gpu:
    """CUDA takes the beginning of a UUID for the whole of it."""
    is_uuid = name.startswith(("GPU-", "MIG-"))
    for key, gpu in known.items():
        if key == name or (is_uuid and key.startswith(name)):
            return Gpu(name, gpu.name)
    raise UserError(
        f"CUDA_VISIBLE_DEVICES={visible}: there is no GPU '{name}' here, `nvidia-smi -L` lists "
        f"{', '.join(known) or 'none'}: name some of these, or unset it to use all"
    )
