"""Every command in the documentation is one that the programs take."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rl.cli import main, parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LAUNCH_ONLY = {"test", "setup", "help"}  # words of launch.sh itself; tests/setup runs them


def commands() -> list[Any]:
    found = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            shown = re.search(r"^\s*(?:\$ )?bash launch\.sh (.*)", line)
            if shown:
                found.append(pytest.param(shlex.split(shown[1], comments=True), id=shown[1]))
    return found


@pytest.fixture
def as_a_reader_would(tmp_path, monkeypatch):
    """A folder with the recipes, and the files that the pages tell to write."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    text = (ROOT / "docs" / "own-model-and-data.md").read_text()
    for name, code in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    assert main(["new-env", "doubling"]) == 0


def test_the_pages_show_commands():
    assert len(commands()) >= 8


@pytest.mark.parametrize("words", commands())
def test_a_documented_command_is_accepted(words, as_a_reader_would, capsys):
    if words[0] in LAUNCH_ONLY:
        return
    capsys.readouterr()
    if words[0].endswith(".yaml"):
        words = ["train", *words]
    if words[0] == "train":
        assert main([*words, "--dry-run"]) == 0
        assert "groups x" in capsys.readouterr().out
    else:
        assert parse(words).command == words[0]


def test_every_dependency_is_explained_in_the_readme():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["cpu"], *groups["gpu"], *groups["test"]]
    names = {re.match(r"[\w-]+", line)[0] for line in wanted}
    table = (ROOT / "README.md").read_text().split("## What it is built on")[1]
    assert {name for name in names if not re.search(rf"\b{name}\b", table)} == set()
