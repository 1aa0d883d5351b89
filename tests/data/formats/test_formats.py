"""Readers of text formats: small files by hand with the quirks of published ones, `conllu` as a second opinion."""

import gzip
import json
from pathlib import Path
from typing import Any

import conllu
import pytest

from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.read import column_names, count_rows, read_rows
from xrealign_bench.data.rows import Rows
from xrealign_bench.data.sources import locate
from xrealign_bench.errors import UserError
from xrealign_bench.specs import FilesData


def source_of(folder: Path, path: str, **fields: Any) -> FilesData:
    return FilesData.model_validate({"kind": "files", "test": path} | fields, context={"folder": folder})


def read(folder: Path, path: str, columns: list[str], choose: Any = range, **fields: Any) -> Rows:
    located = locate(source_of(folder, path, **fields), "en", "test", DataLocation())
    rows = read_rows(located, columns, True, choose)
    assert choose is not range or count_rows(located, True) == len(rows.numbers)
    return rows


def write(folder: Path, name: str, content: str | bytes) -> str:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def line(*fields: str) -> str:
    return "\t".join(fields) + "\n"


def word(number: str, form: str, upos: str) -> str:
    return line(number, form, form.lower(), upos, *"______")


TREEBANK = (
    "# newdoc id = a\n# sent_id = a-1\n# text = Vámonos al mar # ya\n"
    + line("1-2", "Vámonos", *"________")
    + word("1", "Vamos", "VERB") + word("2", "nos", "PRON")
    + line("3-4", "al", *"_______", "SpaceAfter=No")
    + word("3", "a", "ADP") + word("4", "el", "DET") + word("5", "mar", "NOUN")
    + line("5.1", "elided", *"________")
    + word("6", "#", "SYM") + word("7", "10 000", "NUM") + word("8", "_", "_")
    + "\n\n# sent_id = a-2\n"
    + word("1", "Sí", "INTJ")
)  # fmt: skip
"""Multiword tokens, an empty node, a word with a space, one that is '#', no text, no blank line at the end."""


@pytest.mark.parametrize("name", ["a.conllu", "a.conllu.gz", "a.CONLLU"])
@pytest.mark.parametrize("change", [str, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_conllu(tmp_path, name, change):
    rows = read(tmp_path, write(tmp_path, name, change(TREEBANK)), ["form", "upos", "sent_id", "text"])
    assert rows.columns == {
        "form": [["Vamos", "nos", "a", "el", "mar", "#", "10 000", "_"], ["Sí"]],
        "upos": [["VERB", "PRON", "ADP", "DET", "NOUN", "SYM", "NUM", "_"], ["INTJ"]],
        "sent_id": ["a-1", "a-2"],
        "text": ["Vámonos al mar # ya", None],
    }
    assert (rows.place(0), rows.place(0, 4), rows.place(1, 0)) == tuple(
        f"{tmp_path / name}:{number}" for number in (5, 10, 18)
    )


def test_conllu_as_the_package_conllu_reads_it(tmp_path):
    ours = read(tmp_path, write(tmp_path, "a.conllu", TREEBANK), ["form", "lemma", "upos"]).columns
    theirs = [[token for token in sentence if isinstance(token["id"], int)] for sentence in conllu.parse(TREEBANK)]
    for column in ours:
        assert ours[column] == [[token[column] for token in sentence] for sentence in theirs]


def test_all_lines_are_words_on_request(tmp_path):
    rows = read(tmp_path, write(tmp_path, "a.conllu", TREEBANK), ["id", "form", "upos"], lines="all")
    assert rows.columns["id"][0][:5] == ["1-2", "1", "2", "3-4", "3"]
    assert rows.columns["form"][0][:5] == ["Vámonos", "Vamos", "nos", "al", "a"]
    assert rows.columns["upos"][0][:5] == ["_", "VERB", "PRON", "_", "ADP"]
    assert rows.place(0, 3).endswith("a.conllu:7")
    # The package `conllu`, with which the Hub's data set was made, keeps every line, that of the empty node too.
    parsed = conllu.parse(TREEBANK)
    assert any("." in id for id in rows.columns["id"][0])
    assert rows.columns["form"] == [[token["form"] for token in sentence] for sentence in parsed]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TREEBANK + line("2", *"________"),
            r"a\.conllu:19: has 9 columns and not the 10 of CoNLL-U",
        ),
        (TREEBANK + "2 x\n", r"a\.conllu:19: has 1 columns"),
        (TREEBANK + word("x", "a", "X"), r"a\.conllu:19: 'x' is not an id of CoNLL-U"),
        ("", "has no rows"),
        (b"1\t\xff\n", r"a\.conllu:1: '1.*xff' is not UTF-8; convert the file"),
    ],
)
def test_bad_conllu(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, write(tmp_path, "a.conllu", text), ["form"])


TWO_COLUMNS = "-DOCSTART- O\n\n# id 1 of domain=x\nAnna{0}B-PER\n#{0}O\n3\u00a0000{0}O\n\n\nNew\u3000York{0}B-LOC\n"


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_conll_columns(tmp_path, separator):
    write(tmp_path, "a.txt", TWO_COLUMNS.format(separator))
    rows = read(tmp_path, "a.txt", ["0", "1"], format="conll")
    assert rows.columns == {
        "0": [["Anna", "#", "3\u00a0000"], ["New\u3000York"]],
        "1": [["B-PER", "O", "O"], ["B-LOC"]],
    }
    assert rows.place(1, 0) == f"{tmp_path / 'a.txt'}:9"
    assert read(tmp_path, "a.txt", ["tag"], format="conll", names=["word", "tag"]).columns["tag"] == rows.columns["1"]


def test_conll_2003_has_four_columns(tmp_path):
    write(tmp_path, "a.conll", "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n")
    assert read(tmp_path, "a.conll", ["0", "3"]).columns == {"0": [["EU", "rejects"]], "3": [["B-ORG", "O"]]}


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("a X\nb\n", {}, r"a\.conll:2: has 1 columns and not 2 as the lines before"),
        ("a X\n", {"names": ["w"]}, r"a\.conll:1: has 2 columns and not the 1 of 'names'"),
        ("a X\n", {}, r"unknown column of .*a\.conll: '7'; known: 0, 1|unknown column of .*a\.conll: '7'"),
    ],
)
def test_bad_conll(tmp_path, text, fields, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, write(tmp_path, "a.conll", text), ["7"], **fields)


CSV = '\ufefftext,label\r\n"one, ""two""\nthree",1\r\n\r\nNA,0\r\n2020-01-01,1\r\n'


def test_csv(tmp_path):
    rows = read(tmp_path, write(tmp_path, "a.csv", CSV), ["text", "label"])
    assert rows.columns == {"text": ['one, "two"\nthree', "NA", "2020-01-01"], "label": [1, 0, 1]}
    assert [rows.place(row) for row in range(3)] == [f"{tmp_path / 'a.csv'}:{number}" for number in (2, 5, 6)]
    assert rows.features["text"].dtype == "string"


def test_a_column_of_mixed_values_stays_text(tmp_path):
    write(tmp_path, "a.tsv", "id\ttext\n01\t1\n02\tb\n")
    assert read(tmp_path, "a.tsv", ["id", "text"]).columns == {"id": ["01", "02"], "text": ["1", "b"]}


def test_tsv_without_a_header_and_with_quotation_marks_as_text(tmp_path):
    write(tmp_path, "a.tsv.gz", 'He said "no"\tx\n"Yes" he did\ty\n')
    rows = read(tmp_path, "a.tsv.gz", ["a"], names=["a", "b"], quoting="none")
    assert rows.columns == {"a": ['He said "no"', '"Yes" he did']}
    with pytest.raises(UserError, match=r"a\.tsv\.gz:2: can't be split into fields .*, or set 'quoting: none' if they"):
        read(tmp_path, "a.tsv.gz", ["a"], names=["a", "b"])


def test_tsv_without_quoting_keeps_a_carriage_return_inside_a_text(tmp_path):
    write(tmp_path, "a.tsv", 'one\rtwo\tx\r\n\n"three\ty\n')
    rows = read(tmp_path, "a.tsv", ["a", "b"], names=["a", "b"], quoting="none")
    assert rows.columns == {"a": ["one\rtwo", '"three'], "b": ["x", "y"]}
    assert [rows.place(row) for row in range(2)] == [f"{tmp_path / 'a.tsv'}:{number}" for number in (1, 3)]
    write(tmp_path, "b.tsv", "one\tx\ntwo\n")
    with pytest.raises(UserError, match=r"b\.tsv:2: has 1 field and 'names' 2; mend the line"):
        read(tmp_path, "b.tsv", ["a"], names=["a", "b"], quoting="none")


@pytest.mark.parametrize(
    ("name", "text", "fields", "message"),
    [
        ("a.csv", "text;label\na;0\n", {}, r"a\.csv:1: the header is one field, 'text;label'; if .*`delimiter: ';'`"),
        ("a.tsv", "text,label\na,0\n", {}, r"a\.tsv:1: the header is one field.*`delimiter: ','`"),
        ("a.csv", "text\tlabel\n", {}, r"`delimiter: \"\\t\"`"),
        ("a.csv", "text,label\na,0,1\n", {}, r"a\.csv:2: has 3 fields and the header 2; mend the line"),
        ("a.tsv", "a|0\n", {"names": ["text", "b"]}, r"a\.tsv:1: has 1 field and 'names' 2; if .*`delimiter: '\|'`"),
        ("a.csv", "text,text\n", {}, r"a\.csv:1: the header names 'text' twice"),
        ("a.csv", 'text,label\n"a,0\nb,1\n', {}, r"a\.csv:2: can't be split into fields"),
        ("a.csv", "texts,label\na,0\n", {}, r"unknown column of .*a\.csv: 'text'; did you mean texts\?"),
        ("a.csv", "text,label\n", {}, "has no rows"),
    ],
)
def test_bad_delimited(tmp_path, name, text, fields, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, write(tmp_path, name, text), ["text"], **fields)


def test_another_delimiter(tmp_path):
    write(tmp_path, "a.csv", "text;label\na, b;0\n")
    assert read(tmp_path, "a.csv", ["text", "label"], delimiter=";").columns == {"text": ["a, b"], "label": [0]}


def test_jsonl(tmp_path):
    lines = ['{"text": "a", "label": 1}', "", '{"label": 0, "text": "b\\u00e9", "more": [1]}']
    rows = read(tmp_path, write(tmp_path, "a.jsonl", "\r\n".join(lines)), ["text", "label"])
    assert rows.columns == {"text": ["a", "bé"], "label": [1, 0]}
    assert rows.place(1) == f"{tmp_path / 'a.jsonl'}:3"
    assert column_names(locate(source_of(tmp_path, "a.jsonl"), None, "test", DataLocation()), True) == [
        "text", "label", "more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\n{"text": "b"\n', r"a\.jsonl:2: is not JSON \(.*\): '{\"text\": \"b\"'; mend it"),
        ('{"text": "a"}\n[1]\n', r"a\.jsonl:2: is not a JSON object"),
        (
            '{"text": "a"}\n\n{"text": 1}\n',
            r"a\.jsonl:3: column 'text' holds '1', of another type than",
        ),
        ('{"text": NaN}\n', r"a\.jsonl:1: is not JSON \(NaN is no JSON number\)"),
        ('{"txt": "a"}\n', r"unknown column of .*a\.jsonl: 'text'; did you mean txt\?"),
    ],
)
def test_bad_jsonl(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, write(tmp_path, "a.jsonl", text), ["text"])


def test_json_as_a_list_and_as_squad_has_it(tmp_path):
    rows = [{"text": "a"}, {"text": "b"}]
    for content in (rows, {"version": "1", "data": rows}):
        write(tmp_path, "a.json", json.dumps(content))
        assert read(tmp_path, "a.json", ["text"]).columns == {"text": ["a", "b"]}
    answers = [{"text": "mar", "answer_start": 3}, {"text": "el mar", "answer_start": 0}]
    asked = {"qas": [{"id": "1", "question": "¿Qué?", "answers": answers}], "context": "el mar"}
    write(tmp_path, "a.json", json.dumps({"data": [{"title": "t", "paragraphs": [asked, asked]}]}))
    squad = read(tmp_path, "a.json", ["question", "context", "answers"])
    assert squad.columns == {
        "question": ["¿Qué?"] * 2,
        "context": ["el mar"] * 2,
        "answers": [{"text": ["mar", "el mar"], "answer_start": [3, 0]}] * 2,
    }
    for bad in ("{}", "[1]", "{"):
        with pytest.raises(UserError, match=r"a\.json: (must be a list of objects|is not JSON)"):
            read(tmp_path, write(tmp_path, "a.json", bad), ["text"])


def test_moses(tmp_path):
    write(tmp_path, "en-fo.en", "one\r\n\r\n12\r\n")
    write(tmp_path, "en-fo.fo.gz", "eitt\ntvey\n12\n")
    write(tmp_path, "en-fr.en", "one\n")
    located = locate(source_of(tmp_path, "{config}.{language}"), "en-fo", "test", DataLocation())
    assert column_names(located, True) == ["en", "fo"]
    rows = read_rows(located, ["fo", "en"], True)
    assert rows.columns == {"fo": ["eitt", "tvey", "12"], "en": ["one", "", "12"]}
    (tmp_path / "en-fo.fo.gz").unlink()
    write(tmp_path, "en-fo.fo", "eitt\ntvey\n")
    located = locate(source_of(tmp_path, "{config}.{language}"), "en-fo", "test", DataLocation())
    with pytest.raises(UserError, match=r"en-fo\.en has 3 lines and .*en-fo\.fo 2; each line must be the translation"):
        read_rows(located, ["en", "fo"], True)


def tmx(*units: str, head: str = '<!DOCTYPE tmx SYSTEM "tmx14.dtd">') -> str:
    return f'<?xml version="1.0"?>\n{head}\n<tmx version="1.4"><header/><body>{"".join(units)}</body></tmx>\n'


UNITS = (
    '<tu><note>x</note><tuv xml:lang="en"><seg>One <bpt i="1">&lt;b&gt;</bpt>big<ept i="1">&lt;/b&gt;</ept>\n'
    '  &amp; <hi>red</hi> fish</seg></tuv><tuv xml:lang="fo"><seg>Ein fiskur</seg></tuv></tu>',
    '<tu><tuv lang="fo"><seg>12</seg></tuv><tuv xml:lang="fr"><seg>Douze</seg></tuv></tu>',
)


def test_tmx(tmp_path):
    rows = read(tmp_path, write(tmp_path, "a.tmx", tmx(*UNITS)), ["en", "fo"])
    assert rows.columns == {"en": ["One big & red fish", None], "fo": ["Ein fiskur", "12"]}
    with pytest.raises(UserError, match=r"unknown column of .*a\.tmx: 'de'; known: en, fo, fr"):
        read(tmp_path, "a.tmx", ["de"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            tmx(*UNITS, head='<!DOCTYPE tmx [<!ENTITY a "aaa"><!ENTITY b "&a;&a;&a;">]>'),
            r"a\.tmx: declares XML entities, .*; remove its '<!ENTITY \.\.\.>' declarations",
        ),
        (tmx("<tu>"), r"a\.tmx:3: is not XML"),
    ],
)
def test_bad_tmx(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, write(tmp_path, "a.tmx", text), ["en"])


def test_gzip_that_ends_early_or_is_damaged(tmp_path):
    whole = gzip.compress(TREEBANK.encode() * 50)
    (tmp_path / "a.conllu").write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"a\.conllu: its gzip data end early; delete it and fetch it again"):
        read(tmp_path, "a.conllu", ["form"])
    (tmp_path / "a.conllu").write_bytes(whole[:30] + b"xxxxxx" + whole[36:])
    with pytest.raises(UserError, match=r"a\.conllu: its gzip data are damaged"):
        read(tmp_path, "a.conllu", ["form"])


def test_a_line_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("xrealign_bench.data.formats.lines.LONGEST_LINE", 10)
    with pytest.raises(UserError, match=r"a\.txt:2: has more than 10 bytes; is it a text file\?"):
        read(tmp_path, write(tmp_path, "a.txt", f"{'x' * 9}\n{'x' * 10}\n"), ["text"])


def test_some_rows_of_several_files(tmp_path):
    for number in range(3):
        write(tmp_path, f"{number}.txt", "".join(f"{number}{row}\n" for row in range(4)))
    rows = read(tmp_path, "*.txt", ["text"], lambda there: range(1, there, 4))
    assert rows.columns == {"text": ["01", "11", "21"]}
    assert rows.place(2) == f"{tmp_path / '2.txt'}:2"
