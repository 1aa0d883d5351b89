"""The lexicon aligner. Truth: cases written by hand, and the rule as plain loops."""

import random

import pytest

from tests.aligners.texts import text
from xrealign_bench.aligners.lexicon_lookup import align_lexicon
from xrealign_bench.data import Lexicon


def lexicon(entries: str) -> Lexicon:
    return Lexicon("en", "de", [tuple(entry.split("-")) for entry in entries.split()], {}, "0")


@pytest.mark.parametrize(
    ("source", "target", "entries", "links"),
    [
        ("The dog barks", "Der Hund bellt", "dog-hund barks-bellt", [(1, 1), (2, 2)]),
        ("DOG", "hund", "dog-hund", [(0, 0)]),
        ("dog", "Hund Hund", "dog-hund", []),  # which one?
        ("dog dog", "Hund", "dog-hund", []),  # which one?
        ("dog dog", "Hund Hund", "dog-hund", []),
        ("dog", "Hund Rüde", "dog-hund dog-rüde", []),  # two candidates
        ("dog hound", "Hund", "dog-hund hound-hund", []),  # claimed twice
        ("dog hound", "Hund Rüde", "dog-hund hound-rüde", [(0, 0), (1, 1)]),
        # `dog` is ambiguous, and so spoils the word that `hound` might have
        ("dog hound", "Hund Rüde", "dog-hund dog-rüde hound-rüde", []),
        ("april", "April Ostern", "april-april april-ostern", [(0, 1)]),  # identical entries are passed over
        ("cat", "Hund", "dog-hund", []),
        ("Cafe\u0301 ok", "b\u00e4r", "caf\u00e9-ba\u0308r", [(0, 0)]),  # composed here, decomposed there
    ],
)
def test_by_hand(source, target, entries, links):
    assert align_lexicon(text((source, target)), lexicon(entries)) == [links]


@pytest.mark.parametrize(
    ("source", "target", "entries", "links"),
    [
        ("The dog barks", "der Hund bellt", "the-der dog-hund barks-bellt", [(2, 2)]),
        ("the dog", "der hund", "the-der dog-hund", [(0, 0), (1, 1)]),
        # A word with a capital letter is no second candidate either.
        ("dog", "Hund hund", "dog-hund", [(0, 1)]),
    ],
)
def test_words_may_have_to_match_the_case_of_entries(source, target, entries, links):
    """As in the released code: lower-case entries, and words as they are in the text."""
    assert align_lexicon(text((source, target)), lexicon(entries), "match") == [links]


def released_rule(source, target, entries):
    """Apply the checks of the released code in their order, to single words; see `align_lexicon`."""
    links = []
    for s, word in enumerate(source):
        candidates = {t for e, t in entries if e == word and e != t} & set(target)
        if len(candidates) != 1:
            continue
        places = [t for t, other in enumerate(target) if other in candidates]
        if len(places) != 1:
            continue
        back = {e for e, t in entries if t == target[places[0]] and e != t}
        if sum(other in back for other in source) == 1:
            links.append((s, places[0]))
    return links


def test_against_plain_loops():
    chance = random.Random(0)
    linked = 0
    for _ in range(300):
        source = chance.choices("abcdefgh", k=chance.randint(1, 6))
        target = chance.choices("abcdstuv", k=chance.randint(1, 6))
        entries = list({(chance.choice("abcdefgh"), chance.choice("abcdstuv")) for _ in range(12)})
        found = align_lexicon(text((" ".join(source), " ".join(target))), Lexicon("en", "de", entries, {}, "0"))
        assert found == [released_rule(source, target, entries)]
        linked += len(found[0])
    assert linked > 100
