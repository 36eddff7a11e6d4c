"""The report in a headless Chromium."""

import json

import pytest

from rl.report.command import report
from tests.report.browser import Page
from tests.report.chromium import find_or_fetch
from tests.report.runs import HOSTILE, write_run
from tests.report.speed import measured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COUNT = "document.getElementById('count').textContent"
DETAIL = "document.getElementById('detail').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        found = find_or_fetch()
    except LookupError as missing:
        pytest.skip(str(missing))
    with Page(*found, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Of two runs, the first with hostile answers."""
    folder = tmp_path_factory.mktemp("runs")
    paths = [write_run(folder / "one", hostile=True), write_run(folder / "two", steps=6)]
    out = folder / "report.html"
    report(paths, out, 20_000)
    return out


@pytest.fixture
def page(browser, file):
    browser.events.clear()
    browser.size(1280, 900)
    browser.scheme("light")
    browser.open(file)
    return browser


def test_it_loads_without_an_error_and_asks_the_network_for_nothing(page):
    assert page.problems() == []
    assert page.value("document.querySelectorAll('#runs th[scope=col]').length") == 2
    drawn = page.value("document.querySelectorAll('.plot canvas').length")
    assert drawn == page.value("document.querySelectorAll('figure').length") >= 9


def test_a_browser_whose_locale_is_c_draws_it_too(page, file):
    as_there = "Object.defineProperty(Navigator.prototype, 'language', {get: () => 'en-US@posix'})"
    added = page.call("Page.addScriptToEvaluateOnNewDocument", source=as_there)
    try:
        page.open(file)
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    assert page.problems() == []
    assert page.value("document.querySelectorAll('.plot canvas').length") >= 9


def test_the_curves_have_something_on_them(page):
    inked = """(([red, green, blue]) => {
        const canvas = document.querySelector('#chart-reward canvas');
        const found = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        for (let i = 0; i < found.length; i += 4)
          if (found[i + 3] > 200 && Math.abs(found[i] - red) + Math.abs(found[i + 1] - green)
            + Math.abs(found[i + 2] - blue) < 60) return true;
        return false; })"""
    blue, orange = "([31, 111, 235])", "([217, 72, 15])"  # of the first run, and of the second
    assert page.value(inked + blue)
    assert page.value(inked + orange)


def test_the_legend_tells_lines_of_one_colour_apart_as_the_curves_do(page):
    marks = page.value(
        "[...document.querySelectorAll('#chart-held-out .u-series:not(.edge) .u-marker')]"
        ".map(x => [x.style.borderStyle, x.style.borderColor])"
    )
    del marks[0]  # of the step, which shows none
    assert [style for style, _ in marks] == ["solid", "dashed"] * 2
    assert marks[0][1] == marks[1][1] != marks[2][1] == marks[3][1]


def test_filters_show_what_passes_and_count_it(page):
    assert page.value(COUNT) == "161 of 161 answers"
    page.choose("#filter-verdict, #filter-outcome", "wrong")
    verdicts = "[...new Set([...document.querySelectorAll('.row .pill')].map(x => x.textContent))]"
    assert page.value(verdicts) == ["wrong"]
    wrong = int(page.value(COUNT).split()[0])
    page.choose("#filter-run", "one")
    of_one = int(page.value(COUNT).split()[0])
    assert 0 < of_one < wrong
    page.choose("#filter-run", "two")
    assert int(page.value(COUNT).split()[0]) == wrong - of_one
    page.choose("#filter-update", "trained")
    trained = int(page.value(COUNT).split()[0])
    page.choose("#filter-update", "skipped")
    assert trained + int(page.value(COUNT).split()[0]) == wrong - of_one
    assert page.problems() == []


def test_an_answer_of_html_and_script_is_shown_as_text(page):
    page.choose("#filter-run", "one")
    page.value("document.getElementById('filter-text').focus()")
    page.type("attacked")
    for place in range(3):
        page.value(f"document.querySelector('[data-place=\"{place}\"]').click()")
        answer = page.value("document.querySelector('.answer').textContent")
        assert answer in HOSTILE
    assert (
        page.value("document.querySelectorAll('#detail img, #detail svg, #detail script').length")
        == 0
    )
    assert page.value("document.title") == "Assay: one, two"
    assert page.problems() == []


def test_tokens_are_coloured_by_what_is_chosen(page):
    coloured = "[...document.querySelectorAll('.answer span')].filter(x => x.style.backgroundColor)"
    page.choose("#filter-update", "trained")
    page.choose("#colour-by", "advantage")
    tokens = page.value("document.querySelectorAll('.answer span').length")
    assert page.value(f"{coloured}.length") == tokens > 1
    page.choose("#colour-by", "weights version")
    assert page.value(f"new Set({coloured}.map(x => x.style.backgroundColor)).size") == 2
    assert "Weights versions: 0, 1." in page.value(DETAIL)
    page.choose("#colour-by", "log-probability ratio")
    assert page.value(f"{coloured}.length") > 0
    page.choose("#colour-by", "nothing")
    assert page.value(f"{coloured}.length") == 0


def test_the_keyboard_goes_through_answers_tokens_and_curves(page):
    page.value("document.querySelector('.list').focus()")
    page.press("ArrowDown")
    chosen = "document.querySelector('.row.chosen').dataset.place"
    assert page.value(chosen) == "1"
    page.press("End")
    assert page.value(chosen) == "160"
    assert page.value("document.querySelector('.row.chosen').getBoundingClientRect().height") > 0
    page.value("document.querySelector('.answer').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert "token 2 of" in page.value("document.querySelector('.told').textContent")
    page.value("document.querySelector('#chart-reward .plot').focus()")
    page.press("ArrowRight")
    legend = page.value("document.querySelector('#chart-reward .u-legend').textContent")
    assert "1" in legend
    assert "\u2013" not in legend.split("two")[0], "the cursor is on a step"
    page.value("document.activeElement.blur()")
    page.press("/")
    assert page.value("document.activeElement.id") == "filter-text"


def test_light_and_dark_follow_the_system_and_the_button(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.value(paper)
    token = "getComputedStyle(document.querySelector('.answer span')).backgroundColor"
    page.choose("#filter-update", "trained")
    page.value("document.querySelector('[data-place=\"3\"]').click()")
    in_light = page.value(token)
    page.scheme("dark")
    dark = page.value(paper)
    assert dark != light
    assert page.value(token) != in_light
    page.value("document.getElementById('theme').click()")
    assert page.value(paper) == light
    assert page.value(token) == in_light
    chosen = "document.querySelector('.row.chosen').dataset.place"
    assert page.value(chosen) == "3", "the answer that is read stays"
    assert page.problems() == []


def test_nothing_is_wider_than_a_phone(page):
    page.size(390, 844, phone=True)
    assert page.value("document.documentElement.scrollWidth") <= 390
    assert page.value("document.querySelector('.list').clientHeight") > 200
    page.until("document.querySelector('.plot canvas').getBoundingClientRect().width <= 390")


ATTACK = "<img src=x onerror=document.title='attacked'>\u2028"


def test_names_recipes_and_findings_of_html_are_shown_as_text(browser, tmp_path):
    path = write_run(tmp_path / ATTACK, hostile=True)
    script = "</script><script>document.title='taken'</script>"
    recipe = (path / "recipe.yaml").read_text()
    assert "model: embedded\n" in recipe
    recipe = recipe.replace("model: embedded\n", f"model: {json.dumps(script)}\n")
    (path / "recipe.yaml").write_text(recipe)
    (path / "density.json").write_text(json.dumps({"changes": [script], "densities": []}))
    file = tmp_path / "report.html"
    report([path], file, 100)
    browser.events.clear()
    browser.size(390, 844, phone=True)
    browser.open(file)
    assert browser.value("document.title") == f"Assay: {ATTACK}"
    assert browser.value("document.querySelectorAll('img, body > main script').length") == 0
    shown = browser.value("document.body.textContent")
    assert shown.count(script) == 2
    assert ATTACK in shown
    assert browser.value("document.documentElement.scrollWidth") <= 390
    assert browser.problems() == []


def test_a_script_in_the_page_could_make_no_markup_and_send_nothing(page):
    parse = "document.body.insertAdjacentHTML('beforeend', '<i>x</i>')"
    said = f"(() => {{ try {{ {parse}; return 'made'; }} catch (e) {{ return e.name; }} }})()"
    assert page.value(said) == "TypeError"
    assert page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', (e) => e.name)")
    refused = [e for e in page.events if "Content Security Policy" in json.dumps(e)]
    assert refused, "by the policy, not for want of a server"


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """20,000 answers."""
    folder = tmp_path_factory.mktemp("long")
    path = write_run(folder / "long", steps=40, groups=50, size=10)
    report([path], folder / "report.html", 20_000)
    return folder / "report.html"


def test_twenty_thousand_answers_are_filtered_and_searched_in_a_tenth_of_a_second(
    browser, long_file
):
    browser.events.clear()
    browser.open(long_file)
    assert browser.value(COUNT).startswith("20,000 of 20,000")
    found = measured(browser)
    assert found["a filter"] < 100
    assert found["a letter"] < 100
    rows = browser.value("document.querySelectorAll('.row').length")
    assert rows < 80, "only those in sight are drawn"
    assert browser.problems() == []
