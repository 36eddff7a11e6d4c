#!/usr/bin/env bash
# Writes bootstrap.lock, cpu.lock and gpu.lock from pyproject.toml, exact and hashed, for Python 3.11
# to 3.13 on x86-64 Linux. Versions stay as they are where they can; with `--upgrade` all are the
# newest that pyproject.toml allows. Run `bash launch.sh setup` first.
# For another torch: put its hashes into torch-cpu.sha256, and install it into .venv by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of pip's settings, only the main index and the way to reach it: further indexes and folders may
# hold the files of one Python only, and the locks are for three.
flags=("$@")
while read -r line; do
    case $line in
        --default-index=* | --allow-insecure-host=*) flags+=("$line") ;;
        [A-Z]*) export "${line?}" ;;
    esac
done < <(.venv/bin/python -m pip config list | .venv/bin/python requirements/pip_settings.py)

lock() {  # lock FILE [option ...]
    echo "writing requirements/$1.lock"
    .venv/bin/uv pip compile --output-file "requirements/$1.lock" "${@:2}" "${flags[@]}" \
        --universal --python-version 3.11 --override requirements/never.txt \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
}

# torch's CPU build is on no package index that pip asks by itself, and a folder that pip is given
# for it may hold the wheel of one Python only. So empty wheels with the real one's requirements
# stand in for all three while versions are chosen, and the hashes come from torch-cpu.sha256.
stand_ins=$(mktemp -d)
trap 'rm -rf "$stand_ins"' EXIT
.venv/bin/python - "$stand_ins" <<'PY'
import importlib.metadata, pathlib, sys, zipfile

torch = importlib.metadata.distribution("torch")
for line in pathlib.Path("requirements/torch-cpu.sha256").read_text().splitlines():
    name = line.split()[1]
    if name.split("-")[1] != torch.version:
        sys.exit(f"torch-cpu.sha256 names {name} and .venv has torch {torch.version}: make them agree")
    with zipfile.ZipFile(pathlib.Path(sys.argv[1], name), "w") as wheel:
        for part in ("METADATA", "WHEEL", "RECORD"):
            wheel.writestr(f"torch-{torch.version}.dist-info/{part}", torch.read_text(part))
PY

lock bootstrap --group bootstrap
lock gpu pyproject.toml --group gpu --group test --group bootstrap
lock cpu pyproject.toml --group cpu --group test --group bootstrap \
    --override requirements/never-cpu.txt --find-links "$stand_ins"
.venv/bin/python - <<'PY'
import pathlib
import re


def edit(lock, pattern, new):
    path = pathlib.Path("requirements", lock)
    text, found = re.subn(pattern, lambda match: match[1] + new, path.read_text())
    assert found == 1, f"{lock} has no torch"
    path.write_text(text)


hashes = sorted(line.split()[0] for line in open("requirements/torch-cpu.sha256"))
rows = [f"    --hash=sha256:{value}" for value in hashes]
edit("cpu.lock", r"(?m)^(torch==.*\n)(?:    --hash.*\n)+", " \\\n".join(rows) + "\n")
# `==2.13.0` would also take 2.13.0+cpu from a folder that pip is given, and fail on its hash.
edit("gpu.lock", r"(?m)^(torch=)(?==)", "=")
PY
