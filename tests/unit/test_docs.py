"""Every command in the documentation is one that the programs take."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from envs.registry import make_env
from rl.cli import main, parse
from rl.recipe.load import load_recipe
from verifiers.verdict import Outcome

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
    """A folder with the recipes, the files that the pages tell to write, and data of one's own."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    text = (ROOT / "docs" / "own-model-and-data.md").read_text()
    for name, code in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code)
    (tmp_path / "my").mkdir()
    names = {"question": ("question", "problem"), "answer": ("answer", "result")}
    with (tmp_path / "my" / "questions.jsonl").open("w") as file:
        for n in range(50):
            values = {"question": f"What is {n} + 1?", "answer": str(n + 1)}
            row = {name: values[key] for key, called in names.items() for name in called}
            file.write(json.dumps(row) + "\n")
    (tmp_path / "my" / "solutions.jsonl").write_text('{"prompt": "1 + 1?", "response": "2"}\n')
    monkeypatch.chdir(tmp_path)
    assert main(["new-env", "doubling"]) == 0


def test_the_pages_show_commands():
    assert len(commands()) >= 8


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("words", commands())
def test_a_documented_command_is_accepted(words, profile, as_a_reader_would, capsys):
    if words[0] in LAUNCH_ONLY:
        return
    capsys.readouterr()
    if words[0].endswith(".yaml"):
        words = ["train", *words]
    if words[0] == "train":
        assert main([*words, f"profile={profile}", "--dry-run"]) == 0, capsys.readouterr().err
        assert "groups x" in capsys.readouterr().out
    else:
        assert parse(words).command == words[0]


@pytest.mark.parametrize("words", [x for x in commands() if "envs=" in str(x.values)])
def test_documented_data_of_ones_own_give_tasks_with_their_answers(
    words, as_a_reader_would, monkeypatch, tmp_path
):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    recipe = load_recipe(Path(words[0]), words[1:], profile="cpu")
    for spec in recipe.envs:
        env = make_env(spec.name, spec.options)
        task = env.draw("train", 0, 0)
        assert task.truth.isdigit()
        assert env.verify(task, env.solve(task)).outcome is Outcome.CORRECT


def anchors(page: Path) -> set[str]:
    """What links to the page's headings end in, as the hosts of repositories make it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+?)\s*$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_has_its_heading(page):
    links = re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", page.read_text())
    wanted = [(page.parent / name if name else page, anchor) for name, anchor in links]
    assert [(str(p), anchor) for p, anchor in wanted if anchor not in anchors(p)] == []


@pytest.mark.parametrize("name", ["recipes.md", "algorithms.md"])
def test_a_long_page_begins_with_links_to_all_its_sections(name):
    head, *rest = (ROOT / "docs" / name).read_text().split("\n## ")
    titles = [part.splitlines()[0] for part in rest]
    assert re.findall(r"\[([^\]]+)\]\(#", head) == titles


def test_every_dependency_is_explained_in_the_readme():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["cpu"], *groups["gpu"], *groups["test"]]
    names = {re.match(r"[\w-]+", line)[0] for line in wanted}
    table = (ROOT / "README.md").read_text().split("## What it is built on")[1]
    assert {name for name in names if not re.search(rf"\b{name}\b", table)} == set()
