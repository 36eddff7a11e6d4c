#!/usr/bin/env bash
# Sets this checkout up the first time, then hands over to the program `assay` or to the tests.
set -euo pipefail

export HOME=${HOME:-~} # where it is unset: what the system has for this user

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$root/.venv
stamp=$venv/.assay-setup # written last: while it is missing or differs, the set-up is not done
log=$venv/setup.log
lock_wait_s=1800        # for another set-up of this checkout; one takes minutes
cpu_gb=4 gpu_gb=12 # free disk space to ask for; measured after an install: 2.8 and 8.6

usage() {
    cat <<'TEXT'
Assay trains language models by reinforcement learning on rewards that can be verified.

  bash launch.sh recipes/math_grpo.yaml [key=value ...]   set up the first time, then train
  bash launch.sh test [fast] [pytest arguments]           the same set-up, then checks and tests
  bash launch.sh setup                                    only set up
  bash launch.sh eval | doctor | ... [arguments]          the same as .venv/bin/assay eval | ...

Recipes are in recipes/; key=value changes one setting for one run. `test fast` leaves the slow
tests out. `bash launch.sh --help` shows this page, `.venv/bin/assay --help` all subcommands.

The set-up needs Linux on x86-64, Python 3.11 to 3.13, gcc, git, a network and 4 GB of free disk
space (12 GB with CUDA). It installs into .venv only, never needs root, and may be run again at any
time. Package sources, proxy and certificate: pip's own settings are obeyed.

  ASSAY_PYTHON=/path/to/python   the Python to use
  ASSAY_HARDWARE=cpu|gpu         what to install for, instead of what is found
TEXT
}

fail() {
    echo "launch.sh: $*" >&2
    exit 1
}

find_python() {
    local name path probe names=(python3.11 python3.12 python3.13 python3)
    if [[ -n ${ASSAY_PYTHON:-} ]]; then names=("$ASSAY_PYTHON"); fi
    # -c prints the full path: a name such as python3.12 may be a stand-in that runs nothing.
    probe='import sys; assert (3, 11) <= sys.version_info < (3, 14); print(sys.executable)'
    for name in "${names[@]}"; do
        path=$("$name" -c "$probe" 2>/dev/null) || continue
        if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$path"
            return
        fi
        fail "$path cannot make virtual environments: install its venv module" \
            "(Debian, Ubuntu: apt-get install python3-venv) and run again."
    done
    fail "${ASSAY_PYTHON:-the python3 found here} is not Python 3.11, 3.12 or 3.13:" \
        "install one of them, or name it in ASSAY_PYTHON, and run again."
}

find_hardware() {
    if [[ -n ${ASSAY_HARDWARE:-} ]]; then
        echo "$ASSAY_HARDWARE"
    elif compgen -G '/dev/nvidia[0-9]*' >/dev/null || nvidia-smi -L >/dev/null 2>&1; then
        echo gpu
    else
        echo cpu
    fi
}

check_machine() {
    local kind=$1 python=$2 need place free
    [[ $(uname -sm) == "Linux x86_64" ]] ||
        fail "this is $(uname -sm), and the locked packages are for Linux x86_64: use such a machine."
    command -v gcc >/dev/null ||
        fail "no C compiler: install gcc (Debian, Ubuntu: apt-get install gcc g++) and run again."
    if [[ $kind == gpu ]]; then
        # Triton and torch compile small pieces of C++ against Python while a model runs.
        command -v g++ >/dev/null ||
            fail "no C++ compiler: install g++ (Debian, Ubuntu: apt-get install g++) and run again."
        [[ -f $("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]] ||
            fail "$python has no header files (Python.h): install them" \
                "(Debian, Ubuntu: apt-get install python3-dev) and run again."
    fi
    # Packages are unpacked in uv's cache and linked or, from another disk, copied into .venv.
    need=$([[ $kind == gpu ]] && echo "$gpu_gb" || echo "$cpu_gb")
    for place in "$root" "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}"; do
        while [[ ! -d $place ]]; do place=$(dirname "$place"); done
        free=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1000000) }')
        ((free >= need)) ||
            fail "$place has $free GB free, and the set-up needs $need GB: free some and run again."
    done
}

# Why the last installing command failed, as one sentence; all it said is in the log.
explain() {
    local where
    if grep -qi 'no space left' "$log"; then
        fail "the disk filled up during the set-up: free some space and run again (log: $log)."
    elif grep -qiE 'failed to fetch|connection|no matching distribution|proxyerror|sslerror' "$log"; then
        where=$(grep -oE 'https?://[^/ )]+' "$log" | tail -1)
        fail "the package index ${where:+at $where }cannot be reached: check the network and pip's" \
            "settings for index, proxy and certificate (pip config list), then run again (log: $log)."
    fi
    fail "the set-up failed: see the end of $log, repair what it says and run again."
}

install() {
    local kind=$1 python=$2 line torch flags=()
    # Always from nothing: no package is left over, and whatever broke in the old one is gone.
    rm -f "$stamp"
    "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment in $venv."
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -r "$root/requirements/bootstrap.lock" >"$log" 2>&1 || explain

    while read -r line; do
        case $line in --*) flags+=("$line") ;; *=*) export "${line?}" ;; esac
    done < <("$venv/bin/python" -m pip config list |
        "$venv/bin/python" "$root/requirements/pip_settings.py")
    uv_install() {
        VIRTUAL_ENV=$venv UV_PYTHON_DOWNLOADS=never "$venv/bin/uv" pip install --no-deps \
            --no-build-isolation ${flags[@]+"${flags[@]}"} "$@"
    }
    if [[ $kind == cpu ]]; then
        # A folder or mirror that pip knows may have torch's CPU build; if not, uv knows PyTorch's.
        torch=$(grep -o '^torch==[^ ]*' "$root/requirements/cpu.lock")
        uv_install --dry-run "$torch" >"$log" 2>&1 || flags+=(--torch-backend cpu)
    fi
    uv_install --require-hashes -r "$root/requirements/$kind.lock" 2>&1 |
        tee "$log" | grep --line-buffered -E '^(Downloading|Installed)' || explain
    uv_install --offline --editable "$root" >"$log" 2>&1 || explain

    echo "launch.sh: checking that everything imports"
    # Also writes Python's byte code, which makes every later start of a process faster.
    PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c \
        'import torch, deepspeed, trl, vllm.entrypoints.openai.api_server' >"$log" 2>&1 || explain
}

set_up() {
    local python kind wanted why
    kind=$(find_hardware)
    case ${ASSAY_HARDWARE:+chosen}$kind in
        chosencpu | chosengpu) why="ASSAY_HARDWARE=$kind" ;;
        cpu) why="no NVIDIA GPU found" ;;
        gpu) why="NVIDIA GPU found" ;;
        *) fail "ASSAY_HARDWARE is $kind: make it cpu or gpu, or leave it unset." ;;
    esac
    wanted=$(cd "$root/requirements" && cat "$kind.lock" bootstrap.lock ../pyproject.toml | sha256sum)
    # With the checkout's own path: a copied or moved .venv still runs the code of the old one.
    state() { echo "$kind $wanted $("$1" -V 2>&1) $root"; }
    is_done() { # Pythons are asked now: one may have been replaced since, or another be wished for
        local python
        for python in "$venv/bin/python" ${ASSAY_PYTHON:+"$ASSAY_PYTHON"}; do
            [[ -f $stamp && $(<"$stamp") == "$(state "$python")" ]] || return 1
        done
    }
    if is_done; then return; fi

    python=$(find_python)
    check_machine "$kind" "$python"
    exec 9<"$root/launch.sh" # two set-ups of one checkout at a time would undo each other
    if command -v flock >/dev/null && ! flock -n 9; then
        echo "launch.sh: waiting for another set-up of this checkout, at most $lock_wait_s s"
        flock -w "$lock_wait_s" 9 ||
            fail "another set-up of this checkout is not done after $lock_wait_s s:" \
                "see the end of $log, end that one if it hangs, and run again."
    fi
    if ! is_done; then
        echo "launch.sh: installing requirements/$kind.lock ($why; $(nproc) cores," \
            "$(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB of memory)" \
            "with $python into .venv; this takes a few minutes, once"
        install "$kind" "$python"
        state "$venv/bin/python" >"$stamp"
        echo "launch.sh: ready"
    fi
    exec 9<&-
}

# Before the set-up, which takes minutes and gigabytes to come to the same result.
check_command() {
    local known
    [[ ! -f $1.yaml ]] || fail "there is no command '$1': the recipe is $1.yaml"
    [[ ! -f $1/recipe.yaml ]] ||
        fail "$1 is a run: the command that began it resumes it, and \`bash launch.sh report $1\` shows it"
    known=$(sed -nE 's/.*\<command\("([a-z-]+)".*/\1/p' "$root/rl/cli.py" | tr '\n' ' ')
    [[ " $known" == *" $1 "* ]] ||
        fail "there is no command '$1': make it a recipe such as recipes/math_grpo.yaml, or one" \
            "of: help setup test ${known% }."
}

run_tests() {
    local failed=()
    cd "$root"
    if [[ ${1:-} == fast ]]; then set -- -m "not slow" "${@:2}"; fi
    .venv/bin/ruff check --quiet . || failed+=("ruff check")
    .venv/bin/ruff format --check --quiet . || failed+=("ruff format")
    .venv/bin/pyright || failed+=(pyright)
    # Two files at a time, in their order, so that a long one does not come last; -rs: why tests
    # were left out.
    .venv/bin/pytest -q -rs -n 2 --dist loadfile --no-loadscope-reorder "$@" || failed+=(pytest)
    if ((${#failed[@]})); then fail "failed: ${failed[*]}"; fi
}

case ${1:-help} in
    help | -h | --help) usage ;;
    --version) sed -n 's/^version = "\(.*\)"/assay \1/p' "$root/pyproject.toml" ;;
    setup) set_up ;;
    test)
        set_up
        run_tests "${@:2}"
        ;;
    *.yaml | *.yml)
        [[ -f $1 ]] || fail "no recipe at $1: \`ls recipes\` shows those that exist."
        set_up
        exec "$venv/bin/assay" train "$@"
        ;;
    *)
        check_command "$1"
        set_up
        exec "$venv/bin/assay" "$@"
        ;;
esac
