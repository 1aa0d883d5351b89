"""Truth: properties of the written files: links lead somewhere, bytes repeat, figures agree, names are harmless."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaderboard.test_board import BASELINE, SCORES, entry, on_fresh_seeds
from tests.scoring.builder import (
    LANGUAGES,
    TIERED,
    Lang,
    flat,
    made_up,
    make_result,
    make_suite,
    make_task,
)
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.board import StoredResult
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.export import _csv
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import write_comparison, write_result

NASTY = 'a | b < 1 > alert(1) & "d" [x](y) `c`'
"""The most that the schema lets into a title or name."""


def store(root: Path, *entries: StoredResult) -> Path:
    for each in entries:
        folder = root / "results" / each.folder.name
        folder.mkdir(parents=True)
        write_result(folder, each.result)
        if each.comparison:
            write_comparison(folder, each.comparison)
    return root / "results"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The README of a board with a good, an equal, a limited row and the baseline."""
    languages = (*LANGUAGES[:3], Lang("sw", "low", 0.8, False, name=NASTY))
    good = entry("good", 0.05, 0.04, 0.06, languages=languages)
    recipe = good.result.recipe.model_copy(update={"title": NASTY})
    good = StoredResult(good.folder, good.result.model_copy(update={"recipe": recipe}), good.comparison)
    results = store(
        tmp_path,
        BASELINE,
        good,
        entry("equal", 0.045, 0.035, 0.055),
        entry("part", 0.2, 0.1, 0.3, limit=5, languages=languages),
    )
    written = build(results, tmp_path / "out")
    assert [path.name for path in written] == ["README.md", "leaderboard.csv", "languages.csv", "leaderboard.json"]
    return written[0]


def links(page: Path) -> set[str]:
    return set(re.findall(r"(?<!\\)\]\(([^)]+)\)", page.read_text()))


def test_every_row_links_to_its_result(page: Path) -> None:
    results = {f"../../results/{name}" for name in ("good", "equal", "part", "finetune-only")}
    assert results < links(page)
    assert all(link.startswith("#") or (page.parent / link).exists() for link in links(page))


def test_pages_of_an_earlier_version_are_removed_and_other_files_stay(page: Path) -> None:
    old = {
        "results/mini/good.md": "# good\n\nBoard: [toy-1.0](../../README.md). Stored: [result.json](x).\n",
        "languages/sw.md": "# Swahili\n\n- Code: sw\n\nBoard: [toy-1.0](../README.md), which says how to read this.\n",
    }
    own = {"notes.md": "mine", "results/mini/notes.md": "mine", "results/other/plan.md": "mine"}
    for name, text in (old | own).items():
        (page.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (page.parent / name).write_text(text)
    build(page.parents[2] / "results", page.parents[1])
    assert not any((page.parent / name).exists() for name in (*old, "languages"))
    assert all((page.parent / name).read_text() == text for name, text in own.items())


def test_nothing_but_the_front_page_and_its_files_is_written(page: Path) -> None:
    written = {path.name for path in page.parent.rglob("*")}
    assert written == {"README.md", "leaderboard.csv", "languages.csv", "leaderboard.json"}


def test_ranks_as_shown(page: Path) -> None:
    rows = re.findall(r"^\| ([\d–]+|partial) \| \[([\w-]+)\]", page.read_text(), flags=re.MULTILINE)
    # Gains of 5.0 and 4.5 points with standard errors of 0.5 can't be told apart; both are above 0.
    assert rows == [("1–2", "good"), ("1–2", "equal"), ("3", "finetune-only"), ("partial", "part")]
    assert re.search(r"- \[part\]\(.*\): limited to 5 examples$", page.read_text(), flags=re.MULTILINE)
    told = re.findall(r"^- ([\w-]+) is better than (.+)\.$", page.read_text(), flags=re.MULTILINE)
    assert sorted(told) == [("equal", "finetune-only"), ("good", "finetune-only")]


def test_parts_are_called_by_their_folders_and_reasons_are_told_once_and_short(tmp_path: Path) -> None:
    languages = [Lang(made_up(n), "high", n / 10) for n in range(6)]
    suite = make_suite(languages)
    some = {"suite": suite, "languages": languages[:1]}
    scores = {"en": 0.9, "qaa": 0.5}
    parts = {"seed1": ((1,), None), "limit9": ((1, 2), 9)}
    results = [
        (
            f"{recipe}--qaa--{part}",
            make_result(flat(scores, seeds), recipe=recipe, seeds=seeds, limit=limit, **some),
        )
        for recipe in ("finetune-only", "full")
        for part, (seeds, limit) in parts.items()
    ]
    store(tmp_path, *(StoredResult(Path(name), result, None) for name, result in results))
    board = build(tmp_path / "results", tmp_path / "out")[0]
    page = board.read_text()
    reasons = re.findall(r"^- (\[.*\)): (.*)$", page, flags=re.MULTILINE)
    told = {tuple(re.findall(r"\[([^]]+)\]", links)): why for links, why in reasons}
    few = "5 of 6 languages not evaluated"
    assert told == {
        ("finetune-only--qaa--limit9",): f"limited to 9 examples; {few}",
        ("finetune-only--qaa--seed1",): f"{few}; seeds not evaluated: 2",
        ("full--qaa--limit9",): f"limited to 9 examples; {few}; is not compared with finetune-only",
        ("full--qaa--seed1",): f"{few}; seeds not evaluated: 2; is not compared with finetune-only",
    }
    assert "qab" not in page
    # What several rows lack is told once.
    store(tmp_path / "again", *(StoredResult(Path(f"{n}"), results[0][1], None) for n in range(3)))
    page = build(tmp_path / "again" / "results", tmp_path / "again" / "out")[0].read_text()
    assert page.count("5 of 6 languages") == 1


def test_names_can_not_break_the_table_or_bring_markup(page: Path) -> None:
    text = page.read_text()
    assert "< 1 >" not in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 1
    for table in tables:
        borders = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(borders) == 1
    assert text.count("a \\| b &lt; 1 &gt;") == 1


def test_html_in_a_source_is_shown_as_text(tmp_path: Path) -> None:
    """Where reported scores come from is a long text, and may have anything in it that is no control character."""
    reported = make_result(flat(SCORES), reported="Someone <script>alert(1)</script>, 2026", stages=[])
    files = build(store(tmp_path, StoredResult(Path("finetune-only"), reported, None)), tmp_path / "out")
    assert "&lt;script&gt;alert(1)" in files[0].read_text() and "<script" not in files[0].read_text()


def test_rules_say_how_ranks_come_about(page: Path) -> None:
    text = page.read_text()
    for said in ("all ranks that the data allow", "Holm", "the mean over tasks of the mean over tiers"):
        assert said in text
    # No tier of the toy suite has five languages.
    assert "the mean over all targets (here: `tags`)" in text
    assert "with limits at 0.25 and 0.6" in text


def test_csv_and_json_agree_with_the_page(page: Path) -> None:
    with (page.parent / "leaderboard.csv").open() as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    # 0.85, 0.65, 0.55 and 0.25, each 5 points above the baseline's.
    assert float(rows["good"]["xr"]) == pytest.approx(100 * (0.85 + 0.65 + 0.55 + 0.25) / 4, abs=1e-3)
    assert (rows["good"]["gain_xr"], rows["good"]["gain_xr_low"], rows["good"]["gain_xr_high"]) == ("5.0", "4.0", "6.0")
    ranks = [(row["rank_low"], row["rank_high"]) for row in rows.values()]
    assert ranks == [("1", "2"), ("1", "2"), ("3", "3"), ("", "")]
    assert (rows["part"]["unranked"], rows["part"]["ddof"]) == ("limited to 5 examples", "1")
    content = json.loads((page.parent / "leaderboard.json").read_text())
    assert (content["schema_version"], content["scoring"]) == (2, 2)
    assert [row["recipe"] for row in content["rows"]] == list(rows)
    assert content["rows"][0]["gain_low"] == {"mean": 5.0, "low": 4.0, "high": 6.0, "languages": 4, "reason": None}
    with (page.parent / "languages.csv").open() as file:
        cells = {(row["recipe"], row["language"]): row for row in csv.DictReader(file)}
    assert len(cells) == 4 * 5
    assert cells["good", "sw"]["verdict"] == "harmed" and cells["good", "sw"]["gain"] == "-3.0"
    assert cells["finetune-only", "sw"]["score"] == "20.0" and cells["finetune-only", "sw"]["gain"] == ""


def test_building_twice_gives_the_same_bytes(page: Path) -> None:
    before = {path: path.read_bytes() for path in page.parent.rglob("*.*")}
    build(page.parents[2] / "results", page.parents[1])
    assert {path: path.read_bytes() for path in page.parent.rglob("*.*")} == before


def test_nothing_to_build_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="contains no results to show"):
        build(tmp_path, tmp_path / "out")


def test_building_needs_no_heavy_library(page: Path) -> None:
    """Only scipy, whose distribution of t ranks are tested with, and numpy, which it stands on."""
    code = (
        "import sys; from pathlib import Path; from xrealign_bench.leaderboard.build import build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(sorted({'torch', 'pyarrow', 'pandas', 'statsmodels', 'matplotlib', 'datasets'} & set(sys.modules)))"
    )
    arguments = [str(page.parents[2] / "results"), str(page.parents[1])]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def cells(page: Path, start: str) -> list[str]:
    """Of the first line of a table that begins so."""
    line = next(line for line in page.read_text().splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def two_tasks() -> Result:
    """A result of two tasks, the second with only three languages of the low tier."""
    codes = [each.code for each in TIERED]
    suite = make_suite(TIERED, tasks=("tags", "names"))
    tasks = [make_task("tags", ["en", *codes]), make_task("names", ["en", *codes[:13]])]
    means = {"tags": {"h": 0.8, "m": 0.6, "l": 0.4}, "names": {"h": 0.6, "m": 0.4, "l": 0.9}}
    scores = {
        (task.name, code, seed): 0.95 if code == "en" else means[task.name][code[0]]
        for task in tasks
        for code in task.languages
        for seed in (1, 2)
    }
    return make_result(scores, suite=suite, tasks=tasks, languages=TIERED)


def test_tier_columns_say_how_many_languages_they_have_in_how_many_tasks(tmp_path: Path) -> None:
    """Two tasks, one of them with three languages of the low tier: too few for its score and for the tier's column."""
    result = two_tasks()
    page = build(store(tmp_path, StoredResult(Path("finetune-only"), result, None)), tmp_path / "out")[0]
    assert cells(page, "Rank")[6:9] == [
        "High<br>5 languages, 2 tasks",
        "Medium<br>5 languages, 2 tasks",
        "Low<br>5 languages, 1 task",
    ]
    # XR: tags (80 + 60 + 40) / 3, names (60 + 40) / 2; low is that of tags alone.
    line = cells(page, "1 ")
    assert line[4] == "55.0" and line[6:10] == ["70.0", "50.0", "40.0", "95.0"]
    assert "If no tier does, the task's score is the mean over all targets. The source" in page.read_text()


def test_a_row_of_one_language_changes_no_heads_sizes(tmp_path: Path) -> None:
    """The row of one high language comes last, and describes no other target."""
    suite, codes = make_suite(TIERED), [each.code for each in TIERED]
    whole = make_result(flat(dict.fromkeys(["en", *codes], 0.5)), suite=suite, languages=TIERED)
    part = make_result(flat(dict.fromkeys(["en", codes[0]], 0.5)), suite=suite, languages=TIERED[:1])
    store(
        tmp_path,
        StoredResult(Path("finetune-only"), whole, None),
        StoredResult(Path(f"finetune-only--{codes[0]}"), part, None),
    )
    page = build(tmp_path / "results", tmp_path / "out")[0]
    assert cells(page, "Rank")[6:9] == [
        "High<br>5 languages, 1 task",
        "Medium<br>5 languages, 1 task",
        "Low<br>5 languages, 1 task",
    ]


@pytest.mark.parametrize("case", ["computed", "reported", "both"])
def test_deviations_are_shown_from_three_seeds_on_with_the_ddof_that_the_board_tells(tmp_path: Path, case: str) -> None:
    """One point more with each seed: the deviation is 1 with ddof 1 and the root of 2/3 with ddof 0."""
    scores = {("tags", code, seed): score + seed / 100 for code, score in SCORES.items() for seed in (1, 2, 3)}
    computed = make_result(scores, seeds=(1, 2, 3))
    reported = computed.model_copy(update={"ddof": 0, "reported": "a paper", "compute_settings": None, "stages": []})
    both = {"computed": computed, "reported": reported}
    shown = {name: result for name, result in both.items() if case in (name, "both")}
    files = build(
        store(tmp_path, *(StoredResult(Path(name), each, None) for name, each in shown.items())), tmp_path / "out"
    )
    text = files[0].read_text()
    assert re.findall(r"\| 3 \| (54\.5[^|]*) \|", text) == [
        {"computed": "54.5 ±1.0", "reported": "54.5 ±0.8"}[n] for n in shown
    ]
    told = {
        "computed": "(ddof 1, shown from 3 seeds on)",
        "reported": "(ddof 0, as published, shown from 3 seeds on)",
        "both": "(ddof 1, or 0 in reported rows, as published, shown from 3 seeds on)",
    }
    assert told[case] in text
    rows = json.loads(files[3].read_text())["rows"]
    assert [(row["ddof"], row["xr"]["std"]) for row in rows] == [
        {"computed": (1, 1.0), "reported": (0, 0.8165)}[name] for name in shown
    ]


def test_two_seeds_have_no_deviation_on_a_page_and_one_in_the_files(tmp_path: Path) -> None:
    """A reader of the page takes ±0.0 for knowledge; who reads the files sees how many seeds there are."""
    scores = {("tags", code, seed): score + seed / 100 for code, score in SCORES.items() for seed in (1, 2)}
    files = build(store(tmp_path, StoredResult(Path("finetune-only"), make_result(scores), None)), tmp_path / "out")
    assert not re.search(r"± ?\d", files[0].read_text())
    (row,) = json.loads(files[3].read_text())["rows"]
    assert (row["seeds"], row["xr"]["std"]) == (2, 0.7071)


def test_a_board_of_one_seed_has_gains_and_neither_ranks_nor_verdicts(tmp_path: Path) -> None:
    baseline = make_result(flat(SCORES, (1,)), seeds=(1,))
    full = entry("full", 0.05, 0.04, 0.06, baseline, seeds=(1,))
    files = build(store(tmp_path, StoredResult(Path("finetune-only"), baseline, None), full), tmp_path / "out")
    page, text = files[0], files[0].read_text()
    table = text.partition("## mini")[2]
    assert cells(page, "– | [full]")[3:6] == ["1", "57.5", "+5.0 [+4.0, +6.0]"] and cells(page, "– | [full]")[10] == "–"
    assert "has only one seed" in table and "With one seed, the variance between seeds is the prior's alone." in text
    assert not re.search("[▲▼†]", table.partition("## How to read")[0].replace("(▲ / ▼)", "").replace("(†)", ""))
    rows = json.loads(files[3].read_text())["rows"]
    assert [(row["rank_low"], row["helped"], row["harmed"], row["xr"]["std"]) for row in rows] == [(None,) * 4] * 2


@pytest.mark.parametrize(("low", "high", "said"), [(0.01, 0.03, "confirmed"), (-0.01, 0.03, "not confirmed")])
def test_fresh_seeds_stand_beside_the_row_that_they_confirm_or_do_not(
    tmp_path: Path, low: float, high: float, said: str
) -> None:
    full = entry("full", 0.05, 0.04, 0.06)
    alone = build(store(tmp_path / "alone", BASELINE, full), tmp_path / "alone" / "out")
    beside = build(store(tmp_path / "beside", BASELINE, full, *on_fresh_seeds(low, high)), tmp_path / "beside" / "out")
    page = beside[0]
    interval = f"{100 * (low + high) / 2:+.1f} \\[{100 * low:+.1f}, {100 * high:+.1f}\\]"
    assert cells(page, "1 |")[5] == f"+5.0 [+4.0, +6.0]<br>{said} on 3 fresh seeds: {interval}"
    assert "fresh seeds" not in alone[0].read_text().partition("## mini")[2]
    recipes = [cells(page, f"fresh seeds | [{name}")[1].partition("]")[0] for name in ("full", "finetune-only")]
    assert recipes == ["[full--seed11-12-13", "[finetune-only--seed11-12-13"]
    without, rows = (json.loads(files[3].read_text())["rows"] for files in (alone, beside))
    confirmed = {"confirmed": said == "confirmed", "confirmed_on_seeds": 3}
    # The suite's rows have the ranks and scores that they have alone.
    assert rows[:2] == [without[0] | confirmed, without[1]]
    assert [(row["rank_low"], row["confirmed"], row["seeds"]) for row in rows[2:]] == [(None, None, 3)] * 2


def test_a_comparison_of_the_first_scoring_has_no_rank_and_the_board_says_what_to_do(tmp_path: Path) -> None:
    full = entry("full", 0.05, 0.04, 0.06)
    assert full.comparison is not None
    old = StoredResult(full.folder, full.result, full.comparison.model_copy(update={"scoring": 1, "prior": None}))
    page = build(store(tmp_path, BASELINE, old), tmp_path / "out")[0]
    assert cells(page, "– | [full]")[5] == "–"
    told = "has a comparison of scoring 1; run xrealign-bench leaderboard recompare to update it to scoring 2"
    assert f"- [full](../../results/full): {told}\n" in page.read_text()


def test_no_cell_begins_a_formula() -> None:
    """A spreadsheet would compute it. Numbers stay numbers."""
    written = _csv([{"reason": '=HYPERLINK("http://evil")', "gain": -1.5}], ["reason", "gain"])
    assert written == 'reason,gain\n"\'=HYPERLINK(""http://evil"")",-1.5\n'
