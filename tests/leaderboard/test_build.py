"""Truth: properties of the written files: links lead somewhere, bytes repeat, figures agree, names are harmless."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.leaderboard.test_table import BASELINE, entry
from tests.scoring.builder import LANGUAGES, Lang, flat, make_result, make_suite
from xrealign_bench.errors import UserError
from xrealign_bench.leaderboard.build import build
from xrealign_bench.leaderboard.table import Entry
from xrealign_bench.results.files import write_comparison, write_result
from xrealign_bench.results.schema import Gain

NASTY = "a | b <script>alert(1)</script> [x](y) `c`\nd"


def store(root: Path, *entries: Entry) -> Path:
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
    good = Entry(good.folder, good.result.model_copy(update={"recipe": recipe}), good.comparison)
    results = store(
        tmp_path,
        BASELINE,
        good,
        entry("equal", 0.045, 0.03, 0.05),
        entry("part", 0.2, 0.1, 0.3, limit=5, languages=languages),
    )
    written = build(results, tmp_path / "out")
    assert [path.name for path in written] == ["README.md", "leaderboard.csv", "languages.csv", "leaderboard.json"]
    return written[0]


def links(page: Path) -> set[str]:
    return set(re.findall(r"(?<!\\)\]\(([^)]+)\)", page.read_text()))


def test_every_row_leads_to_its_page_and_result_and_every_link_somewhere(page: Path) -> None:
    pages = {name: f"results/mini/{name}.md" for name in ("good", "equal", "part", "finetune-only")}
    languages = {f"languages/{code}.md" for code in ("de", "fr", "th", "sw")}
    assert {*pages.values(), *languages} < links(page)
    for name, path in pages.items():
        assert f"../../../../results/{name}/result.json" in links(page.parent / path)
    for each in page.parent.rglob("*.md"):
        assert all((each.parent / link).is_file() for link in links(each)), each


def test_a_page_of_a_result_says_what_is_stored(page: Path) -> None:
    text = (page.parent / "results/mini/good.md").read_text()
    stored = json.loads((page.parents[2] / "results/good/result.json").read_text())
    assert f"- Suite: toy-1.0, digest {stored['suite_digest']}" in text
    assert f"- Weights, sha256: {'d' * 64}" in text
    assert "OMP_NUM_THREADS=1 xrealign-bench evaluate --suite toy --recipe good --checkpoint mini --device cpu" in text
    # A score of 0.25 against a baseline of 0.2 is what the result says; the change is the comparison's.
    (row,) = [line for line in text.splitlines() if "languages/sw.md" in line]
    cells = [
        "low", "0.80", "no", "25.0 ±0.0", "53.0 ±0.0", "-3.0 [-3.0, -3.0]", "0.0010", "harmed ▼", "harmed",
    ]  # fmt: skip
    assert row.endswith(f" | {' | '.join(cells)} |")
    assert "Not ranked: limited to 5 examples" in (page.parent / "results/mini/part.md").read_text()


def test_a_page_of_a_language_has_every_result(page: Path) -> None:
    text = (page.parent / "languages/th.md").read_text()
    rows = re.findall(
        r"^\| \[([\w-]+)\]\(\.\./results/mini/\1\.md\) \| mini \| rescored \| yes \| ([\d.]+)", text, flags=re.M
    )
    assert rows == [("good", "55.0"), ("equal", "54.5"), ("finetune-only", "50.0"), ("part", "70.0")]
    assert not (page.parent / "languages/ja.md").exists()


def test_pages_of_what_is_gone_are_removed_and_other_files_stay(page: Path) -> None:
    gone, own = page.parent / "results/mini/gone.md", page.parent / "notes.md"
    gone.write_text("old")
    own.write_text("mine")
    build(page.parents[2] / "results", page.parents[1])
    assert not gone.exists() and own.read_text() == "mine"


def test_ranks_as_shown(page: Path) -> None:
    rows = re.findall(r"^\| (\d|–|partial) \| \[([\w-]+)\]", page.read_text(), flags=re.MULTILINE)
    assert rows == [("1", "good"), ("1", "equal"), ("3", "finetune-only"), ("partial", "part")]
    assert re.search(r"- \[part\]\(.*\): limited to 5 examples$", page.read_text(), flags=re.MULTILINE)


def test_parts_are_called_by_their_folders_and_reasons_are_told_once_and_short(tmp_path: Path) -> None:
    languages = [Lang(f"l{n}", "high", n / 10) for n in range(6)]
    suite = make_suite(languages)
    some = {"suite": suite, "languages": languages[:1]}
    scores = {"en": 0.9, "l0": 0.5}
    parts = {"seed1": ((1,), None), "limit9": ((1, 2), 9)}
    results = [
        (
            f"{recipe}--l0--{part}",
            make_result(flat(scores, seeds), recipe=recipe, seeds=seeds, limit=limit, **some),
        )
        for recipe in ("finetune-only", "full")
        for part, (seeds, limit) in parts.items()
    ]
    store(tmp_path, *(Entry(Path(name), result, None) for name, result in results))
    board = build(tmp_path / "results", tmp_path / "out")[0]
    page = board.read_text()
    reasons = re.findall(r"^- (\[.*\)): (.*)$", page, flags=re.MULTILINE)
    told = {tuple(re.findall(r"\[([^]]+)\]", links)): why for links, why in reasons}
    assert told == {
        ("finetune-only--l0--limit9",): "limited to 9 examples; 5 of 6 languages not evaluated",
        ("finetune-only--l0--seed1",): "5 of 6 languages not evaluated; seeds not evaluated: 2",
        ("full--l0--limit9",): "limited to 9 examples; 5 of 6 languages not evaluated; not compared with finetune-only",
        ("full--l0--seed1",): "5 of 6 languages not evaluated; seeds not evaluated: 2; not compared with finetune-only",
    }
    assert "l1" not in page
    # What several rows lack is told once.
    store(tmp_path / "again", *(Entry(Path(f"{n}"), results[0][1], None) for n in range(3)))
    page = build(tmp_path / "again" / "results", tmp_path / "again" / "out")[0].read_text()
    assert page.count("5 of 6 languages") == 1


def test_names_can_not_break_the_table_or_bring_markup(page: Path) -> None:
    text = page.read_text()
    assert "<script>" not in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        borders = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(borders) == 1
    assert text.count("a \\| b &lt;script&gt;") == 2


def test_gains_are_told_once_and_not_of_rows_that_have_none(tmp_path: Path) -> None:
    good, bare = entry("good", 0.05, 0.04, 0.06), entry("bare", 0.05, 0.04, 0.06)
    assert bare.comparison is not None
    none = {name: Gain(mean=None, low=None, high=None, languages=4, reason="x") for name in bare.comparison.gains}
    bare = Entry(bare.folder, bare.result, bare.comparison.model_copy(update={"gains": none}))
    page = build(store(tmp_path, BASELINE, good, bare), tmp_path / "out")[0]
    gains = page.read_text().partition("### Gains by tier and band")[2].partition("###")[0]
    assert "[good]" in gains and "[bare]" not in gains
    # One task: no line of all tasks beside it.
    result = (page.parent / "results" / "mini" / "good.md").read_text()
    assert "mean over tasks" not in result and "all tasks" not in result
    assert "| tags | 4 | 3 / 1 | 0 [0, 2] / 1 [1, 3] |" in result


def test_rules_say_how_ranks_come_about(page: Path) -> None:
    text = page.read_text()
    for said in ("shares the rank of the row above", "Holm", "mean of the three tier"):
        assert said in text
    assert "close ≤ 0.25 < middle ≤ 0.6 < distant" in text


def test_language_table_marks_helped_and_harmed(page: Path) -> None:
    rows = [line for line in page.read_text().splitlines() if re.match(r"\| \[(DE|a .*) \((de|sw)\)\]", line)]
    assert rows[0].endswith("| +1.0 ▲ | +1.0 ▲ | +1.0 ▲ |")
    assert rows[1].endswith("| -3.0 ▼ † | -3.0 ▼ † | -3.0 ▼ † |")


def test_csv_and_json_agree_with_the_page(page: Path) -> None:
    with (page.parent / "leaderboard.csv").open() as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    # (0.85 + 0.65) / 2, 0.55 and 0.25, each 5 points above the baseline's.
    assert float(rows["good"]["xr"]) == pytest.approx(100 * (0.75 + 0.55 + 0.25) / 3, abs=1e-3)
    assert (rows["good"]["gain_xr"], rows["good"]["gain_xr_low"], rows["good"]["gain_xr_high"]) == ("5.0", "4.0", "6.0")
    assert (rows["part"]["rank"], rows["part"]["unranked"]) == ("", "limited to 5 examples")
    content = json.loads((page.parent / "leaderboard.json").read_text())
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
    with pytest.raises(UserError, match=r"no result\.json in it or below"):
        build(tmp_path, tmp_path / "out")


def test_building_needs_no_heavy_library(page: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from xrealign_bench.leaderboard.build import build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(sorted({'torch', 'numpy', 'pyarrow', 'scipy', 'matplotlib', 'datasets'} & set(sys.modules)))"
    )
    arguments = [str(page.parents[2] / "results"), str(page.parents[1])]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_link_of_the_boards_in_the_repository_leads_somewhere() -> None:
    pages = sorted((Path(__file__).parents[2] / "leaderboard").rglob("*.md"))
    assert len(pages) > 300
    for page in pages:
        for link in set(re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))):
            assert link.startswith("https://") or (page.parent / unquote(link)).is_file(), f"{page}: {link}"
