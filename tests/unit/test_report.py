"""What `assay report` puts into its page."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import pytest

from rl.cli import main
from rl.errors import UserError
from rl.report.command import content
from rl.report.curves import MOST_POINTS, thinned
from rl.report.page import embedded, page
from rl.report.read import number_at, read_run
from rl.report.samples import columns
from rl.report.sections import interval
from tests.report.runs import HOSTILE, write_run


def of_page(text):
    data = re.search(r'id="data">([^<]*)<', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(data)))


@pytest.fixture
def run(tmp_path):
    return read_run(write_run(tmp_path / "one", hostile=True))


def column(found, key):
    values = found["columns"][key]
    names = found["names"].get(key)
    return values if names is None else [None if v is None else names[v] for v in values]


def test_a_report_is_written_into_its_run(tmp_path, capsys):
    path = write_run(tmp_path / "one")
    assert main(["report", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path / "report.html")
    assert [run["name"] for run in of_page((path / "report.html").read_text())["runs"]] == ["one"]


def test_the_same_run_gives_the_same_page(run):
    assert page(content([run], 100)) == page(content([run], 100))


def test_nothing_that_a_policy_wrote_is_in_the_page_as_text(run):
    text = page(content([run], 100))
    assert all(line not in text for line in HOSTILE)
    found = column(of_page(text)["samples"], "response")
    assert set(HOSTILE) <= set(found), "and all of it is in the data"


def test_the_page_has_no_handler_no_address_and_no_element_that_loads_anything(run):
    found = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, dict(attributes)))

    Elements().feed(page(content([run], 100)))
    tags = {tag for tag, _ in found}
    assert tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "p",
        "noscript",
        "script",
    }
    names = {name for _, attributes in found for name in attributes}
    assert not {name for name in names if name in ("src", "href") or name.startswith("on")}
    policy = next(a["content"] for t, a in found if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_the_scripts_parse_no_html_and_evaluate_nothing():
    from importlib import resources

    assets = resources.files("rl.report") / "assets"
    for name in ("dom.js", "charts.js", "answer.js", "samples.js", "main.js"):
        text = (assets / name).read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                     "Function(", "fetch(", "XMLHttpRequest"):  # fmt: skip
            assert word not in text, (name, word)


def test_curves_are_those_of_the_metrics_and_what_is_missing_is_said(run):
    found = content([run], 100)
    charts = {chart["id"]: chart for chart in found["charts"]}
    assert charts["reward"]["lines"][0]["values"] == [row["reward"] for row in run.metrics]
    held_out = charts["held-out"]["lines"][0]
    assert (held_out["values"], held_out["low"], held_out["high"]) == (
        [0.4, 0.8], [pytest.approx(0.35), 0.75], [0.45, pytest.approx(0.85)]
    )  # fmt: skip
    assert "memory" not in charts
    assert found["absent"] == "Not recorded here, and left out: KL to the guides, Critic, Memory."


def test_verdicts_stack_up_to_one(run):
    (chart,) = (c for c in content([run], 100)["charts"] if c["id"] == "verdicts-0")
    assert chart["lines"][-1]["top"] == pytest.approx([1.0] * len(run.metrics))


def test_runs_of_different_lengths_share_a_chart(tmp_path):
    runs = [
        read_run(write_run(tmp_path / name, steps=steps)) for name, steps in (("a", 2), ("b", 4))
    ]
    found = content(runs, 1000)
    (chart,) = (c for c in found["charts"] if c["id"] == "reward")
    assert chart["x"] == [1, 2, 3, 4]
    short, long = chart["lines"]
    assert short["values"][2:] == [None, None]
    assert None not in long["values"]
    assert (short["run"], long["run"]) == (0, 1)
    assert set(found["samples"]["columns"]["run"]) == {0, 1}


def test_an_answer_keeps_its_verdict_its_place_in_the_update_and_its_tokens(run):
    found = columns([run], 1000)
    i = column(found, "response").index(HOSTILE[0])
    assert column(found, "outcome")[i] == "wrong"
    assert column(found, "detail")[i] == HOSTILE[0]
    assert column(found, "trained")[i] is True
    characters, logprobs, ratios, advantages = column(found, "tokens")[i]
    assert sum(characters) == len(HOSTILE[0])
    assert len(logprobs) == len(ratios) == len(advantages) == len(characters)
    assert len(set(advantages)) == 1
    assert advantages[0] == pytest.approx(column(found, "advantage")[i], abs=1e-3)
    skipped = [why for why in column(found, "skipped") if why is not None]
    assert set(skipped) <= {"constant_reward"}


def test_of_many_answers_whole_groups_are_kept_evenly_over_the_run(tmp_path):
    path = write_run(tmp_path / "long", steps=10, groups=4, size=4)
    found = columns([read_run(path)], 60)
    assert len(found["columns"]["id"]) <= 60
    groups = [name.rpartition("/")[0] for name in found["columns"]["id"]]
    assert all(groups.count(group) == 4 for group in groups)
    assert set(found["columns"]["step"]) == set(range(1, 11))
    assert found["note"].startswith(f"{len(groups)} of 160 answers")


def test_a_run_that_is_under_way_may_be_in_the_middle_of_a_line(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    for name in ("metrics.jsonl", "samples.jsonl"):
        with (path / name).open("a") as file:
            file.write('{"step": 5, "rew')
    run = read_run(path)
    assert [row["step"] for row in run.metrics] == [1, 2, 3, 4]
    assert len(columns([run], 1000)["columns"]["id"]) == 64


def test_what_is_no_run_or_a_damaged_one_is_said(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no recipe.yaml" in capsys.readouterr().err
    path = write_run(tmp_path / "one")
    with (path / "samples.jsonl").open("a") as file:
        file.write('{"id": "train/9/0/0"}\n')
    assert main(["report", str(path)]) == 1
    assert "is no answer: KeyError('verdict')" in capsys.readouterr().err
    with (path / "metrics.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(UserError, match=r"metrics.jsonl, line 5 holds '\[\]'"):
        read_run(path)


def test_a_run_named_twice_is_refused(tmp_path, capsys):
    path = str(write_run(tmp_path / "one"))
    assert main(["report", path, path]) == 1
    assert "named twice" in capsys.readouterr().err


def test_density_and_forecast_are_shown_where_they_are_and_missed_in_one_sentence(tmp_path):
    path = write_run(tmp_path / "one")
    bare = {part["id"]: part for part in content([read_run(path)], 10)["sections"]}
    assert bare["density"]["sentences"] == [
        "Left out for one: `assay density` has not been run there."
    ]
    assert bare["density"]["table"] is None
    estimate = {"value": 2.0, "bound": "at least", "low": 1.5, "high": None}
    row = {"name": "one", "env": "arithmetic", "step": 4, "density": estimate}
    (path / "density.json").write_text(json.dumps({"densities": [row], "changes": ["denser"]}))
    with (path / "evals.jsonl").open("a") as file:
        forecast = {"final_score": {"value": 0.9, "low": 0.85, "high": 0.95}}
        score = {"value": 0.8, "low": 0.7, "high": 0.9}
        whole = {"step": 5, "samples": 2, "avg_at_k": score, "forecast": forecast}
        file.write(json.dumps(whole) + "\n")
    found = {part["id"]: part for part in content([read_run(path)], 10)["sections"]}
    assert found["density"]["sentences"] == ["denser"]
    assert "at least 2 [1.5, open]" in found["density"]["table"]["rows"][0]
    assert found["forecast"]["sentences"] == ["one, after step 5: final score 0.9 [0.85, 0.95]"]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "-"),
        ({"value": None}, "unknown"),
        (3, "3.00"),
        ({"value": 1, "low": 0.5, "high": 2}, "1.00 [0.50, 2.00]"),
    ],
)
def test_an_estimate_never_stands_without_its_interval(found, text):
    assert interval(found, ".2f") == text


def test_a_long_run_is_drawn_with_its_ends():
    rows = [{"step": n} for n in range(5 * MOST_POINTS)]
    drawn = thinned(rows)
    assert len(drawn) == MOST_POINTS
    assert (drawn[0], drawn[-1]) == (rows[0], rows[-1])


def test_a_path_leads_to_a_number_or_to_nothing():
    row = {"a": {"b": 1.5, "c": True}, "d": "text"}
    assert [number_at(row, path) for path in ("a.b", "a.c", "a", "d.e", "x")] == [1.5] + [None] * 4


def test_half_a_surrogate_pair_is_data_like_any_other():
    text = embedded({"text": "\ud800"})
    assert json.loads(gzip.decompress(base64.b64decode(text))) == {"text": "\ud800"}
