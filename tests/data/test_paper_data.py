"""Tasks and corpora on the papers' own data: their languages, addresses and layouts."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from tests.data.web_server import Page, Web, served
from xrealign_bench.data import corpus_languages, load_pairs
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.split_uses import SplitUse
from xrealign_bench.errors import UserError
from xrealign_bench.languages import find
from xrealign_bench.specs import Corpus, Task, find_spec
from xrealign_bench.tasks.question_answering.data import load as load_questions
from xrealign_bench.tasks.sequence_classification.data import load as load_texts
from xrealign_bench.tasks.token_classification.data import load as load_words

# What the low-resource study's script evaluates (run_langs_selection.sh), and AmericasNLI and the languages of further
# data sets from its result files.
XTREME_POS = (
    "af ar bg de el es et eu fa fi fr he hi hu id it ja kk ko lt mr nl pl pt ro ru ta te th tl tr uk ur vi wo yo zh"
)
WIKIANN = (
    "af ar az bg bn de el es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru sw ta "
    "te th tl tr uk ur vi yo zh"
)
MASAKHANE = "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul"
XNLI = "ar bg de el es fr hi ru sw th tr ur vi zh"
AFRIXNLI = "amh ewe fra hau ibo kin lin lug orm sna sot swa twi wol xho yor zul"
FURTHER_NLI = "ind mya aym bzd cni gn hch nah oto quy shp tar"
XQUAD = "ar de el es hi ru th tr vi zh"


def codes(*lists: str) -> set[str]:
    return {find(code).code for names in lists for code in names.split()}


@pytest.mark.parametrize(
    ("name", "first", "others", "sizes"),
    [
        ("udpos-lowresource", XTREME_POS, MASAKHANE, [35, 20]),
        ("ner-lowresource", WIKIANN, MASAKHANE, [45, 20]),
        ("nli-lowresource", XNLI, f"{AFRIXNLI} {FURTHER_NLI}", [12, 17, 1, 1, 10]),
        ("xquad-lowresource", "", XQUAD, [0, 10]),
    ],
)
def test_targets_are_the_low_resource_study_s(name, first, others, sizes):
    """If two data sets have a language, Masakhane's counts, as in the study's averages."""
    task = find_spec(name, Task)
    assert set(task.configs) == {"en"} | codes(first) - codes(others)
    assert [len(task.configs) - 1, *(len(part.configs) for part in task.also)] == sizes
    assert set(task.languages) == {"en"} | codes(first, others) and len(task.languages) == sum(sizes) + 1


@pytest.mark.parametrize("name", ["udpos-lowresource", "ner-lowresource", "nli-lowresource"])
def test_codes_of_masakhane_s_data_are_of_the_same_languages(name):
    part = find_spec(name, Task).also[0]
    assert {find(config).code: config for config in part.configs.values()} == part.configs


def test_alignfreeze_keeps_its_languages_and_treebanks():
    old, new = (find_spec(name, Task) for name in ("udpos-alignfreeze", "udpos-alignfreeze-2"))
    first = {code: names if isinstance(names, str) else names[0] for code, names in new.configs.items()}
    assert {code: name.rpartition("/")[2] for code, name in first.items()} == old.configs
    assert all(f"/r2.7/{code}_" in name for code, name in first.items())
    assert [label for label in new.labels if label != "_"] == old.labels and new.labels[13] == "_"
    for code, split, path in (
        ("en", "train", "UD_English-EWT/r2.7/en_ewt-ud-train.conllu"),
        ("fa", "test", "UD_Persian-PerDT/r2.7/fa_perdt-ud-test.conllu"),
        ("no", "test", "UD_Norwegian-Bokmaal/r2.7/no_bokmaal-ud-test.conllu"),
        ("cs", "test", "UD_Czech-PDT/r2.7/cs_pdt-ud-test.conllu"),
    ):
        key = SplitUse(new, code, split).expected_key  # type: ignore[arg-type]
        assert key[0] == f"https://raw.githubusercontent.com/UniversalDependencies/{path}"  # as in the Hub's loader
    assert set(find_spec("wikiann-alignfreeze-2", Task).configs) == set(old.configs)
    assert set(find_spec("xquad-alignfreeze", Task).languages) <= set(old.configs)


@pytest.mark.parametrize("name", ["xquad-alignfreeze", "xquad-lowresource"])
def test_questions_are_asked_as_in_the_released_code(name):
    """Windows share 32 sub-words (SpanAligner), answers have 15 at most (the pipeline), English is SQuAD's own."""
    task = find_spec(name, Task)
    assert (task.spans.doc_stride, task.spans.max_answer_length) == (32, 15)
    assert SplitUse(task, "en", "test").expected_key == ("rajpurkar/squad", "plain_text", "validation")


@pytest.mark.parametrize(
    ("new", "old"),
    [("ud-masakhapos-2", "ud-masakhapos"), ("xnli-afrixnli-americas-2", "xnli-afrixnli-americas")],
)
def test_later_tasks_of_xrealign_have_the_same_languages_and_labels(new, old):
    one, other = find_spec(new, Task), find_spec(old, Task)
    assert set(one.languages) == set(other.languages) and one.labels == other.labels


def test_later_corpora_have_the_same_languages():
    nllb, old = find_spec("nllb-2", Corpus), find_spec("nllb", Corpus)
    assert nllb.codes == old.codes
    assert corpus_languages(nllb, "en", DataLocation(offline=True)) == sorted(set(old.codes) - {"en"})
    assert find_spec("opus-100-2", Corpus).source == find_spec("opus-100", Corpus).source


# --- in their own layouts -------------------------------------------------------------------------------------------

RAW = "raw.githubusercontent.com"
WORDS = ["a", "b"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def write_parquet(path: Path, rows: dict[str, list[Any]], **features: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if features:
        Dataset.from_dict(rows, features=Features(features)).to_parquet(str(path))
    else:
        pq.write_table(pa.table(rows), path)


def named(task: Task, numbers: list[int]) -> list[str]:
    return [task.labels[number] for number in numbers]


def test_tags_of_both_data_sets(root):
    task, where = find_spec("udpos-lowresource", Task), DataLocation(root, offline=True)
    names = sorted(task.labels)
    write_parquet(
        root / "izhx/xtreme-r-udpos/en/test-00000-of-00001.parquet",
        {"tokens": [WORDS], "pos_tags": [[names.index("NOUN"), names.index("VERB")]]},
        tokens=List(Value("string")),
        pos_tags=List(ClassLabel(names=names)),
    )
    commit = "376f4161f0425584d4bd7664122b56fa026926d3"
    write(root / RAW / f"masakhane-io/masakhane-pos/{commit}/data/wol/test.txt", "a NOUN\nb VERB\n\nc X\n")
    for language in ("en", "wo"):
        data = load_words(task, language, "test", where)
        assert (data.words[0], named(task, data.labels[0])) == (WORDS, ["NOUN", "VERB"])
    assert SplitUse(task, "wo", "test").locate(where).revision == commit


def test_unspecified_tags_are_a_class_of_alignfreeze(root):
    task, where = find_spec("udpos-alignfreeze-2", Task), DataLocation(root, offline=True)
    lines = ["\t".join([number, word, "_", tag, *"______"]) for number, word, tag in (("1", "a", "_"), ("2", "b", "X"))]
    # Without the repository's first name, its second one is read.
    write(root / RAW / "UniversalDependencies/UD_Czech-PDTC/r2.7/cs_pdt-ud-test.conllu", "\n".join(lines) + "\n\n")
    assert named(task, load_words(task, "cs", "test", where).labels[0]) == ["_", "X"]


def test_inference_of_five_sources(root):
    task, where = find_spec("nli-lowresource", Task), DataLocation(root, offline=True)
    names = task.labels
    pairs = [("p", "h", name) for name in names]
    table = root / "masakhane/afrixnli/data/sot/test.tsv"
    table.parent.mkdir(parents=True)
    with table.open("w", newline="") as file:
        rows = [("premise", "hypothesis", "label"), *((one, two, names.index(name)) for one, two, name in pairs)]
        csv.writer(file, delimiter="\t").writerows(rows)
    path = "ir-nlp-csui/indonli/d3778b474b8cf0b034d51f76dfcb4b686ea9c8c5/data/indonli/test_expert.jsonl"
    objects = [{"premise": one, "hypothesis": two, "label": name[0], "topics": "film"} for one, two, name in pairs]
    write(root / RAW / path, "".join(f"{json.dumps(each)}\n" for each in objects))
    burmese = {"sentence1_my": ["p"] * 3, "sentence2_my": ["h"] * 3, "label": names, "genre": ["x"] * 3}
    write_parquet(root / "akhtet/myanmar-xnli/data/test-00000-of-00001-0123456789abcdef.parquet", burmese)
    typed = {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=names)}
    classes = {"premise": ["p"] * 3, "hypothesis": ["h"] * 3, "label": [0, 1, 2]}
    write_parquet(root / "facebook/xnli/th/test-00000-of-00001.parquet", classes, **typed)
    write_parquet(root / "nala-cub/americas_nli/quy/test-00000-of-00001.parquet", classes, **typed)
    for language in ("th", "st", "id", "my", "qu"):
        data = load_texts(task, language, "test", where)
        assert list(data.labels) == [0, 1, 2], language


def test_questions_in_english_are_squad_s(root):
    task, where = find_spec("xquad-lowresource", Task), DataLocation(root, offline=True)
    row = {"question": ["q"], "context": ["c d"], "answers": [{"text": ["d"], "answer_start": [2]}], "id": ["1"]}
    for path in ("rajpurkar/squad/plain_text", "google/xquad/xquad.de"):
        write_parquet(root / path / "validation-00000-of-00001.parquet", row)
    assert [len(load_questions(task, language, "test", where)) for language in ("en", "de")] == [1, 1]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    with served(monkeypatch, tmp_path / "cache") as server:
        yield server


def test_mined_pairs_are_found_in_both_orders_of_their_codes(web):
    """The bucket answers 403 for files that it does not have."""
    corpus = find_spec("nllb-2", Corpus)
    bucket = "storage.googleapis.com/allennlp-data-bucket/nllb"
    rest = "1.06\t0.9\t0.9\tcrawl\thttp://a\tcrawl\thttp://b"

    def serve(pair: str, first: str, second: str) -> None:
        web.pages[f"{bucket}/{pair}.gz"] = Page(gzip.compress(f'{first} "1\t{second}\t{rest}\n'.encode() * 2))

    for code in corpus.codes.values():
        for pair in (f"eng_Latn-{code}", f"{code}-eng_Latn"):
            web.pages[f"{bucket}/{pair}.gz"] = Page(status=403)
    serve("eng_Latn-swh_Latn", "hello", "hujambo")
    serve("bam_Latn-eng_Latn", "foli", "hello")
    swahili, bambara = (load_pairs(corpus, "en", language, DataLocation()) for language in ("sw", "bm"))
    assert (swahili.source_words[0], swahili.target_words[0]) == (["hello", '"', "1"], ["hujambo"])
    assert (bambara.source_words[0], bambara.target_words[0]) == (["hello"], ["foli", '"', "1"])
    with pytest.raises(UserError, match=r"none of eng_Latn-ewe_Latn, ewe_Latn-eng_Latn: .* refuses \(status 403\)"):
        load_pairs(corpus, "en", "ee", DataLocation())
