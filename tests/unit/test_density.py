"""Densities, what they are compared with, their trend, and the tables they come from."""

import json
import re
from datetime import date, timedelta
from math import exp, inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.cli import main
from rl.density.density import Density, Draws, Quantity, Scored, density
from rl.density.fit import Member, Reference, fit_reference
from rl.density.law import Curve, LogSize, ScoreLaw, Span
from rl.density.report import changes
from rl.density.scored import read_scored
from rl.density.table import read_members, write_members
from rl.density.trend import Point, fit_trend, frontier
from rl.errors import UserError
from rl.evaluation.statistics import Estimate

SIZES = (20_000, 60_000, 180_000, 540_000, 1_620_000)
CURVE = Curve(LogSize(), ScoreLaw(0.96, -0.9, -log(180_000), 0.02), 1.0, SIZES[0], SIZES[-1])
DAY = date(2026, 1, 1)


def exactly(score: float) -> Estimate:
    return Estimate(score, score, score)


def table(tokens: float | None = 30.0) -> list[Member]:
    return [Member(str(n), n, None, None, exactly(CURVE.score(n)), tokens) for n in SIZES]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fit_reference(table(), replicates=50)


def scored(score: float, **others: object) -> Scored:
    given = {"name": "policy", "env": "all", "parameters": 180_000, "mean_tokens": 30.0}
    return Scored(score=exactly(score), **{**given, **others})  # pyright: ignore


def value(draws: Draws | None) -> float:
    assert draws is not None
    found = draws.quantity()
    assert found.bound == ""
    assert found.value is not None
    return found.value


def test_a_policy_as_good_as_a_family_member_of_its_size_has_density_1(
    reference: Reference,
) -> None:
    assert value(density(reference, scored(0.5)).density) == pytest.approx(1, rel=1e-2)


def test_density_is_effective_size_over_size(reference: Reference) -> None:
    found = density(reference, scored(CURVE.score(540_000), parameters=90_000))
    assert value(found.size) == pytest.approx(540_000, rel=1e-2)
    assert value(found.density) == pytest.approx(6, rel=1e-2)


def test_four_times_the_tokens_for_the_same_score_are_not_denser_in_use(
    reference: Reference,
) -> None:
    short, long = (density(reference, scored(0.5, mean_tokens=x)) for x in (30.0, 120.0))
    assert value(long.density) == value(short.density)
    assert value(short.in_use) == pytest.approx(1, rel=1e-2)
    assert value(long.in_use) == pytest.approx(value(short.in_use) / 4)


def test_tokens_that_are_not_known_give_no_density_in_use(reference: Reference) -> None:
    assert density(reference, scored(0.5, mean_tokens=None)).in_use is None
    untold = fit_reference(table(tokens=None), replicates=2)
    assert density(untold, scored(0.5)).in_use is None


@pytest.mark.parametrize(("variant", "times"), [(None, 1), ("int8", 2), ("int4", 4)])
def test_a_quantised_policy_of_the_same_score_is_denser_by_bits(
    reference: Reference, variant: str | None, times: int
) -> None:
    found = density(reference, scored(0.5, variant=variant))
    assert value(found.density) == pytest.approx(1, rel=1e-2)
    assert value(found.by_bits) == pytest.approx(times * value(found.density))


@pytest.mark.parametrize(
    ("score", "bound", "size"), [(1.0, "at least", SIZES[-1]), (0.0, "at most", SIZES[0])]
)
def test_a_score_beyond_the_family_gives_a_bound_and_says_so(
    reference: Reference, score: float, bound: str, size: int
) -> None:
    found = density(reference, scored(score)).to_json()
    assert found["effective_parameters"]["bound"] == bound
    assert found["effective_parameters"]["value"] == size
    assert found["density"]["value"] == pytest.approx(size / 180_000)
    assert found["density"]["high" if bound == "at least" else "low"] is None


def test_an_interval_that_reaches_the_end_of_the_family_is_open_there(
    reference: Reference,
) -> None:
    near = CURVE.score(SIZES[-1]) - 0.01
    found = density(reference, scored(0)._replace(score=Estimate(near, near - 0.2, near + 0.05)))
    size = found.size.quantity()
    assert size.bound == ""
    assert size.high == inf
    assert 180_000 < size.low < SIZES[-1]
    assert size.text(str).endswith("open]")


def test_a_wide_score_gives_a_wide_interval_around_the_value(reference: Reference) -> None:
    sharp = density(reference, scored(0.5)).density.quantity()
    vague = density(reference, scored(0)._replace(score=Estimate(0.5, 0.4, 0.6))).density.quantity()
    assert vague.low < sharp.low <= sharp.span.low <= sharp.high < vague.high


@given(st.floats(0.02, 0.98), st.floats(0.001, 0.02))
def test_a_higher_score_is_never_less_dense(score: float, more: float) -> None:
    low, high = CURVE.effective_size(score), CURVE.effective_size(min(1.0, score + more))
    assert low.low <= high.low
    assert low.high <= high.high


def draws(*spans: tuple[float, float]) -> Draws:
    low, high = (np.array(x) for x in zip(*spans, strict=True))
    return Draws(Span(*spans[0]), low, high)


def test_a_ratio_knows_what_its_parts_know() -> None:
    six, three = draws((6, 6), (6, 6)), draws((3, 3), (3, 3))
    at_least, at_most = draws((6, inf), (6, inf)), draws((0, 3), (0, 3))
    assert six.over(three).quantity() == Quantity(Span(2, 2), 2, 2)
    assert at_least.over(three).quantity() == Quantity(Span(2, inf), 2, inf)
    assert six.over(at_most).quantity() == Quantity(Span(2, inf), 2, inf)
    assert at_most.over(six).quantity() == Quantity(Span(0, 0.5), 0, 0.5)
    assert at_least.over(at_least).quantity().bound == "unknown"
    assert at_least.over(at_least).quantity().to_json()["value"] is None


def test_before_against_after_is_a_plain_sentence(reference: Reference) -> None:
    def after(step: int, n: int, tokens: float) -> Density:
        return density(reference, scored(CURVE.score(n), step=step, mean_tokens=tokens))

    [sentence] = changes([after(0, 90_000, 30.0), after(9, 130_000, 31), after(20, 360_000, 60.0)])
    assert sentence.startswith("policy, all: step 20 against step 0: 4")
    assert "times as dense (95 % interval" in sentence
    assert "with 2.00 times the tokens per answer: in use 2" in sentence


def test_two_densities_beyond_the_family_are_not_compared(reference: Reference) -> None:
    both = [density(reference, scored(1.0, step=step)) for step in (0, 1)]
    assert "both densities are beyond the family's end" in changes(both)[0]


# -- over dates ------------------------------------------------------------------------------------


def points(growth: float, noise: float = 0.0, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    days = range(0, 700, 20)
    return [
        Point(DAY + timedelta(t), 0.3 * exp(growth * t + noise * rng.standard_normal()))
        for t in days
    ]


@pytest.mark.parametrize(("growth", "days"), [(0.0066, 105), (0.0073, 95)])
def test_the_published_rates_give_the_published_doubling_times(growth: float, days: int) -> None:
    trend = fit_trend(frontier(points(growth)))
    assert trend.growth == pytest.approx(growth)
    assert trend.at_first == pytest.approx(0.3)
    assert round(trend.doubling_days[0]) == days
    assert trend.doubling_days[1] == pytest.approx(trend.doubling_days[2])


def test_the_interval_of_a_growth_rate_covers_it_19_times_out_of_20() -> None:
    covered = 0
    for seed in range(400):
        trend = fit_trend(points(0.0066, noise=0.5, seed=seed))
        value, low, high = trend.doubling_days
        assert low < value < high
        covered += low <= log(2) / 0.0066 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_density_that_may_as_well_not_grow_has_no_longest_doubling_time() -> None:
    trend = fit_trend(points(0.0002, noise=0.5))
    assert trend.growth_low < 0
    assert trend.doubling_days[2] == inf


def test_the_frontier_is_what_was_densest_so_far() -> None:
    made = [(0, 1.0), (5, 0.5), (5, 2.0), (9, 2.0), (12, 3.0)]
    found = frontier([Point(DAY + timedelta(t), x) for t, x in reversed(made)])
    assert [((p.day - DAY).days, p.density) for p in found] == [(0, 1.0), (5, 2.0), (12, 3.0)]


@pytest.mark.parametrize("made", [[], [(0, 1.0), (9, 2.0)], [(3, 1.0), (3, 2.0), (3, 3.0)]])
def test_too_few_points_have_no_trend(made: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="at least three points"):
        fit_trend([Point(DAY + timedelta(t), x) for t, x in made])


# -- tables and commands ---------------------------------------------------------------------------


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = {
        "all": [Member("a", 20_000, 1e6, 0.125, Estimate(0.5, 0.4, 0.6), 31.5)],
        "sums": [Member("a", 20_000, None, None, exactly(0.25), None)],
    }
    write_members(tmp_path / "family.csv", whole)
    assert read_members(tmp_path / "family.csv") == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,score\na,0.5\n", "has no column parameters; it has name, score"),
        ("parameters,score\n", "has no rows"),
        ("parameters,score\n7e9,50\n", "line 2: score must be a number from 0 to 1, not '50'"),
        ("parameters,score\n7B,0.5\n", "parameters must be a number of at least 1, not '7B'"),
        ("parameters,score\n,0.5\n", "line 2: parameters is empty"),
        ("parameters,loss\n7e9,\n", "has neither a loss nor a score"),
        ('parameters,score\n7e9,"0,5"\n', "score must be a number from 0 to 1, not '0,5'"),
        ("parameters,score,score_low\n7,0.5,0.6\n", "score 0.5 lies outside 0.6 to 0.5"),
    ],
)
def test_a_table_that_cannot_be_read_says_where_and_why(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "family.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read_members(tmp_path / "family.csv")


@pytest.fixture
def family(tmp_path: Path) -> Path:
    write_members(tmp_path / "family.csv", {"all": table(), "sums": table(), "few": table()[:3]})
    return tmp_path / "family.csv"


def run_directory(path: Path, *scores: float) -> Path:
    path.mkdir()
    (path / "policy.json").write_text(json.dumps({"n_parameters": 180_000}))
    rows, answers = [], []
    for step, score in enumerate(scores):
        found = exactly(score)._asdict()
        of_env = {"sums": found, "few": found}
        rows.append(
            {"step": step * 10, "avg_at_k": found, "avg_by_env": of_env, "mean_tokens": 30 + step}
        )
        answers += [
            {"step": step * 10, "split": split, "env": env, "options": {}, "response_tokens": n}
            for split, env, n in (("test", "sums", 20), ("test", "sums", 24), ("train", "sums", 9))
        ]
    for name, lines in (("evals.jsonl", rows), ("samples.jsonl", answers)):
        (path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_run_gives_every_evaluation_by_kind_of_task_with_its_tokens(tmp_path: Path) -> None:
    found = read_scored(run_directory(tmp_path / "run", 0.2, 0.6))
    shown = [(s.step, s.env, s.score.value, s.mean_tokens) for s in found]
    assert shown == [
        (0, "all", 0.2, 30), (0, "sums", 0.2, 22), (0, "few", 0.2, None),
        (10, "all", 0.6, 31), (10, "sums", 0.6, 22), (10, "few", 0.6, None),
    ]  # fmt: skip


def test_the_density_of_a_run_is_printed_and_written_beside_it(
    tmp_path: Path, family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_directory(tmp_path / "run", 0.2, 0.5, 0.999)
    assert main(["density", "of", str(run), "--reference", str(family)]) == 0
    said = capsys.readouterr().out
    assert "no curve for few: 3 sizes with a score, and a curve needs at least 5" in said
    assert "run, all: step 20 against step 0: at least" in said
    found = json.loads((run / "density.json").read_text())
    kinds = [(d["step"], d["env"], d["density"]["bound"]) for d in found["densities"]]
    assert kinds == [
        (0, "all", None), (0, "sums", None), (10, "all", None), (10, "sums", None),
        (20, "all", "at least"), (20, "sums", "at least"),
    ]  # fmt: skip
    assert found["densities"][2]["density"]["value"] == pytest.approx(1, rel=1e-2)
    assert found["reference"]["without"].keys() == {"few"}
    for plot in ("density.svg", "density-curve.svg"):
        assert (run / plot).read_text().startswith("<?xml ")


def evaluation(path: Path, score: float, variant: str | None, parameters: int | None) -> Path:
    path.mkdir()
    settings = {
        "checkpoint": "nowhere", "step": None, "variant": variant, "parameters": parameters
    }  # fmt: skip
    one = {"avg_at_k": exactly(score)._asdict(), "mean_tokens": exactly(30.0)._asdict()}
    (path / "settings.json").write_text(json.dumps(settings))
    (path / "scores.json").write_text(json.dumps({"all": one, "by_env": {"sums": one}}))
    return path


def test_quantised_variants_stand_beside_the_whole(
    tmp_path: Path, family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = evaluation(tmp_path / "whole", 0.5, None, 180_000)
    int4 = evaluation(tmp_path / "int4", CURVE.score(90_000), "int4", 180_000)
    assert main(["density", "of", str(whole), str(int4), "--reference", str(family)]) == 0
    assert "by bits" in capsys.readouterr().out
    [found, _] = json.loads((int4 / "density.json").read_text())["densities"]
    assert found["density"]["value"] == pytest.approx(0.5, rel=1e-2)
    assert found["density_by_bits"]["value"] == pytest.approx(2, rel=1e-2)


def test_a_size_that_is_not_known_has_no_density(tmp_path: Path, family: Path) -> None:
    with pytest.raises(UserError, match="how many parameters 'nowhere' has is not known"):
        read_scored(evaluation(tmp_path / "remote", 0.5, None, None))


def test_models_by_date_give_densities_and_those_a_doubling_time(
    tmp_path: Path, family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["name,parameters,score,date"]
    for i, n in enumerate((100_000, 200_000, 400_000, 800_000)):
        lines.append(f"m{i},100000,{CURVE.score(n):.6f},{DAY + timedelta(100 * i)}")
    lines.append(f"beyond,100000,0.999,{DAY + timedelta(500)}")
    (tmp_path / "models.csv").write_text("\n".join(lines) + "\n")
    assert main(["density", "of", str(tmp_path / "models.csv"), "--reference", str(family)]) == 0
    assert main(["density", "trend", str(tmp_path / "models.density.csv")]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 points (1 are bounds, and left out)" in said
    doubling = float(said.split("density doubles every ")[1].split()[0])
    assert doubling == pytest.approx(100, rel=2e-2)


def test_a_curve_is_fitted_and_drawn(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["density", "fit", str(family)]) == 0
    assert "Reference curves" in capsys.readouterr().out
    drawn = sorted(path.name for path in family.parent.glob("*.svg"))
    assert drawn == ["family-all.svg", "family-sums.svg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["of", "nothing"], "there is no runs/density-family/family.csv yet"),
        (["of", "nothing", "--reference", "family.csv"], "nothing holds no scores"),
        (["of", "other.csv", "--reference", "family.csv"], "was scored on logic, and family.csv"),
        (["trend", "dates.csv"], r"1 points that were the densest so far \(--all: every one\)"),
        (["trend", "wrong.csv"], "line 2: date must be one such as 2026-11-22, not 'May'"),
        (["fit", "few.csv"], r"few\.csv gives no curve \(all: 1 sizes with a score, and"),
        (["family", "own.yaml"], "a family imitates worked solutions with the embedded policy"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path,
    family: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.csv").write_text("parameters,score,env\n10,0.5,logic\n")
    Path("dates.csv").write_text("date,density\n2026-01-02,1\n2026-01-03,1\n2026-01-04,1\n")
    Path("wrong.csv").write_text("date,density\nMay,1\n")
    Path("few.csv").write_text("parameters,score\n10,0.5\n")
    Path("own.yaml").write_text("model: some/model\nenvs: [{name: arithmetic}]\n")
    assert main(["density", *words]) == 1
    assert re.search(said, capsys.readouterr().err)
