"""Random sentences of words from several scripts."""

from __future__ import annotations

import random

PIECES = [
    "Montag",
    "17.",
    "März",
    "euros",
    "fifty",
    "понедельник",
    "मार्च",
    "星期一",
    "வியாழன்",
    "-",
    "2003",
    "zz",
    "日",
    "\u200b",
]


def random_sentences(seed: int, count: int) -> list[list[str]]:
    draw = random.Random(seed)
    return [
        [
            "".join(draw.choices(PIECES, k=draw.choice([0, 1, 1, 1, 2, 8])))
            for _ in range(draw.choice([0, 1, 3, 12, 40]))
        ]
        for _ in range(count)
    ]
