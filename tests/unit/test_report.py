"""What `assay report` puts into its page."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from rl.cli import main
from rl.density.density import Scored, density
from rl.density.fit import Member
from rl.density.report import report as density_report
from rl.density.report import write_report
from rl.density.table import references, write_members
from rl.errors import UserError
from rl.evaluation.statistics import Estimate
from rl.record import RunDirectory
from rl.report.command import content
from rl.report.curves import MOST_POINTS, thinned
from rl.report.page import embedded, page
from rl.report.read import number_at, read_run
from rl.report.samples import columns
from rl.report.sections import interval
from rl.scaling.command import to_json
from rl.scaling.curves import Sigmoid
from rl.scaling.forecast import Point, fit_curve
from rl.scaling.runs import Curve
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
    assert found["absent"] == (
        "Not recorded here, and left out: Forecast, KL to the guides, Density, Critic, Memory."
    )


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
        file.write('{"step": 9, "id": "train/9/0/0"}\n')
    assert main(["report", str(path)]) == 1
    assert "is no answer (KeyError('verdict'))" in capsys.readouterr().err
    with (path / "metrics.jsonl").open("a") as file:
        file.write("[]\n")
    with pytest.raises(UserError, match=r"metrics.jsonl, line 5 holds b'\[\]'"):
        read_run(path)


def test_a_run_named_twice_is_refused(tmp_path, capsys):
    path = str(write_run(tmp_path / "one"))
    assert main(["report", path, path]) == 1
    assert "named twice" in capsys.readouterr().err


def sections(path):
    return {part["id"]: part for part in content([read_run(path)], 10)["sections"]}


def test_what_other_commands_did_not_find_is_missed_in_one_sentence(tmp_path):
    bare = sections(write_run(tmp_path / "one"))
    assert bare["density"]["sentences"] == [
        "Left out for one: `assay density of` has not been run there."
    ]
    assert bare["density"]["table"] is None
    assert bare["forecast"]["sentences"] == [
        "Left out for one: no forecast was made in training, which takes five evaluations, and "
        "none by `assay scaling`."
    ]


def test_density_is_shown_as_assay_density_writes_it(tmp_path):
    path = write_run(tmp_path / "one")
    known, _ = write_densities(path)
    found = sections(path)["density"]
    assert len(found["sentences"]) == 1
    assert "times as dense" in found["sentences"][0]
    rows = [dict(zip(found["table"]["head"], row, strict=True)) for row in found["table"]["rows"]]
    assert rows[0]["density"].startswith(f"{known['density']['value']:.3g} [")
    assert rows[1]["density"].startswith("at least ")
    assert rows[1]["density"].endswith("open]")
    assert rows[0]["tokens per answer"] == "30.0"
    (chart,) = (c for c in content([read_run(path)], 10)["charts"] if c["id"] == "densities")
    assert chart["x"] == [0, 4]
    assert chart["lines"][0]["values"] == [known["density"]["value"], None], "no bound as a number"


def write_densities(path):
    """density.json of a run that leaves the family's range behind, by what writes real ones."""
    members = [
        Member(str(n), n, 1000, None, Estimate(score, score - 0.01, score + 0.01), 30.0)
        for n, score in ((100, 0.2), (200, 0.35), (400, 0.5), (800, 0.65), (1600, 0.8))
    ]
    table = path / "family.csv"
    write_members(table, {"all": members})
    curves, without = references(table, None)
    scores = [(0, Estimate(0.45, 0.44, 0.46)), (4, Estimate(0.99, 0.98, 1.0))]
    found = [
        density(curves["all"], Scored("one", "all", 400, score, 30.0, step))
        for step, score in scores
    ]
    write_report(path, density_report(table, curves, without, found), found, curves)
    return [d.to_json() for d in found]


def test_forecasts_are_shown_as_the_run_and_assay_scaling_wrote_them(tmp_path):
    path = write_run(tmp_path / "one")
    score, wide = {"value": 0.95, "low": 0.9, "high": 0.97}, {"value": 0.9, "low": 0.5, "high": 1.0}
    forecast = {"step": 9, "compute": 1e12, "score": score, "asymptote": wide}
    row = {"step": 5, "samples": 2, "avg_at_k": score, "forecast": forecast}
    RunDirectory(path).append("evals.jsonl", [row])
    end, points = Sigmoid(*map(np.array, (0.35, 0.61, 2542.0, 1.92))), range(1500, 8000, 500)
    curve = [Point(n, c, float(end.at(c))) for n, c in enumerate(points)]
    fit = fit_curve(0.35, curve)
    asked = to_json(Curve("flop", Point(0, 0.0, 0.35), curve, 16000.0), fit, [16000], [0.5, 0.7])
    RunDirectory(path).write_json("scaling.json", asked)
    first, fitted, at, reached, never = sections(path)["forecast"]["sentences"]
    assert first == (
        "one: after step 5, the score after step 9 is forecast as 0.950 [0.900, 0.970], and the "
        "asymptote as no more than between 0.500 and 1.000."
    )
    assert fitted.startswith("one: `assay scaling`, from 13 evaluations after the start: asymptote")
    assert "asymptote 0.610 [" in fitted
    assert at.startswith("one: at 1.6e+04 FLOP the score is forecast as 0.60")
    assert reached.startswith("one: a score of 0.5 is forecast at 2.99e+03 [")
    assert never == "one: a score of 0.7 is never reached by this curve."
    (chart,) = (c for c in content([read_run(path)], 10)["charts"] if c["id"] == "foreseen")
    assert chart["lines"][0]["low"] == [None, None, 0.9]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recipe.yaml", "a: &a [x]\nenvs: 3\nmodel: [*a, *a]\n"),
        ("metrics.jsonl", '{"step": "one"}\n'),
        ("metrics.jsonl", '{"step": 1, "reward": ' + "[" * 100_000 + "\n"),
        ("metrics.jsonl", "\udcff\n"),
        ("evals.jsonl", '{"step": 0, "avg_at_k": 1}\n'),
        ("samples.jsonl", '{"step": 1e400}\n'),
        ("sessions.json", "[1]"),
        ("density.json", '{"changes": [], "densities": [{"step": 1}]}'),
        ("scaling.json", '{"sigmoid": {"asymptote": "<b>"}, "unit": "flop", "points": []}'),
    ],
)
def test_a_file_of_another_shape_is_refused_in_a_sentence(tmp_path, name, text):
    path = write_run(tmp_path / "one", finished=False)
    (path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=name if name != "recipe.yaml" else "no directory of a run"):
        content([read_run(path)], 10)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("response", ["x"]),
        ("versions", [[0, "x", 1]]),
        ("tokens", {"characters": [1], "logprobs": [0.0]}),
        ("tokens", {}),
        ("score", "<b>"),
        ("outcome", "row chosen"),
    ],
)
def test_every_value_of_an_answer_has_the_type_that_the_page_takes_it_for(run, key, value):
    line = (run.path / "samples.jsonl").read_text().splitlines()[0]
    row = json.loads(line)
    (row["verdict"] if key in row["verdict"] else row)[key] = value
    (run.path / "samples.jsonl").write_text(json.dumps(row) + "\n")
    if key == "response":
        del row["tokens"]
        (run.path / "samples.jsonl").write_text(json.dumps(row) + "\n")
        assert columns([run], 10)["columns"][key] == ["['x']"]
    else:
        with pytest.raises(UserError, match="is no answer"):
            columns([run], 10)


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
