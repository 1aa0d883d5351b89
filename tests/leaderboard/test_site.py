"""Truth: the result files, read beside the pages; properties of the pages: links, ids, bytes, nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
import threading
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from tests.leaderboard.test_board import BASELINE, SCORES, comparison_of, entry, on_fresh_seeds
from tests.leaderboard.test_build import NASTY, store, two_tasks
from tests.leaderboard.test_links import broken_links
from tests.scoring.builder import LANGUAGES, TIERED, Lang, flat, make_result, make_suite, realignment
from tests.small import command
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.site import build, charts, checkpoints
from xrealign_bench.leaderboard.site.build import build_site
from xrealign_bench.leaderboard.site.land import land
from xrealign_bench.leaderboard.site.serve import serve
from xrealign_bench.results.comparison import Gain
from xrealign_bench.results.records import ReportedMean
from xrealign_bench.scoring.regression import regress
from xrealign_bench.specs import Parallel, digest

REPOSITORY = Path(__file__).parents[2]
FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("use", "href"), ("form", "action")}


class Page(HTMLParser):
    """The elements, the rows of tables as texts, and all text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data

    def row(self, start: str) -> list[str]:
        return next(row for row in self.rows if row and row[0].startswith(start))


def nasty_results(root: Path) -> Path:
    """Four recipes, one of them limited; one has markup in its title, its checkpoint's and a language's name; HTML
    in the source of reported scores."""
    languages = (*LANGUAGES[:3], Lang("sw", "low", 0.8, False, name=NASTY))
    good = entry("good", 0.05, 0.04, 0.06, languages=languages)
    recipe = good.result.recipe.model_copy(update={"title": NASTY, "description": NASTY})
    good = StoredResult(good.folder, good.result.model_copy(update={"recipe": recipe}), good.comparison)
    elsewhere = BASELINE.result.checkpoint.model_copy(update={"id": NASTY, "weights_sha256": "9" * 64})
    named = {"checkpoint": elsewhere, "reported": f"<script>{NASTY}</script>", "compute_settings": None}
    other = StoredResult(Path("results/other"), BASELINE.result.model_copy(update=named), None)
    part = entry("part", 0.2, 0.1, 0.3, limit=5, languages=languages)
    return store(root, BASELINE, good, entry("equal", 0.045, 0.035, 0.055), part, other)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nasty_results(tmp_path_factory.mktemp("stored"))


@pytest.fixture(scope="module")
def site(results: Path) -> Path:
    written = build_site(results, results.parent / "site")
    assert written[0] == results.parent / "site" / "index.html" and all(page.is_file() for page in written)
    return written[0].parent


@pytest.fixture(scope="module")
def pages(site: Path) -> list[Page]:
    return [Page(path) for path in sorted(site.rglob("*.html"))]


def test_every_kind_of_page_is_there(site: Path) -> None:
    board = site / "toy-1.0"
    assert {path.name for path in (board / "results" / "mini").glob("*.html")} == {
        "finetune-only.html", "good.html", "equal.html", "part.html",
    }  # fmt: skip
    assert {path.stem for path in (board / "languages").iterdir()} == {"en", "de", "fr", "th", "sw"}
    assert (board / "index.html").is_file() and (board / "checkpoints/mini/index.html").is_file()


def test_every_link_works(site: Path) -> None:
    assert list(broken_links(site)) == []


def test_nothing_is_fetched_from_elsewhere(pages: list[Page], site: Path) -> None:
    for page in pages:
        fetched = [a.get(name) or "" for tag, a in page.elements for t, name in FETCHED if tag == t and name in a]
        assert fetched and not [url for url in fetched if re.match(r"[a-z]+:(?!,)|//", url)]
    for asset in ("site.css", "site.js", "land.svg"):
        content = (site / "assets" / asset).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|@import|url\((?!#)", content)


def test_names_bring_no_markup(pages: list[Page]) -> None:
    told = [page for page in pages if "alert(1)" in page.text]
    assert len(told) > 5
    for page in pages:
        assert not [tag for tag, attributes in page.elements if tag == "script" and "src" not in attributes]
    assert NASTY in next(p for p in pages if p.path.match("mini/good.html")).text


def test_ids_are_unique_and_pages_have_a_language_a_title_and_one_heading(pages: list[Page]) -> None:
    for page in pages:
        ids = [a["id"] for tag, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids)), page.path
        tags = [tag for tag, _ in page.elements]
        assert tags.count("h1") == tags.count("main") == 1
        assert dict(page.elements)["html"] == {"lang": "en"}


def test_the_board_shows_ranks_figures_and_what_is_missing(site: Path) -> None:
    board = Page(site / "toy-1.0" / "index.html")
    good, equal, baseline, part = (row for row in board.rows if len(row) == 18 and row[2] == "mini")
    assert [row[0] for row in (good, equal, baseline, part)] == ["1–2", "1–2", "3", "partial"]
    # 0.85, 0.65, 0.55 and 0.25, each 5 points above the baseline's; in the comparison sw loses 3. No tier is of five.
    assert good[3:11] == ["rescored", "2", "57.5", "+5.0 [+4.0, +6.0]", "–", "–", "–", "95.0"]
    assert good[11:14] == ["3 / 1", "0 [0, 2] / 1 [1, 3]", "sw -3.0"]
    assert baseline[6] == "baseline" and baseline[11:14] == ["–", "–", "–"]
    assert part[-1] == "limited to 5 examples" and good[-1] == ""


def test_a_heat_map_has_the_gains_of_the_comparisons(site: Path, results: Path) -> None:
    page = Page(site / "toy-1.0/checkpoints/mini/index.html")
    stored = json.loads((results / "good/comparison.json").read_text())["tasks"][0]["languages"]
    gains = {change["language"]: change["gain"] for change in stored}
    heads = [row for row in page.rows if row and row[0] == "Language"]
    assert heads[0][-4:] == ["finetune-only", "good", "equal", "part"]
    assert [row[0] for row in page.rows if len(row) == 1] == ["high (2)", "medium (1)", "low (1)"]
    for code, start in (("de", "DE"), ("fr", "FR"), ("th", "TH"), ("sw", "a |")):
        assert float(page.row(start)[-3].split()[0]) == pytest.approx(100 * gains[code])
    classes = [a.get("class") for tag, a in page.elements if tag == "td" and a.get("class", "").startswith("n d")]
    assert classes == ["n d3"] * 3


def test_a_page_of_a_result_has_its_evidence_beside_it(site: Path, results: Path) -> None:
    folder = site / "toy-1.0/results/mini"
    for name in ("result.json", "comparison.json"):
        assert (folder / f"good.{name}").read_bytes() == (results / "good" / name).read_bytes()
    assert not (folder / "finetune-only.comparison.json").exists()
    page = Page(folder / "good.html")
    stored = json.loads((results / "good/result.json").read_text())
    for said in (stored["suite_digest"], stored["recipe_digest"], "d" * 64, "1,000 resamples, seed 0"):
        assert said in page.text
    assert "xrealign-bench evaluate --suite toy.yaml --recipe good.yaml --checkpoint mini --device cpu" in page.text
    assert page.row("DE (de)")[1:] == [
        "Latn", "Toy", "high", "0.10", "close", "yes", "85.0", "49.0", "+1.0 [+1.0, +1.0]", "0.0010",
        "helped ▲", "same",
    ]  # fmt: skip


def test_a_page_of_a_language_has_every_checkpoint_and_recipe(site: Path) -> None:
    page = Page(site / "toy-1.0/languages/th.html")
    scores = [(row[0], row[1] == "mini", row[4]) for row in page.rows if len(row) == 10][1:]
    assert sorted(scores) == [
        ("equal", True, "54.5"),
        ("finetune-only", False, "50.0"),
        ("finetune-only", True, "50.0"),
        ("good", True, "55.0"),
        ("part", True, "70.0"),
    ]


def site_of(root: Path, *entries: StoredResult) -> Path:
    """The folder of the board of a site of these results."""
    return build_site(store(root, *entries), root / "site")[0].parent / "toy-1.0"


def test_gains_are_shown_once_and_only_for_rows_that_have_some(tmp_path: Path) -> None:
    good, bare = entry("good", 0.05, 0.04, 0.06), entry("bare", 0.05, 0.04, 0.06)
    assert bare.comparison is not None
    none = {name: Gain(mean=None, low=None, high=None, languages=4, reason="x") for name in bare.comparison.gains}
    bare = StoredResult(bare.folder, bare.result, bare.comparison.model_copy(update={"gains": none}))
    board = site_of(tmp_path, BASELINE, good, bare)
    page = Page(board / "checkpoints/mini/index.html")
    gains = [row for row in page.rows if row[0] in ("good", "bare") and row[1].startswith("+")]
    assert [row[:2] for row in gains] == [["good", "+5.0 [+4.0, +6.0]"]]
    # One task: no row of all tasks.
    result = Page(board / "results/mini/good.html")
    assert not {"mean over tasks", "all tasks"} & {row[0] for row in result.rows}
    assert ["tags", "4", "3 / 1", "0 [0, 2] / 1 [1, 3]"] in result.rows


def test_controls_are_rows_without_bars(tmp_path: Path) -> None:
    """Their gains are in the tables; the bars and the first recipe's charts are other recipes'."""
    good, placebo = entry("good", 0.05, 0.04, 0.06), entry("placebo", 0.06, 0.05, 0.07)
    spec = placebo.result.recipe.model_copy(update={"parallel": Parallel(control="shuffled_pairs")})
    result = placebo.result.model_copy(update={"recipe": spec, "recipe_digest": digest(spec)})
    placebo = StoredResult(placebo.folder, result, comparison_of(result, BASELINE.result, 0.05, 0.07))
    page = Page(site_of(tmp_path, BASELINE, good, placebo) / "checkpoints/mini/index.html")
    assert {row[0] for row in page.rows} >= {"good", "placebo"}
    assert "Not drawn: 1 recipe, because they are controls" in " ".join(page.text.split())


def test_all_groups_of_a_result_are_on_its_page(tmp_path: Path) -> None:
    """Unclassified languages too, and those that a realignment read no pairs of."""
    languages = [*LANGUAGES, Lang("xx", "unclassified", seen=None)]
    result = make_result(flat(SCORES | {"xx": 0.4}), languages=languages, realignment=[realignment(1), realignment(2)])
    page = Page(
        site_of(tmp_path, StoredResult(Path("finetune-only"), result, None)) / "results/mini/finetune-only.html"
    )
    shown = dict(zip(page.row("Task"), page.row("tags"), strict=True))
    # The pairs read are those of sw; 0.8, 0.6, 0.5 and 0.4 are the others'.
    assert (shown["Unclassified"], shown["Not realigned"]) == ("40.0", "57.5")
    assert list(shown)[-3:] == ["Unclassified", "Not realigned", "Source"]


def test_two_seeds_have_no_standard_deviation_on_any_page(tmp_path: Path) -> None:
    """A reader would take ±0.0 for knowledge."""
    scores = {("tags", code, seed): score + seed / 100 for code, score in SCORES.items() for seed in (1, 2)}
    board = site_of(tmp_path, StoredResult(Path("finetune-only"), make_result(scores), None))
    assert not any(re.search(r"± ?\d", page.read_text()) for page in board.rglob("*.html"))


def test_scores_by_task_say_what_they_are_over(tmp_path: Path) -> None:
    """The second task has three languages of the low tier: too few for its score."""
    result = two_tasks()
    page = Page(site_of(tmp_path, StoredResult(Path("finetune-only"), result, None)) / "checkpoints/mini/index.html")
    heads = [row for row in page.rows if row[:1] == ["Recipe"]]
    scores = [row for row in page.rows if row[:1] == ["finetune-only"]]
    assert [row[:3] for row in heads] == [
        ["Recipe", "XRmean over high, medium, low", "All15"],
        ["Recipe", "XRmean over high, medium", "All13"],
    ]
    # All of names: (5 x 60 + 5 x 40 + 3 x 90) / 13.
    assert [row[1:6] for row in scores] == [
        ["60.0", "60.0", "80.0", "60.0", "40.0"],
        ["50.0", "59.2", "60.0", "40.0", "90.0"],
    ]


def test_reported_means_of_single_languages_are_on_the_checkpoints_page(tmp_path: Path) -> None:
    checkpoint = "FacebookAI--xlm-roberta-base--published"
    shutil.copytree(REPOSITORY / "leaderboard/results/lowresource-1.0" / checkpoint, tmp_path / "results" / checkpoint)
    build_site(tmp_path / "results", tmp_path / "site")
    (page,) = (tmp_path / "site/lowresource-1.0/checkpoints").glob("*/index.html")
    fon = ["Fon (fon)", "MasakhaPOS", "15.24 ±1.55", "34.89", "25.72", "–", "39.75"]
    assert fon in Page(page).rows  # up 19.65 with all 65


def test_a_site_in_place_of_an_old_one_is_the_same_bytes(site: Path, results: Path, tmp_path: Path) -> None:
    again = tmp_path / "deeper"
    (again / build.MARK).parent.mkdir(parents=True)
    (again / build.MARK).touch()
    (again / "gone.html").touch()
    build_site(results, again)

    def content(folder: Path) -> dict[Path, bytes]:
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(again) == content(site)


def test_a_folder_that_holds_something_else_is_left_alone(results: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="is not empty and is not a site"):
        build_site(results, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_wide_heat_map_is_spread_over_pages(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "HEAT_RECIPES", 2)
    build_site(results, tmp_path / "site")
    first, second = (Page(tmp_path / f"site/toy-1.0/checkpoints/mini/{name}.html") for name in ("index", "2"))
    heads = [next(row for row in page.rows if row[0] == "Language")[8:] for page in (first, second)]
    assert heads == [["good", "equal"], ["part"]]
    assert all(("a", {"href": "../../checkpoints/mini/2.html"}) in first.elements for _ in heads)


def test_a_site_of_one_seed_has_gains_and_no_verdicts(tmp_path: Path) -> None:
    baseline = make_result(flat(SCORES, (1,)), seeds=(1,))
    full = entry("full", 0.05, 0.04, 0.06, baseline, seeds=(1,))
    stored = store(tmp_path, StoredResult(BASELINE.folder, baseline, None), full)
    board = build_site(stored, tmp_path / "site")[0].parent / "toy-1.0"
    row = next(row for row in Page(board / "index.html").rows if row[2] == "mini")
    assert (row[0], row[6], row[11], row[-1]) == ("–", "+5.0 [+4.0, +6.0]", "–", "has only one seed")
    assert Page(board / "results/mini/full.html").row("SW (sw)")[-3:] == ["–", "not tested", "same"]
    heat = Page(board / "checkpoints/mini/index.html")
    assert heat.row("SW (sw)")[-1] == "-3.0"


def test_a_confirmed_row_says_so_and_sizes_are_those_of_all_checkpoints(tmp_path: Path) -> None:
    """The last checkpoint of the board has a publication's means alone, of which no column has languages."""
    fresh = on_fresh_seeds(0.01, 0.03)
    codes = [each.code for each in TIERED]
    elsewhere = BASELINE.result.checkpoint.model_copy(update={"id": "zzz", "weights_sha256": "9" * 64})
    means = make_result(
        {}, tasks=[], stages=[], reported="a paper", checkpoint=elsewhere, suite=make_suite(TIERED), languages=TIERED,
        reported_means=[ReportedMean(test_set="elsewhere", languages=codes, mean=0.5, std=None, ddof=None)],
    )  # fmt: skip
    tiered = make_result(flat(dict.fromkeys(["en", *codes], 0.5)), languages=TIERED)
    stored = store(tmp_path, StoredResult(BASELINE.folder, tiered, None), StoredResult(Path("means"), means, None))
    heads = Page(build_site(stored, tmp_path / "site")[0].parent / "toy-1.0" / "index.html").rows[0]
    assert heads[7:10] == ["High5 languages, 1 task", "Medium5 languages, 1 task", "Low5 languages, 1 task"]
    stored = store(tmp_path / "confirmed", BASELINE, entry("full", 0.05, 0.04, 0.06), *fresh)
    page = Page(build_site(stored, tmp_path / "confirmed" / "site")[0].parent / "toy-1.0" / "index.html")
    ranks = {row[1]: row[0] for row in page.rows if row[2:3] == ["mini"]}
    assert list(ranks.values()) == ["1", "2", "fresh seeds", "fresh seeds"]
    (row,) = [row for row in page.rows if row[0] == "1"]
    assert row[6] == "+5.0 [+4.0, +6.0]confirmed on 3 fresh seeds: +2.0 [+1.0, +3.0]"


def test_the_filter_for_ranked_rows_knows_sets_of_ranks() -> None:
    script = (Path(build.__file__).parent / "assets" / "site.js").read_text()
    (pattern,) = re.findall(r"ranked\?\.checked && !/(.*?)/\.test", script)
    shown = [
        rank for rank in ("1", "1–3", "12", "–", "partial", "fresh seeds", "withdrawn") if re.search(pattern, rank)
    ]
    assert shown == ["1", "1–3", "12"]


def test_points_of_charts_say_what_they_are() -> None:
    full = entry("full", 0.1, 0.0, 0.2)
    assert full.comparison is not None
    task = full.comparison.tasks[0]
    for drawn in (charts.by_distance(full.result, task, None), charts.world_map(task)):
        assert drawn is not None
        titles = re.findall(r"<title>([^<]*)</title>", drawn)
        assert sorted(titles) == ["de +1.0", "fr +2.0", "sw -3.0", "th +1.0"]
        assert "#222222" not in drawn and "var(--ink)" in drawn
    bars = charts.tier_bars([(full.result, full.comparison)])
    assert bars is not None and "(4 languages)" in bars


def test_the_land_goes_around_the_world_without_jumps() -> None:
    rings = land()
    assert len(rings) > 100
    for ring in rings:
        xs, ys = np.array(ring).T
        assert np.abs(np.diff(xs)).max(initial=0) < 180 and -90 <= ys.min() <= ys.max() <= 84
    paths = [Outline(ring) for ring in rings]
    for longitude, latitude, is_land in (
        (2, 48, True), (105, 60, True), (175, 67, True),
        (20, 0, True), (-60, -10, True), (-100, 45, True), (134, -25, True),
        (-30, 30, False), (-140, 0, False), (80, -30, False),
    ):  # fmt: skip
        assert any(path.contains_point((longitude, latitude)) for path in paths) == is_land, (longitude, latitude)


def test_the_regression_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    xs = rng.random(30)
    ys = 0.3 - 0.2 * xs + rng.normal(0, 0.05, 30)
    line = regress(xs.tolist(), ys.tolist())
    assert line is not None
    design = np.stack([np.ones(30), xs], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    solved = inverse @ design.T @ ys
    assert [line.intercept, line.slope] == pytest.approx(solved)
    variance = ((ys - design @ solved) ** 2).sum() / 28
    at = np.array([0.0, 0.4, 1.0])
    mean, half = line.at(at)
    rows = np.stack([np.ones(3), at], axis=1)
    assert mean == pytest.approx(rows @ solved)
    t = 2.0484071417952445  # of 28 degrees of freedom, from a table
    assert half == pytest.approx(t * np.sqrt(variance * np.einsum("ij,jk,ik->i", rows, inverse, rows)), rel=1e-6)
    assert regress([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]) is None and regress([0.1] * 5, [1.0] * 5) is None


def test_serving_answers_on_this_machine_and_a_taken_port_is_told(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    found: list[str] = []
    there = threading.Event()

    def ready(address: str) -> None:
        found.append(address)
        there.set()

    threading.Thread(target=serve, args=(tmp_path, 0, ready), daemon=True).start()
    assert there.wait(10)
    assert found[0].startswith("http://127.0.0.1:")
    assert urllib.request.urlopen(found[0], timeout=10).read() == b"hello"
    port = int(found[0].rsplit(":", 1)[1].strip("/"))
    with pytest.raises(UserError, match=rf"port {port}: Address already in use; choose another with --port"):
        serve(tmp_path, port, ready)


def test_the_command_names_the_first_page(tmp_path: Path) -> None:
    ran = command("leaderboard", "site", store(tmp_path, BASELINE), "--output", tmp_path / "site")
    assert ran.status == 0 and ran.out.strip() == str(tmp_path / "site" / "index.html")
    ran = command("leaderboard", "site", tmp_path / "site", "--output", tmp_path / "other")
    assert ran.status == 2 and "contains no results to show" in ran.err
