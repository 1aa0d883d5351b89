"""The inventory against ISO 639, CLDR, the published lists and the real data's configurations."""

import ast
import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from babel.core import get_global

from xrealign_bench.errors import UserError
from xrealign_bench.languages.inventory import find, inventory

CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared"

# Bakos et al. (NAACL 2025), the target languages.
ALIGNFREEZE = "bg cs de es lv af ar ca da el fa fi fr he hi hu it ja ko lt no pl pt ro ru sk sl sv ta th tr uk vi zh"
# "Rethinking what Matters": 38 languages of OPUS-100, 27 of NLLB, and those out of distribution.
OPUS = (
    "af ar az bg bn de el es et eu fa fi fr gu he hi hu id it ja ka ko lt ml ms nl pa pl pt ro ru ta th tr uk ur vi zh"
)
NLLB = "am bm ee fon ha ig rw ln lg luo mos ny om sn sw tn tw wo xh yo zu my jv tl te mr kk"
OUT_OF_DISTRIBUTION = "aym bzd cni gn hch nah oto quy shp tar bbj pcm"
UNSEEN_BY_XLMR = "bm ee fon ig rw ln lg luo mos ny sn tn tw wo yo zu"


def test_it_is_large_and_holds_every_language_of_both_studies():
    assert len(inventory()) >= 200
    assert (len(ALIGNFREEZE.split()), len(OPUS.split()), len(NLLB.split())) == (34, 38, 27)
    wanted = ["en", *ALIGNFREEZE.split(), *OPUS.split(), *NLLB.split(), *OUT_OF_DISTRIBUTION.split()]
    assert len({find(code).code for code in wanted}) == len(set(wanted))


def test_every_code_and_alias_means_one_language():
    codes = [code for language in inventory().values() for code in (language.code, *language.aliases)]
    assert [code for code, n in Counter(codes).items() if n > 1] == []
    assert all(code == language.code for code, language in inventory().items())


def test_codes_have_their_standard_shapes():
    for language in inventory().values():
        assert re.fullmatch("[a-z]{2,3}", language.code)
        assert re.fullmatch("[a-z]{4}[0-9]{4}", language.glottocode), language
        assert re.fullmatch("[A-Z][a-z]{3}", language.script), language
        assert language.name and language.family, language
        assert language.joshi_class in {None, 0, 1, 2, 3, 4, 5}
        assert language.speakers is None or language.speakers > 0
        assert language.iso639_3 or language.code in {"nah", "oto"}
    assert len({language.glottocode for language in inventory().values()}) == len(inventory())


@pytest.mark.parametrize(
    "names",  # the ISO 639-3 macrolanguage mappings, and retired or library codes
    [
        "zh zho cmn zh_Hans zho-Hant zh-CN", "ar ara arb arb_Arab ar-EG", "fa fas pes pes_Arab",
        "no nor nob nb", "sw swa swh swh_Latn", "qu que quy quy_Latn", "et est ekk", "lv lav lvs",
        "sq sqi als", "mg mlg plt",
        "ms msa zsm zlm", "uz uzb uzn", "az aze azj", "mn mon khk", "yi yid ydd", "ne nep npi", "or ori ory",
        "kmr ku kur", "om orm gaz", "ay aym ayr", "gn grn gug", "ps pus pbt", "tl tgl fil", "jv jav jw",
        "tw twi ak aka", "he heb iw", "id ind in", "en ENG eng_Latn en-GB EN_us", "es spa es-419 spa-MX",
    ],
)  # fmt: skip
def test_all_names_of_a_language_find_it(names):
    expected, *others = names.split()
    assert {find(name).code for name in [expected, *others]} == {expected}


@pytest.mark.parametrize("name", ["", "xx", "en_ewt", "en-eng", "english", "eng-Latn-US-x", "zh/CN", "12", "sh"])
def test_what_is_no_language_is_refused(name):
    with pytest.raises(UserError, match=f"unknown language '{re.escape(name)}'.*list languages.* shows all"):
        find(name)


def test_the_error_offers_near_names_and_codes_without_the_whole_list():
    with pytest.raises(UserError, match=r"did you mean sw \(Swahili\)") as by_name:
        find("Swahilli")
    with pytest.raises(UserError, match=r"\bde \(German\)"):
        find("deuu")
    assert len(str(by_name.value)) < 200


def test_codes_agree_with_cldrs_mapping_of_iso_639_3():
    """CLDR maps individual languages to the code in use, here through babel."""
    cldr = get_global("language_aliases")
    checked = [language for language in inventory().values() if language.iso639_3 in cldr]
    differing = {
        language.code: cldr[language.iso639_3]
        for language in checked
        if cldr[language.iso639_3] not in (language.code, *language.aliases)
    }
    assert len(checked) > 150
    # CLDR joins these to a macrolanguage; data sets hold them apart from it.
    assert differing == {"fuc": "ff", "pnb": "lah", "prs": "fa_AF"}


def test_scripts_are_those_that_cldr_takes_as_likely():
    likely = {code: get_global("likely_subtags").get(code, "").split("_") for code in inventory()}
    scripts = {code: tag[1] for code, tag in likely.items() if len(tag) == 3}
    same = {"Hang": "Kore"}  # CLDR writes Kore for Hangul with Chinese characters
    differing = {
        code: (language.script, scripts[code])
        for code, language in inventory().items()
        if code in scripts and same.get(language.script, language.script) != scripts[code]
    }
    assert len(scripts) > 150
    # FLORES (crh tzm), NTREX (mey shi) and general use write otherwise than CLDR's default.
    assert differing == {
        "crh": ("Latn", "Cyrl"),
        "kxv": ("Orya", "Latn"),
        "lzh": ("Hant", "Hans"),
        "mey": ("Arab", "Latn"),
        "shi": ("Arab", "Tfng"),
        "tzm": ("Tfng", "Latn"),
    }


def test_scripts_and_families_have_the_expected_spread():
    scripts = Counter(language.script for language in inventory().values())
    families = Counter(language.family for language in inventory().values())
    assert len(scripts) >= 30 and scripts.most_common(1)[0][0] == "Latn"
    assert len(families) >= 30 and families.most_common(1)[0][0] == "Indo-European"
    expected = {
        "en": "Indo-European", "fi": "Uralic", "tr": "Turkic", "ar": "Afro-Asiatic", "sw": "Atlantic-Congo",
        "zh": "Sino-Tibetan", "ta": "Dravidian", "vi": "Austroasiatic", "th": "Tai-Kadai", "ko": "Koreanic",
        "ja": "Japonic", "id": "Austronesian", "ka": "Kartvelian", "eu": "Basque", "eo": "Constructed",
    }  # fmt: skip
    assert {code: inventory()[code].family for code in expected} == expected
    # The low-resource study counts 41 Latin-script languages among its 65.
    assert sum(find(code).script == "Latn" for code in (OPUS + " " + NLLB).split()) == 41


def test_pretraining_coverage_has_the_published_sizes():
    """mBERT: 104 Wikipedias less the second Chinese and Serbo-Croatian. XLM-R: 100 less second scripts."""
    seen = Counter(checkpoint for language in inventory().values() for checkpoint in language.seen_by)
    assert seen == {"mbert": 102, "xlmr": 93}
    unseen = {code for code in (OPUS + " " + NLLB).split() if "xlmr" not in find(code).seen_by}
    assert unseen == set(UNSEEN_BY_XLMR.split())


@pytest.mark.parametrize(
    ("checkpoint", "seen", "unseen"),  # the low-resource study's ablation subsets
    [
        (
            "xlmr",
            "af ar zh ka ja kaz ms gaz swh vi ta xho mya gu el he th",
            "ewe fon lin luo mos sna twi wol yor zul",
        ),
        (
            "mbert",
            "af ar zh ka ja kaz swh ta vi yor az ms",
            "amh ewe fon hau lin luo gaz sna twi xho bam mos",
        ),
    ],
)
def test_pretraining_coverage_is_that_of_the_low_resource_study(checkpoint, seen, unseen):
    assert [code for code in seen.split() if checkpoint not in find(code).seen_by] == []
    assert [code for code in unseen.split() if checkpoint in find(code).seen_by] == []


def shared_file(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join(parts)} in a folder `shared` beside the checkout")
    return path


def joshi_taxonomy():
    """Return the taxonomy file's rows as iso639_3 -> (name, class)."""
    with shared_file("reference", "joshi_taxonomy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, quoting=csv.QUOTE_NONE))
    return {row["iso639_3"]: (row["name"], int(row["joshi_class"])) for row in rows}


def joshi_decisions():
    """Return the table "Classes: decisions" as code -> (name, taxonomy file, class or None)."""
    text = (CHECKOUT / "xrealign_bench" / "languages" / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Classes: decisions\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (none|[0-5]) \| .+ \|$", section, re.MULTILINE)
    return {code: (name, file, None if joshi == "none" else int(joshi)) for code, name, file, joshi in rows}


def script_constant(name):
    """Return a literal of scripts/build_inventory.py, whose imports are not installed here."""
    tree = ast.parse((CHECKOUT / "scripts" / "build_inventory.py").read_text(encoding="utf-8"))
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)
    raise AssertionError(f"no {name} in scripts/build_inventory.py")


# Listed twice (gn, kg, kv, mn, ro), under an odd code (ff, ps), lost (luo, nah, oto, pa, tar), or not about the
# amount of data (nn, no).
DECIDED = {
    "gn": 1, "kg": 1, "kv": 1, "mn": 1, "ro": 3, "ff": 1, "ps": 1, "luo": 0, "nah": 1, "oto": 0, "pa": 2, "tar": 0,
    "nn": None, "no": None,
}  # fmt: skip


def test_joshi_classes_are_those_of_the_published_list():
    published = joshi_taxonomy()
    differing = {}
    for language in inventory().values():
        classes = {published[code][1] for code in (language.iso639_3, *language.aliases) if code in published}
        if classes != ({language.joshi_class} - {None}):
            differing[language.code] = language.joshi_class
    assert differing == DECIDED


def test_decisions_on_joshi_classes_are_written_down():
    decisions = joshi_decisions()
    assert {code: joshi for code, (_, _, joshi) in decisions.items()} == DECIDED | {"bbj": None, "ceb": 3, "cni": None}
    assert list(decisions) == sorted(decisions)
    for code, (name, _, joshi) in decisions.items():
        assert (inventory()[code].name, inventory()[code].joshi_class) == (name, joshi)
    overrides = script_constant("JOSHI_OVERRIDES")
    assert {code: decisions[code][2] for code in overrides} == overrides
    assert overrides.keys() | script_constant("JOSHI_ROWS").keys() == DECIDED.keys()


def test_decisions_on_joshi_classes_fit_the_taxonomy_file():
    published = joshi_taxonomy()
    chosen = script_constant("JOSHI_ROWS")
    for code, (name, file, joshi) in joshi_decisions().items():
        rows = {row: (row_name, int(row_class)) for row, row_name, row_class in re.findall(r"`(\w+)` (.+?) (\d)", file)}
        assert rows == {row: published.get(row) for row in rows}, code
        language = inventory()[code]
        own_rows = {own for own in (language.iso639_3, *language.aliases) if own in published}
        if file.startswith("no row"):
            assert not own_rows, code
            assert name.lower() not in {row_name for row_name, _ in published.values()}, code
        else:
            assert own_rows | ({chosen[code]} if code in chosen else set()) == rows.keys(), code
        if code in chosen:
            assert rows[chosen[code]][1] == joshi, code


def test_the_taxonomy_file_is_complete_in_the_upper_classes():
    """Table 1 of Joshi et al. (2020) counts 2191, 222, 19, 28, 18 and 7 languages in classes 0 to 5."""
    found = Counter(joshi for _, joshi in joshi_taxonomy().values())
    assert [found[joshi] for joshi in range(6)] == [2026, 201, 18, 28, 18, 7]


def test_tiers_are_those_of_the_low_resource_study():
    with shared_file("reference", "lowresource_results", "per_language.csv").open(encoding="utf-8") as file:
        groups = {(row["lang"], row["group"]) for row in csv.DictReader(file)}
    bounds = {"HRL(4-5)": {4, 5}, "MRL(3)": {3}, "LRL(0-2)": {0, 1, 2}}
    studied = [(code, bounds[group]) for code, group in groups if group in bounds]
    assert len(studied) >= 65
    assert [code for code, classes in studied if find(code).joshi_class not in classes] == []


# Configurations that name no single language: Berber, a family.
NO_LANGUAGE = {"ber-eng"}


@pytest.mark.parametrize(
    ("dataset", "pattern"),
    [
        ("universal-dependencies/universal_dependencies", r"(.+)_\w+"),
        ("universalner/universal_ner", r"(.+)_\w+"),
        ("masakhane/masakhapos", "(.+)"),
        ("masakhane/masakhaner2", "(.+)"),
        ("facebook/xnli", "(.+)"),
        ("nala-cub/americas_nli", "(.+)"),
        ("google/xquad", r"xquad\.(.+)"),
        ("mteb/tatoeba-bitext-mining", "(.+)-eng"),
        ("Davlan/sib200", "(.+)"),
    ],
)
def test_every_configuration_of_the_real_data_names_a_known_language(dataset, pattern):
    folder = shared_file("data", "hub", *dataset.split("/"))
    names = {path.name for path in folder.iterdir() if path.is_dir()} - NO_LANGUAGE
    matches = [re.fullmatch(pattern, name) for name in names]
    assert matches and all(find(match[1]) for match in matches if match)


def test_every_column_of_ntrex_names_a_known_language():
    path = shared_file("data", "hub", "mteb", "NTREX", "default", "test-00000-of-00001.parquet")
    columns = pytest.importorskip("pyarrow.parquet").read_schema(path).names
    assert len(columns) == 128 and all(find(column) for column in columns)


def test_scripts_are_among_those_of_flores():
    folder = shared_file("data", "hub", "Davlan", "sib200")
    scripts: dict[str, set[str]] = {}
    for path in folder.iterdir():
        if path.is_dir():
            scripts.setdefault(find(path.name).code, set()).add(path.name.split("_")[1])
    assert len(scripts) > 180
    assert {code: found for code, found in scripts.items() if inventory()[code].script not in found} == {}


def test_importing_takes_neither_numpy_nor_torch():
    check = (
        "import sys, xrealign_bench.languages.inventory as i, xrealign_bench.languages.tiers,"
        "xrealign_bench.languages.typology; i.find('en');"
        "print([name for name in ('numpy', 'torch', 'datasets', 'babel') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
