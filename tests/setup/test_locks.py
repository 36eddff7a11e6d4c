"""What the lock files and the environment made from them must and must not contain."""

import importlib.util
import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.lock"))
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
pip_settings = runpy.run_path(str(REQUIREMENTS / "pip_settings.py"))


def locked(name: str) -> dict[str, list[str]]:
    """The hashes of each `name==version` in a lock."""
    blocks = re.findall(
        r"(?m)^([\w.-]+==\S+).*\n((?:    --hash=\S+.*\n)+)", (REQUIREMENTS / name).read_text()
    )
    return {package: re.findall(r"sha256:\w{64}", hashes) for package, hashes in blocks}


def names(specifiers: list[str]) -> set[str]:
    return {re.split(r"[=<>\[; ]", specifier)[0] for specifier in specifiers}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_exact_and_hashed_and_no_index_is_named(lock):
    text = lock.read_text()
    heads = [line for line in text.splitlines() if not line.startswith("    --hash=sha256:")]
    assert len(locked(lock.name)) == len(heads)
    assert all(locked(lock.name).values())
    assert "://" not in text


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_lock_holds_every_direct_dependency_and_nothing_unwanted(kind):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = names(project["project"]["dependencies"] + groups[kind] + groups["test"])
    packages = names(list(locked(f"{kind}.lock")))
    assert wanted <= packages
    assert not packages & set(UNWANTED)


def test_torchs_cpu_build_is_locked_for_three_versions_of_python():
    rows = (REQUIREMENTS / "torch-cpu.sha256").read_text().split("\n")[:-1]
    hashes = {row.split()[1].split("-")[2]: "sha256:" + row.split()[0] for row in rows}
    (torch,) = [value for key, value in locked("cpu.lock").items() if key.startswith("torch==")]
    assert sorted(hashes) == ["cp311", "cp312", "cp313"]
    assert sorted(hashes.values()) == sorted(torch)


@pytest.mark.parametrize("module", UNWANTED)
def test_the_environment_has_no(module):
    assert importlib.util.find_spec(module) is None


def test_pips_settings_are_put_in_uvs_words_and_the_environment_wins():
    listing = "\n".join(
        [
            "global.index-url='https://a/simple'",
            "install.index-url='https://b/simple'",
            "global.extra-index-url='\\nhttps://c/simple\\nhttps://d/simple'",
            "global.cert='/a.pem'",
            ":env:.cert='/b.pem'",
            ":env:.no-index='1'",
            ":env:.timeout='60'",
        ]
    )
    assert pip_settings["translate"](pip_settings["read"](listing), {"UV_HTTP_TIMEOUT": "5"}) == [
        "--default-index=https://b/simple",
        "--index=https://c/simple",
        "--index=https://d/simple",
        "--no-index",
        "--index-strategy=unsafe-best-match",
        "SSL_CERT_FILE=/b.pem",
    ]
