"""A record of admission counts until anything changes that the environment is made of."""

import sys

import pytest

from envs.admission import digests, find_admission, fingerprint, store_admission
from envs.opened import opened_files
from envs.registry import find_class
from envs.sources import find_sources
from verifiers.attack.report import Report

HEAD = """
from dataclasses import dataclass
from pathlib import Path
from envs.arithmetic import Arithmetic
"""
OWN = f"""{HEAD}
from stale_constant import LIMIT
import stale_package.inner
RULES = (Path(__file__).parent / "rules.txt").read_text()

@dataclass(frozen=True)
class Own(Arithmetic):
    table: str = "DEFAULT"
    tables: tuple[str, ...] = ()

    def verify(self, task, response):
        from stale_method import check
        (Path(__file__).parent / "words.txt").read_text()
        return super().verify(task, response)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of files around `own.py`, from which modules are imported."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    for name, text in {
        "own.py": OWN.replace("DEFAULT", str(folder / "default.json")),
        "stale_constant.py": "LIMIT = 1\n",
        "stale_method.py": "from stale_deeper import check\n",
        "stale_deeper.py": "def check(): ...\n",
        "stale_package/__init__.py": "",
        "stale_package/inner.py": "from . import sibling\n",
        "stale_package/sibling.py": "",
        "unused.py": "",
        "rules.txt": "be kind",
        "words.txt": "one two",
        "default.json": "[]",
        "data/deep/rows.jsonl": "{}",
        "data/more.jsonl": "{}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in [name for name in sys.modules if name.startswith("stale_")]:
        monkeypatch.delitem(sys.modules, name)  # another test's
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.parametrize(
    "changed",
    ["stale_constant.py", "stale_method.py", "stale_deeper.py", "stale_package/__init__.py",
     "stale_package/inner.py", "stale_package/sibling.py", "own.py", "default.json",
     "data/deep/rows.jsonl", "data/more.jsonl"],
)  # fmt: skip
def test_what_is_imported_anywhere_or_named_by_an_option_counts(folder, changed):
    name, options = f"{folder}/own.py:Own", {"tables": [str(folder / "data")]}
    before = fingerprint(name, options)
    (folder / "unused.py").write_text("X = 1\n")
    assert fingerprint(name, options) == before
    with (folder / changed).open("a") as file:
        file.write("\n# changed\n")
    assert fingerprint(name, options) != before


def test_files_that_are_opened_while_tasks_are_drawn_and_judged_count(folder):
    name = f"{folder}/own.py:Own"
    opened = opened_files(name, {})
    assert [file.name for file in opened] == ["rules.txt", "words.txt"]
    for file in opened:
        store_admission(Report(name, {}, "math", 10, []), digests(opened))
        assert find_admission(name, {}) is not None
        file.write_text("something else")
        assert find_admission(name, {}) is None, file
    store_admission(Report(name, {}, "math", 10, []), digests(opened))
    opened[0].unlink()
    assert find_admission(name, {}) is None


def test_a_package_that_is_installed_counts_with_its_files_and_its_release(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    package = site / "stale_installed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "env.py").write_text(
        f"{HEAD}\nfrom stale_installed.rules import A\nimport stale_other, json, pytest\n"
        "@dataclass(frozen=True)\nclass Packed(Arithmetic):\n    pass\n"
    )
    (package / "rules.py").write_text("A = 1\n")
    (site / "stale_other.py").write_text("")
    monkeypatch.syspath_prepend(site)
    name = "stale_installed.env:Packed"
    sources = find_sources(find_class(name))
    own = [file.name for file in sources.files if file.is_relative_to(site)]
    assert own == ["__init__.py", "env.py", "rules.py"]
    assert sources.packages == ["pytest", "stale_installed", "stale_other"]
    before = fingerprint(name, {})
    (package / "rules.py").write_text("A = 2\n")
    assert fingerprint(name, {}) != before
