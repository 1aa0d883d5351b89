"""Translated text from small corpora in the two layouts of the Hub, and from the generator."""

import pytest
from datasets import Features, Translation, Value

from tests.data.hub_folder import write_rows
from xrealign_bench.data import concatenate, corpus_languages, count_pairs, load_pairs, locate_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.parallel import check_filter
from xrealign_bench.demo import phrases
from xrealign_bench.errors import UserError
from xrealign_bench.specs import Corpus, PairFilter, find_spec

TEXTS = [
    {"eng_Latn": "Dogs bark.\r", "deu": "Hunde bellen.", "tha_Thai": "ฉันรักภาษาไทย"},
    {"eng_Latn": "Empty", "deu": " ", "tha_Thai": None},
    {"eng_Latn": "OK", "deu": "OK", "tha_Thai": "มาก"},
]


def columns_corpus(**changes) -> Corpus:
    fields = {
        "name": "sides",
        "title": "Side by side",
        "licence": "none",
        "source": {"kind": "hub", "dataset": "org/tags"},
        "split": "test",
        "columns": {"en": "eng_Latn | eng", "de": "deu_Latn | deu", "th": "tha_Thai"},
    }
    return Corpus.model_validate(fields | changes)


@pytest.fixture
def sides(tmp_path):
    write_rows(tmp_path, "default", "test", TEXTS, Features({name: Value("string") for name in TEXTS[0]}))
    return tmp_path


def pair_corpus(**changes) -> Corpus:
    return columns_corpus(**({"columns": {}, "config": "{source}-{target}"} | changes))


@pytest.fixture
def pairs(tmp_path):
    """Like OPUS-100: a config a pair, the languages in alphabetical order."""
    for one, other, texts in (("de", "en", ("Hunde bellen", "Dogs bark")), ("en", "fr", ("Hello", "Salut à tous"))):
        rows = [{"translation": dict(zip((one, other), texts, strict=True))}]
        features = Features({"translation": Translation(languages=(one, other))})
        write_rows(tmp_path, f"{one}-{other}", "test", rows, features)
    return tmp_path


def test_columns_become_words(sides):
    text = load_pairs(columns_corpus(), "en", "de", DataLocation(sides, offline=True))
    assert text.source_words == [["Dogs", "bark", "."], ["OK"]]
    assert text.target_words == [["Hunde", "bellen", "."], ["OK"]]
    assert text.dropped == {"empty": 1}
    assert text.links is None
    thai = load_pairs(columns_corpus(), "en", "th", DataLocation(sides, offline=True))
    assert thai.target_words == [["ฉัน", "รัก", "ภาษา", "ไทย"], ["มาก"]]
    assert thai.dropped == {"empty": 1}


def test_the_first_pairs_as_stored_are_taken(sides):
    assert len(load_pairs(columns_corpus(pairs=2), "en", "de", DataLocation(sides, offline=True)).source_words) == 1
    assert (
        len(load_pairs(columns_corpus(pairs=3), "en", "de", DataLocation(sides, offline=True), limit=1).source_words)
        == 1
    )
    assert (
        len(load_pairs(columns_corpus(pairs=1), "de", "en", DataLocation(sides, offline=True), limit=3).source_words)
        == 1
    )


def test_pairs_at_the_beginning_are_skipped(sides):
    here = DataLocation(sides, offline=True)
    assert load_pairs(columns_corpus(skip_pairs=2), "en", "de", here).source_words == [["OK"]]
    assert load_pairs(columns_corpus(skip_pairs=1, pairs=2), "en", "de", here).dropped == {"empty": 1}
    counts = [count_pairs(columns_corpus(skip_pairs=skipped, pairs=2), "en", "de", None, here) for skipped in (0, 2, 9)]
    assert counts == [2, 1, 0]


def test_held_out_embedded_pairs_have_held_out_names():
    corpus = find_spec("cldr", Corpus).model_copy(update={"split": "held_out", "pairs": 3, "skip_pairs": 2})
    text = load_pairs(corpus, "en", "de", DataLocation())
    rows = phrases.parallel_rows("en", "de", 5, held_out=True)[2:]
    assert text.source_words == [row.source_words for row in rows]


def test_endless_sides_are_dropped_and_counted(sides):
    features = Features({name: Value("string") for name in ("eng", "deu")})
    texts = [{"eng": "a " * 1000, "deu": "b"}, {"eng": "a", "deu": "b " * 1001}]
    write_rows(sides, "default", "test", texts, features)
    text = load_pairs(columns_corpus(), "en", "de", DataLocation(sides, offline=True))
    assert (len(text.source_words), text.dropped) == (1, {"too_long": 1})


def test_one_config_a_pair_is_found_in_either_order(pairs):
    forward = load_pairs(pair_corpus(), "en", "fr", DataLocation(pairs, offline=True))
    assert (forward.source_words, forward.target_words) == ([["Hello"]], [["Salut", "à", "tous"]])
    swapped = load_pairs(pair_corpus(), "en", "de", DataLocation(pairs, offline=True))
    assert (swapped.source_words, swapped.target_words) == ([["Dogs", "bark"]], [["Hunde", "bellen"]])
    assert swapped.located.config == "de-en"


def test_a_corpus_may_call_languages_otherwise(tmp_path):
    """As NLLB does, whose configs pair `amh_Ethi` with `eng_Latn`."""
    features = Features({"translation": Translation(languages=("amh_Ethi", "eng_Latn"))})
    rows = [{"translation": {"amh_Ethi": "ሰላም ለዓለም", "eng_Latn": "Hello world"}}]
    write_rows(tmp_path, "amh_Ethi-eng_Latn", "test", rows, features)
    corpus = pair_corpus(codes={"en": "eng_Latn", "am": "amh_Ethi"})
    assert corpus_languages(corpus, "en", DataLocation(tmp_path, offline=True)) == ["am"]
    text = load_pairs(corpus, "en", "am", DataLocation(tmp_path, offline=True))
    assert (text.source_words, text.target_words) == ([["Hello", "world"]], [["ሰላም", "ለዓለም"]])


def test_the_columns_of_a_pair_follow_the_order_of_its_config(tmp_path):
    """Like TICO-19: a config a pair, with two columns of the same names in each."""
    features = Features({name: Value("string") for name in ("id", "from", "to")})
    write_rows(tmp_path, "en-de", "test", [{"id": "1", "from": "Dogs bark", "to": "Hunde bellen"}], features)
    corpus, location = pair_corpus(pair_columns=["from", "to"]), DataLocation(tmp_path, offline=True)
    there, back = load_pairs(corpus, "en", "de", location), load_pairs(corpus, "de", "en", location)
    assert there.source_words == back.target_words == [["Dogs", "bark"]]
    assert there.target_words == back.source_words == [["Hunde", "bellen"]]
    assert corpus_languages(corpus, "en", location) == ["de"]
    with pytest.raises(UserError, match="'nowhere'; known: from, id, to"):
        load_pairs(pair_corpus(pair_columns=["from", "nowhere"]), "en", "de", location)


def test_a_corpus_has_one_kind_of_columns():
    with pytest.raises(ValueError, match="remove one of them"):
        columns_corpus(pair_columns=["from", "to"])


def test_pairs_of_two_corpora_become_one_text(sides):
    location = DataLocation(sides, offline=True)
    german = load_pairs(columns_corpus(), "en", "de", location)
    assert concatenate([german]) is german
    both = concatenate([german, load_pairs(columns_corpus(pairs=1), "en", "de", location)])
    assert both.source_words == [["Dogs", "bark", "."], ["OK"], ["Dogs", "bark", "."]]
    assert both.target_words == [["Hunde", "bellen", "."], ["OK"], ["Hunde", "bellen", "."]]
    assert both.links is None and both.dropped == {"empty": 1}
    gold = load_pairs(find_spec("cldr", Corpus), "en", "de", location, limit=2)
    assert concatenate([gold, gold]).links == [*gold.links, *gold.links]
    assert concatenate([gold, german]).links is None


def test_languages_that_a_source_is_paired_with(sides, pairs):
    assert corpus_languages(columns_corpus(), "en", DataLocation(sides, offline=True)) == ["de", "th"]
    assert corpus_languages(columns_corpus(), "th", DataLocation(sides, offline=True)) == ["de", "en"]
    assert corpus_languages(pair_corpus(), "en", DataLocation(pairs, offline=True)) == ["de", "fr"]
    assert corpus_languages(pair_corpus(), "fr", DataLocation(pairs, offline=True)) == ["en"]
    embedded = columns_corpus(source={"kind": "embedded"})
    assert corpus_languages(embedded, "en", DataLocation(offline=True)) == sorted(set(phrases.LANGUAGES) - {"en"})


@pytest.mark.parametrize(
    ("corpus", "target", "message"),
    [
        (columns_corpus(), "fr", "unknown language of the corpus 'sides': 'fr'; known: de, en, th"),
        (columns_corpus(columns={"en": "eng_Latn", "de": "deu_Latn"}), "de", r"'deu_Latn'.*Known: deu, eng"),
        (columns_corpus(columns={"en": "eng_Latn", "de": "deu | tha_Thai"}), "de", "columns deu and tha_Thai"),
        (columns_corpus(config="news"), "de", "unknown config of .*: 'news'"),
        (columns_corpus(columns={}), "de", "corpus 'sides': give 'columns' .* such as '{source}-{target}'"),
        (columns_corpus(source={"kind": "embedded"}), "xx", "unknown language of the embedded data: 'xx'"),
        (columns_corpus(source={"kind": "embedded"}), "de", "embedded data are unlimited; set 'pairs'"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused(sides, corpus, target, message):
    with pytest.raises(UserError, match=message):
        load_pairs(corpus, "en", target, DataLocation(sides, offline=True))


def test_pairs_that_do_not_exist_are_refused(pairs):
    with pytest.raises(UserError, match="no config de-fr or fr-de; with 'de' it pairs en"):
        load_pairs(pair_corpus(), "de", "fr", DataLocation(pairs, offline=True))
    rows = [{"translation": {"de": "x", "eng": "y"}}]
    write_rows(pairs, "de-en", "test", rows, Features({"translation": Translation(languages=("de", "eng"))}))
    with pytest.raises(UserError, match=r"unknown language in the column 'translation' of .*: 'en'; .*eng"):
        load_pairs(pair_corpus(), "de", "en", DataLocation(pairs, offline=True))


def test_a_corpus_without_words_is_refused(sides):
    write_rows(sides, "default", "test", TEXTS[1:2], Features({name: Value("string") for name in TEXTS[0]}))
    with pytest.raises(UserError, match="has no pair of 'en' and 'de' with words on both sides"):
        load_pairs(columns_corpus(), "en", "de", DataLocation(sides, offline=True))


def test_embedded_pairs_have_gold_links():
    corpus = columns_corpus(source={"kind": "embedded"}, pairs=20)
    text = load_pairs(corpus, "en", "ja", DataLocation(offline=True))
    rows = phrases.parallel_rows("en", "ja", 20)
    assert text.source_words == [row.source_words for row in rows]
    assert text.target_words == [row.target_words for row in rows]
    assert text.links == [row.links for row in rows]
    assert (
        text.fingerprint
        == locate_pairs(corpus, "en", "ja", DataLocation(offline=True)).fingerprint
        == phrases.fingerprint()
    )


def own_corpus(folder, train="{config}.{language}", **changes) -> Corpus:
    fields = columns_corpus().model_dump(exclude={"source"}) | {"columns": {}, "config": "{source}-{target}"}
    source = {"kind": "files", "train": train} | changes.pop("source", {})
    fields |= {"split": "train", "source": source} | changes
    return Corpus.model_validate(fields, context={"folder": folder})


SIDES = {"en": ["Dogs bark.", "Empty", "OK"], "fo": ["Hundar gellja.", "", "Gott"]}


@pytest.mark.parametrize(
    ("files", "train", "changes"),
    [
        ({f"fo-en.{code}": "\n".join(SIDES[code]) for code in SIDES}, "{config}.{language}", {}),
        ({"en-fo.tsv": "\n".join(map("\t".join, zip(*SIDES.values(), strict=True)))}, "*.tsv", {}),
        ({"fo-en.tsv": "\n".join(map("{1}\t{0}".format, *SIDES.values()))}, "{config}.tsv", {}),
        ({"en-fo.csv": "fo,en\n" + "\n".join(map("{1},{0}".format, *SIDES.values()))}, "{config}.csv", {}),
        (
            {"en-fo.csv": "tgt,src\n" + "\n".join(map("{1},{0}".format, *SIDES.values()))},
            "{config}.csv",
            {"columns": {"en": "src", "fo": "tgt"}},
        ),
        (
            {"all.csv": "fo,de,en\n" + "\n".join(map("{1},x,{0}".format, *SIDES.values()))},
            "all.csv",
            {"columns": {"en": "en", "fo": "fo"}, "config": "default"},
        ),
        (
            {
                "a.tmx": "<tmx><body>"
                + "".join(
                    f"<tu><tuv xml:lang='eng'><seg>{en}</seg></tuv><tuv xml:lang='fao'><seg>{fo}</seg></tuv></tu>"
                    for en, fo in zip(*SIDES.values(), strict=True)
                )
                + "</body></tmx>"
            },
            "a.tmx",
            {"columns": {"en": "eng", "fo": "fao"}, "config": "default"},
        ),
    ],
    ids=["moses", "tsv", "turned tsv", "csv by code", "csv by column", "many languages", "tmx"],
)
def test_pairs_of_own_files(tmp_path, files, train, changes):
    """Whatever else lies beside them, such as `en-train.conllu`."""
    (tmp_path / "en-train.conllu").touch()
    for name, content in files.items():
        (tmp_path / name).write_text(content + "\n", encoding="utf-8")
    if "tsv" in train:
        changes = changes | {"source": {"names": ["one", "other"]}}
        train = train.replace("*", "{config}")
    corpus = own_corpus(tmp_path, train, **changes)
    assert corpus_languages(corpus, "en", DataLocation()) == ["fo"]
    text = load_pairs(corpus, "en", "fo", DataLocation())
    assert text.source_words == [["Dogs", "bark", "."], ["OK"]]
    assert text.target_words == [["Hundar", "gellja", "."], ["Gott"]]
    assert text.dropped == {"empty": 1}


def test_pairs_of_own_files_that_are_not_there(tmp_path):
    (tmp_path / "en-fo.tsv").write_text("a\tb\n")
    corpus = own_corpus(tmp_path, "{config}.tsv")
    with pytest.raises(UserError, match=r"has no config en-de or de-en; with 'en' it pairs fo"):
        load_pairs(corpus, "en", "de", DataLocation())
    with pytest.raises(
        UserError, match=r"en-fo\.tsv: has the columns a, b and not en and fo; correct 'codes', or name"
    ):
        (tmp_path / "en-fo.tsv").write_text("a\tb\nc\td\n")
        load_pairs(corpus, "en", "fo", DataLocation())


def test_a_file_of_a_pair_that_is_missing_is_named(tmp_path):
    (tmp_path / "en-fo.en").write_text("a\n")
    corpus = own_corpus(tmp_path, "{config}.{language}")
    with pytest.raises(UserError, match=r"en-fo\.\{language\}: has files for en and none for fo; add the missing file"):
        load_pairs(corpus, "en", "fo", DataLocation())


SCORED = [("one", 0.9), ("two", 0.2), ("three", None), ("four", 0.5), ("five", float("nan")), ("six", 0.7)]


@pytest.mark.parametrize(
    ("limit", "words", "left_out"),
    [(None, ["one", "four", "six"], 3), (2, ["one", "four"], 2), (1, ["one"], 0)],
)
def test_only_pairs_with_a_high_score_are_read(tmp_path, limit, words, left_out):
    """The score may be as low as the threshold; a missing one is too low; limits count what is left."""
    features = Features({"eng": Value("string"), "deu": Value("string"), "score": Value("float64")})
    rows = [{"eng": word, "deu": word, "score": score} for word, score in SCORED]
    write_rows(tmp_path, "default", "test", rows, features)
    keep = PairFilter(column="score", at_least=0.5)
    text = load_pairs(columns_corpus(), "en", "de", DataLocation(tmp_path, offline=True), limit, keep)
    assert text.source_words == [[word] for word in words]
    assert text.dropped == ({"low_score": left_out} if left_out else {})


def test_scores_in_text_files_are_numbers_and_anything_else_is_refused(tmp_path):
    path = tmp_path / "train.tsv"
    source = {"kind": "files", "train": "train.tsv"}
    corpus = Corpus.model_validate(
        {"name": "own", "title": "Own", "licence": "none", "source": source, "columns": {"en": "en", "de": "de"}},
        context={"folder": tmp_path},
    )
    keep = PairFilter(column="score", at_least=0.5)
    path.write_text("en\tde\tscore\na\tb\t0.4\nc\td\t1e0\n")
    assert load_pairs(corpus, "en", "de", DataLocation(), keep=keep).target_words == [["d"]]
    path.write_text("en\tde\tscore\na\tb\tgood\n")
    with pytest.raises(UserError, match="row 1: column 'score' holds 'good' instead of a number; correct it"):
        load_pairs(corpus, "en", "de", DataLocation(), keep=keep)


def test_a_column_of_scores_that_is_absent_is_refused(sides):
    located = locate_pairs(columns_corpus(), "en", "de", DataLocation(sides, offline=True))
    keep = PairFilter(column="scor", at_least=0.5)
    with pytest.raises(UserError, match=r"parallel\.filter: unknown column of .*: 'scor'; did you mean score"):
        check_filter(keep, columns_corpus(), located, ["en", "de", "score"])
    with pytest.raises(UserError, match=r"parallel\.filter: the corpus 'cldr' is embedded and has no column of scores"):
        check_filter(keep, find_spec("cldr", Corpus), located, [])
