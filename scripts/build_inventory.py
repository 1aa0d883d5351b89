"""Write ``xrealign_bench/languages/inventory.csv`` from its sources.

Run it in a separate environment (``pip install qwanqwa==1.2.1 lang2vec==1.1.2 babel==2.18.0 numpy``):

    python scripts/build_inventory.py --joshi joshi_taxonomy.csv --out xrealign_bench/languages/inventory.csv

``--joshi`` is the taxonomy of Joshi et al. (2020, "The State and Fate of Linguistic Diversity and Inclusion
in the NLP World") as a CSV with the columns ``iso639_3,joshi_class,name``.

The table is frozen: after changing a row, increment INVENTORY_VERSION in
``xrealign_bench/languages/inventory.py``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from babel import Locale
from qq import Database, IdType  # the import name of qwanqwa

# One language per entry: code[=iso639_3][:alias,alias...]. The code is ISO 639-1 if there is one, else
# ISO 639-3. "=iso639_3" names the individual language that represents a macrolanguage, whose own code becomes
# an alias; without it the ISO 639-3 code of the entry's code is used. The aliases are further macrolanguage codes,
# codes that ISO has retired, and the codes that data sets use for the same language.
LANGUAGES = """
ab ace acm acq aeb af am an ang apc:ajp ar=arb arn arq ars ary arz as ast awa ay=ayr az=azj azb
ba ban bar bbj be bem bew bg bgc bho bi bjn blo bm bn bo bpy br brx bs bug bzd
ca cbk ccp ce ceb ch chr cjk ckb cni co cop crh cs csb cu cv cy
da de dik:din doi=dgo dsb dtp:kzj dv dyu dz
ee el en eo es et=ekk eu
fa=pes ff=fuv fi fj fo fon fr frr fuc fur fy
ga gd gl gn=gug grc gsw gu gv
ha haw hch he:iw hi hmn=mww hne hr hsb ht hu hy
ia id:in ie ig ii ilo io is it
ja jv:jw
ka kab kac kam kbp kea kg=ktu:kng kgp ki kk kl km kmb kmr:ku,kur kn knc:kr,kau ko kok=gom:knn krc ks
kv=kpv kw kxv ky
la lb lfn lg li lij lkt lld lmo ln lo lt ltg lua luo lus lv=lvs lzh
mag mai max mdf mey mg=plt mhr:chm mi min mk ml mn=khk mni mos mr ms=zsm:zlm mt my myv mzn
nah nap nd nds ne=npi new nl nn no=nob:nb nov nqo nr nso nus nv ny nyn
oc om=gaz or=ory orv os oto
pa pag pam pap pcm pl pms pnb prs ps=pbt pt
qu=quy quc
rm rn ro:mo,mol ru rw
sa sah sat sc=sro scn sco sd se sg shi shn shp si sk sl sm sn so sq=als sr ss st su sv sw=swh swg szl
ta taq tar te tg th ti tk tl:fil tn to tpi tr ts tt tum tw:ak,aka ty tyv tzl tzm
udm ug uk umb ur uz=uzn
ve vec vep vi vo
wa war wo wuu
xal xh
yi=ydd yo yrl yua yue
za=zyb zgh zh=cmn zu
"""


@dataclass(frozen=True)
class Collective:
    """A collective code (ISO 639-2/5) that a data set uses without naming the variety."""

    name: str
    glottocode: str
    family: str
    branch: str
    varieties: tuple[str, ...]  # the one with most features in URIEL gives the typology


COLLECTIVES = {  # both from AmericasNLI
    "nah": Collective(
        "Nahuatl",
        "azte1234",
        "Uto-Aztecan",
        "Southern Uto-Aztecan",
        ("nch", "nhe", "nhg", "nhx", "azz", "ncj"),
    ),
    "oto": Collective("Otomi", "otom1300", "Otomanguean", "Western Otomanguean", ("ote", "otm", "otq")),
}

# qwanqwa has several scripts for these languages, or another than the data sets use. Instead: the script of Universal
# Dependencies, FLORES, NTREX or CLDR's default locale, in this order.
SCRIPTS = {
    "ang": "Latn", "apc": "Arab", "az": "Latn", "cu": "Cyrl", "dyu": "Latn", "grc": "Grek", "kk": "Cyrl",
    "lfn": "Latn", "lzh": "Hant", "mn": "Cyrl", "mni": "Beng", "ms": "Latn", "pa": "Guru", "sa": "Deva",
    "sd": "Arab", "sr": "Cyrl", "xal": "Cyrl", "yue": "Hant", "zgh": "Tfng", "zh": "Hans",
}  # fmt: skip

# Glottolog files N'Ko under artificial languages, as it is a koine; it is a written standard of Manding.
FAMILIES = {"nqo": ("Mande", "Western Mande")}

# Tagalog and Filipino are one row here; only Filipino has a count.
SPEAKERS_OF = {"tl": "fil"}

# The taxonomy row to use if a language's codes have several rows with different classes, or none of them has a row.
JOSHI_ROWS = {
    "gn": "grn",  # "guarani" (1) has the Wikipedia; "guaraní" (gug, 0) is the same language listed twice
    "kg": "kon",  # "kongo", not the variety kng
    "kv": "kom",  # "komi", not the variety kpv
    "mn": "mon",  # "mongolian", not the variety khk
    "ro": "ron",  # not the withdrawn code mol
    "ff": "fuc",  # the row "fula" carries the code fuc
    "ps": "pst",  # the row "pashto" carries the code pst
}

# Classes that differ from the taxonomy's CSV. None: the published class does not describe the amount of data, so the
# language is unclassified and in no resource tier. Sources and figures: languages/README.md, "Classes:
# decisions". Plausibility alone is no reason to
# change a class.
#
# The CSV has 2,298 rows, the published list 2,485: rows without a code were lost. Classes 3, 4 and 5 are complete.
JOSHI_OVERRIDES: dict[str, int | None] = {
    # Lost rows, found by name in a copy of the published list.
    "nah": 1,  # "nahuatl"
    "oto": 0,  # "otomí"
    "pa": 2,  # "eastern punjabi": the one row of class 2 that the CSV lacks
    "tar": 0,  # "tarahumara"
    # No row in the CSV and none found in the copy. A language without a Wikipedia and without a catalogued corpus is
    # of class 0 by definition; the low-resource study counts luo among classes 0-2.
    "luo": 0,
    # Bokmål and Nynorsk are each of class 1, defined by almost no labelled data. UD has 300,000 tokens of each. CC-100
    # has 49.0 GiB of Norwegian; the next largest language of classes 0-2 has 7.6 GiB.
    "nn": None,
    "no": None,
}

# The 104 Wikipedias of multilingual BERT (google-research/bert, multilingual.md). Chinese is listed twice, in
# two scripts; Serbo-Croatian (sh) is not in this table. So these are 102 codes.
MBERT = """
af sq ar an hy ast az ba eu bar be bn bpy bs br bg my ca ceb ce zh cv hr cs da nl en et fi fr gl ka de el gu
ht he hi hu is io id ga it ja jv kn kk ky ko la lv lt lmo nds lb mk mg ms ml mr min ne new no nn oc fa pms
pl pt pa ro ru sco sr scn sk sl azb es su sw sv tl tg ta tt te tr uk ur uz vi vo war cy fy pnb yo th mn
"""

# The 100 corpora of XLM-R (Conneau et al. 2020, appendix): 93 languages, as Chinese is listed in two
# scripts, and bn hi my ta te ur a second time, romanised or in the Zawgyi encoding.
XLMR = """
af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id
is it ja jv ka kk km kn ko kmr ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si
sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh
"""

NAMES = {"cjk": "Chokwe", "kbp": "Kabiyè", "shp": "Shipibo-Konibo", "ia": "Interlingua", "ie": "Interlingue"}


@dataclass(frozen=True)
class InventoryRow:
    """One line of inventory.csv, in the order of its columns."""

    code: str
    iso639_3: str
    glottocode: str
    name: str
    script: str
    family: str
    branch: str
    speakers: int | None
    joshi_class: int | None
    seen_by: str
    aliases: str
    uriel_features: str
    uriel_family: str
    uriel_geography: str


class Uriel:
    """The codes of URIEL, with the number of features that were observed rather than predicted."""

    def __init__(self) -> None:
        data = resources.files("lang2vec") / "data"
        with (data / "feature_averages.npz").open("rb") as file, np.load(file) as arrays:
            observed = (arrays["data"][:, :, 0] >= 0).sum(axis=1)
            self.observed = dict(zip(arrays["langs"].tolist(), observed.tolist(), strict=True))
        with (data / "family_features.npz").open("rb") as file, np.load(file) as arrays:
            groups = arrays["data"][:, :, 0].sum(axis=1)
            self.groups = dict(zip(arrays["langs"].tolist(), groups.tolist(), strict=True))

    def features(self, codes: Sequence[str]) -> str:
        """Return the code with the most observed features, which is often the macrolanguage's."""
        known = [code for code in codes if code in self.observed]
        return max(known, key=self.observed.__getitem__, default="")

    def family(self, code: str, preferred: Sequence[str]) -> str:
        """Return the first code with a genealogy. Isolates have none in URIEL, except Basque here."""
        return next((uriel for uriel in preferred if self.groups.get(uriel)), "eus" if code == "eu" else "")

    def geography(self, preferred: Sequence[str]) -> str:
        """Return the first code that URIEL has, preferably the individual language's."""
        return next((uriel for uriel in preferred if uriel in self.observed), "")


class Sources:
    """The sources of the table."""

    def __init__(self, joshi: Path) -> None:
        self.qwanqwa = Database.load()
        self.names = Locale("en").languages
        self.uriel = Uriel()
        with joshi.open(encoding="utf-8", newline="") as file:
            # QUOTE_NONE: one name of the published file holds a stray quotation mark
            rows = list(csv.DictReader(file, quoting=csv.QUOTE_NONE))
        self.joshi = {row["iso639_3"]: int(row["joshi_class"]) for row in rows}

    def languoid(self, code: str) -> Any:
        return self.qwanqwa.get(code, IdType.ISO_639_3 if len(code) == 3 else IdType.BCP_47)

    def joshi_class(self, code: str, codes: Sequence[str]) -> int | None:
        if code in JOSHI_OVERRIDES:
            return JOSHI_OVERRIDES[code]
        if code in JOSHI_ROWS:
            return self.joshi[JOSHI_ROWS[code]]
        classes = {self.joshi[each] for each in codes if each in self.joshi}
        if len(classes) > 1:
            raise SystemExit(f"{code}: several Joshi classes {classes}; choose in JOSHI_ROWS")
        return classes.pop() if classes else None


def entries() -> Iterator[tuple[str, str, list[str]]]:
    """Yield code, the individual ISO 639-3 code if one is named, and the listed aliases."""
    for entry in LANGUAGES.split():
        head, _, aliases = entry.partition(":")
        code, _, individual = head.partition("=")
        yield code, individual, aliases.split(",") if aliases else []


def seen_by(code: str) -> str:
    checkpoints = {"mbert": MBERT.split(), "xlmr": XLMR.split()}
    return " ".join(name for name, codes in checkpoints.items() if code in codes)


def collective_row(code: str, sources: Sources) -> InventoryRow:
    group = COLLECTIVES[code]
    uriel = sources.uriel.features(group.varieties)
    return InventoryRow(
        code=code,
        iso639_3="",
        glottocode=group.glottocode,
        name=group.name,
        script="Latn",
        family=group.family,
        branch=group.branch,
        speakers=None,
        joshi_class=sources.joshi_class(code, ()),
        seen_by=seen_by(code),
        aliases="",
        uriel_features=uriel,
        uriel_family=uriel,
        uriel_geography=uriel,
    )


def lineage(code: str, languoid: Any) -> tuple[str, str]:
    """Return the top-level family and the first informative branch, after Glottolog."""
    if code in FAMILIES:
        return FAMILIES[code]
    if code == "eu":
        return "Basque", ""  # an isolate is a family of one
    tree = [node.name for node in reversed(languoid.family_tree)]
    if tree[0] == "Artificial Language":
        return "Constructed", ""
    below = [name for name in tree[1:] if name != "Classical Indo-European"]
    return tree[0], below[0] if below else ""


def script(code: str, languoid: Any) -> str:
    if code in SCRIPTS:
        return SCRIPTS[code]
    (only,) = languoid.canonical_scripts
    return str(only.iso_15924)


def row(code: str, individual: str, listed: Sequence[str], sources: Sources) -> InventoryRow:
    own = sources.languoid(code)
    languoid = sources.languoid(individual) if individual else own
    iso = str(languoid.iso_639_3)
    aliases = sorted({iso, str(own.iso_639_3), *listed} - {code})
    codes = [iso, str(own.iso_639_3), *(alias for alias in listed if len(alias) == 3)]
    family, branch = lineage(code, languoid)
    features = sources.uriel.features(codes)
    return InventoryRow(
        code=code,
        iso639_3=iso,
        glottocode=languoid.glottocode or own.glottocode,
        name=NAMES.get(code) or sources.names.get(code) or own.name,
        script=script(code, own),
        family=family,
        branch=branch,
        speakers=sources.languoid(SPEAKERS_OF.get(code, code)).speaker_count or languoid.speaker_count,
        joshi_class=sources.joshi_class(code, codes),
        seen_by=seen_by(code),
        aliases=" ".join(aliases),
        uriel_features=features,
        # URIEL has a family for Norwegian, but not for its two written standards
        uriel_family=sources.uriel.family(code, [*codes, "nor"] if code == "nn" else codes),
        uriel_geography=sources.uriel.geography([iso, features]),
    )


def check(rows: Sequence[InventoryRow]) -> None:
    """Check that no code means two languages, and that checkpoints' lists have only known languages."""
    names = [name for each in rows for name in (each.code, *each.aliases.split())]
    repeated = sorted({name for name in names if names.count(name) > 1})
    missing = sorted({*MBERT.split(), *XLMR.split()} - {each.code for each in rows})
    if repeated or missing:
        raise SystemExit(f"codes used twice: {repeated}; checkpoint languages not in the table: {missing}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joshi", type=Path, required=True, help="Joshi et al. (2020) classes as CSV")
    parser.add_argument("--out", type=Path, required=True, help="the inventory.csv to write")
    arguments = parser.parse_args()
    sources = Sources(arguments.joshi)
    rows = [
        collective_row(code, sources) if code in COLLECTIVES else row(code, individual, aliases, sources)
        for code, individual, aliases in entries()
    ]
    check(rows)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(InventoryRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in sorted(rows, key=lambda each: each.code))


if __name__ == "__main__":
    main()
