#!/usr/bin/env bash
# Sets this checkout up the first time, then hands over to the program `assay` or to the tests.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$root/.venv
stamp=$venv/.assay-setup # written last: while it is missing or differs, the set-up is not done
log=$venv/setup.log

usage() {
    cat <<'TEXT'
Assay trains language models by reinforcement learning on rewards that can be verified.

  bash launch.sh recipes/math_grpo.yaml [key=value ...]   set up the first time, then train
  bash launch.sh test [fast] [pytest arguments]           the same set-up, then checks and tests
  bash launch.sh setup                                    only set up
  bash launch.sh eval | doctor | ... [arguments]          the same as .venv/bin/assay eval | ...

Recipes are in recipes/; key=value changes one setting for one run. `test fast` leaves the slow
tests out. `bash launch.sh --help` shows this page, `.venv/bin/assay --help` all subcommands.

The set-up needs Linux on x86-64, Python 3.11 to 3.13, gcc, g++, git, a network and free disk space
(6 GB; 20 GB with CUDA). It installs into .venv only, never needs root, and may be run again at any
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
    local name path probe
    # -c prints the full path: a name such as python3.12 may be a stand-in that runs nothing.
    probe='import sys; assert (3, 11) <= sys.version_info < (3, 14); print(sys.executable)'
    for name in ${ASSAY_PYTHON:-python3.11 python3.12 python3.13 python3}; do
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
    local need=$1 free
    [[ $(uname -sm) == "Linux x86_64" ]] ||
        fail "this is $(uname -sm), and the locked packages are for Linux x86_64: use such a machine."
    command -v gcc >/dev/null && command -v g++ >/dev/null ||
        fail "no C++ compiler, which torch needs while it runs: install gcc and g++" \
            "(Debian, Ubuntu: apt-get install g++) and run again."
    free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1000000) }')
    ((free >= need)) ||
        fail "$free GB free in $root, and the set-up needs $need GB: free some space and run again."
}

# Why the last installing command failed, as one sentence; its output is in the log.
explain() {
    if grep -qi 'no space left' "$log"; then
        fail "the disk filled up during the set-up: free some space and run again (log: $log)."
    elif grep -qiE 'connect|resolve host|dns|timed out|proxy|certificate|unreachable|request' "$log"; then
        fail "the package index cannot be reached: check the network and pip's index, proxy and" \
            "certificate settings (pip config list), then run again (log: $log)."
    fi
    fail "installing failed: see the end of $log, repair that and run again."
}

install() {
    local python=$1 kind=$2 line torch flags=()
    rm -f "$stamp"
    "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment in $venv."
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -r "$root/requirements/bootstrap.lock" >"$log" 2>&1 ||
        explain

    while read -r line; do
        case $line in --*) flags+=("$line") ;; *=*) export "${line?}" ;; esac
    done < <("$venv/bin/python" -m pip config list | "$venv/bin/python" "$root/requirements/pip_settings.py")
    uv_install() {
        VIRTUAL_ENV=$venv UV_PYTHON_DOWNLOADS=never "$venv/bin/uv" pip install --no-deps \
            --no-build-isolation "$@" ${flags[@]+"${flags[@]}"}
    }
    if [[ $kind == cpu ]]; then
        # A folder or mirror that pip knows may have torch's CPU build; if not, uv knows PyTorch's.
        torch=$(grep -o '^torch==[^ ]*' "$root/requirements/cpu.lock")
        uv_install --dry-run "$torch" >"$log" 2>&1 || flags+=(--torch-backend cpu)
    fi
    uv_install --require-hashes -r "$root/requirements/$kind.lock" 2>&1 |
        tee "$log" | grep -E '^(Downloading|Installed)' || explain
    uv_install --offline --editable "$root" >"$log" 2>&1 || explain
}

set_up() {
    local python kind need why wanted
    kind=$(find_hardware)
    wanted=$(cd "$root" && cat "requirements/$kind.lock" requirements/bootstrap.lock pyproject.toml |
        sha256sum)
    wanted="$kind ${wanted%% *}"
    # The environment's own Python is asked too: it may have been removed or upgraded since.
    if [[ -f $stamp && $(<"$stamp") == "$wanted $("$venv/bin/python" -V 2>&1)" ]]; then return; fi

    case $kind in
        cpu) need=6 why="no NVIDIA GPU was found" ;;
        gpu) need=20 why="an NVIDIA GPU was found" ;;
        *) fail "ASSAY_HARDWARE=$kind is unknown: it is cpu or gpu." ;;
    esac
    [[ -z ${ASSAY_HARDWARE:-} ]] || why="ASSAY_HARDWARE says so"
    python=$(find_python)
    check_machine "$need"
    echo "launch.sh: $(nproc) cores," \
        "$(awk '/MemTotal/ { print int($2 / 1048576 + .5) }' /proc/meminfo) GiB of memory;" \
        "installing requirements/$kind.lock ($why) with $python into .venv"
    install "$python" "$kind"
    echo "$wanted $("$venv/bin/python" -V 2>&1)" >"$stamp"
    command -v bwrap >/dev/null ||
        echo "launch.sh: bubblewrap, the sandbox for model-written code, is missing; if you may:" \
            "sudo apt-get install bubblewrap"
    echo "launch.sh: ready; next time this takes no time"
}

run_tests() {
    local failed=()
    cd "$root"
    if [[ ${1:-} == fast ]]; then set -- -m "not slow" "${@:2}"; fi
    .venv/bin/ruff check --quiet . || failed+=("ruff check")
    .venv/bin/ruff format --check --quiet . || failed+=("ruff format")
    .venv/bin/pyright || failed+=(pyright)
    .venv/bin/pytest -q "$@" || failed+=(pytest)
    if ((${#failed[@]})); then fail "failed: ${failed[*]}"; fi
}

case ${1:-help} in
    help | -h | --help) usage ;;
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
        set_up
        exec "$venv/bin/assay" "$@"
        ;;
esac
