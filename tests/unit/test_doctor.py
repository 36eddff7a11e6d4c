import io

from rich.console import Console

from rl.commands.doctor import Checklist
from rl.progress import Progress


def checked(*answers, error=None):
    """The lines shown for the items a, b and c, and whether all is well."""
    file = io.StringIO()
    checklist = Checklist(("a", "b", "c"), Progress(0, Console(file=file, width=200)))
    for answer in answers:
        checklist.answer(*answer)
    if error is not None:
        checklist.fail(error)
    return file.getvalue().splitlines(), checklist.good


def test_every_item_gets_its_line_as_soon_as_it_is_known():
    assert checked(("a", True, "one")) == (["yes  a: one"], False)
    answers = [("a", True, "one"), ("b", True, "two"), ("c", True, "three")]
    assert checked(*answers) == (["yes  a: one", "yes  b: two", "yes  c: three"], True)


def test_an_item_that_is_not_well_makes_the_whole_not_well():
    lines, good = checked(("a", True, "one"), ("b", False, "two"), ("c", True, "three"))
    assert lines[1] == "NO   b: two"
    assert not good


def test_an_error_is_of_the_item_that_was_checked_and_the_later_ones_were_not_reached():
    lines, good = checked(("a", True, "one"), error="server-0 ended")
    assert lines == ["yes  a: one", "NO   b: server-0 ended", "NO   c: not reached"]
    assert not good
