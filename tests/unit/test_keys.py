from pathlib import Path

from rl.recipe.keys import page


def test_the_page_of_keys_is_what_the_schema_says():
    text = page()
    same = Path("docs/recipes.md").read_text() == text
    assert same, "run: python -m rl.recipe.keys > docs/recipes.md"


def test_every_key_says_what_it_means():
    assert "| ? " not in page()
