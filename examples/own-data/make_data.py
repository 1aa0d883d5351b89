"""Write the example's data below a folder: labelled sentences in three languages, and their translations.

    python make_data.py data

A real data set would come from your own files; what counts is the layout, ORG/NAME/CONFIG/SPLIT-*.parquet.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PLACES = {
    "en": ["in the city", "at home", "near the river", "in the village", "on the island", "in the north"],
    "de": ["in der Stadt", "zu Hause", "am Fluss", "im Dorf", "auf der Insel", "im Norden"],
    "sw": ["mjini", "nyumbani", "karibu na mto", "kijijini", "kisiwani", "kaskazini"],
}
EVENTS = {
    "en": {
        "weather": ["It rains", "The sun shines", "The wind is strong"],
        "food": ["We eat rice", "You cook fish", "I buy bread"],
    },
    "de": {
        "weather": ["Es regnet", "Die Sonne scheint", "Der Wind weht stark"],
        "food": ["Wir essen Reis", "Du kochst Fisch", "Ich kaufe Brot"],
    },
    "sw": {
        "weather": ["Mvua inanyesha", "Jua linawaka", "Upepo ni mkali"],
        "food": ["Tunakula wali", "Unapika samaki", "Ninanunua mkate"],
    },
}


def sentences(language: str) -> tuple[list[str], list[str]]:
    labelled = [(event, topic) for topic, events in EVENTS[language].items() for event in events]
    rows = [(f"{event} {place}.", topic) for place, (event, topic) in product(PLACES[language], labelled)]
    return [text for text, _ in rows], [topic for _, topic in rows]


def write(columns: dict[str, list[str]], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def main(root: Path) -> None:
    texts = {language: sentences(language)[0] for language in PLACES}
    write(texts, root / "example/parallel/default/train-00000-of-00001.parquet")
    for language in PLACES:
        words, topics = sentences(language)
        for split in ("train", "test") if language == "en" else ("test",):
            table = {"text": words, "topic": topics}
            write(table, root / f"example/topics/{language}/{split}-00000-of-00001.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
