"""What this machine has, found out without importing torch."""

import os
import shutil
import subprocess
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Hardware:
    cores: int  # that this process may use
    memory_gib: float
    gpus: tuple[str, ...]  # one name per GPU, in the order of their indices

    @property
    def kind(self) -> str:
        """The name of the recipe profile that fits: `gpu` or `cpu`."""
        return "gpu" if self.gpus else "cpu"

    def __str__(self) -> str:
        gpus = f"{len(self.gpus)} x {self.gpus[0]}" if self.gpus else "no GPU"
        return f"{self.cores} cores, {self.memory_gib:.0f} GiB memory, {gpus}"


def find_hardware() -> Hardware:
    return Hardware(
        cores=len(os.sched_getaffinity(0)),
        memory_gib=psutil.virtual_memory().total / 2**30,
        gpus=_gpus(),
    )


def _gpus() -> tuple[str, ...]:
    """The GPUs the driver lists; none where there is no driver.

    Raises:
        RuntimeError: the driver is installed but does not answer. A run on the CPU instead would be
            a surprise, so it is said.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ()
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        listed = subprocess.run(
            [command, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(
            f"nvidia-smi is installed but failed ({error}): repair the driver, or hide the GPUs "
            "with CUDA_VISIBLE_DEVICES= (empty)"
        ) from error
    names = tuple(line.strip() for line in listed.stdout.splitlines() if line.strip())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return names
    return tuple(names[int(i)] for i in visible.split(",") if i.isdigit() and int(i) < len(names))
