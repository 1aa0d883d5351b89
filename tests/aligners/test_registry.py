"""The table of aligners, the gold aligner, and the filter of links. Truth: cases written by hand."""

import pytest

from tests.aligners.texts import text
from xrealign_bench.aligners import ALIGNERS, Alignment, align, usable_links
from xrealign_bench.data import Lexicon
from xrealign_bench.errors import UserError


def test_names_and_needs():
    assert sorted(ALIGNERS) == ["eflomal", "fast-align", "gold", "lexicon", "similarity"]
    assert [name for name, aligner in ALIGNERS.items() if aligner.needs_lexicon] == ["lexicon"]
    assert [name for name, aligner in ALIGNERS.items() if aligner.needs_checkpoint] == ["similarity"]
    assert {aligner.version for aligner in ALIGNERS.values()} == {1}  # one that is raised makes stored links old


def test_only_one_to_one_links_between_different_words_are_kept():
    pairs = text(("Paris is a big town", "PARIS ist eine große Stadt"), ("a b", "x y"), ("c", "z"))
    links = [
        # identical but for case; plain; twice the same; two targets of one source; and one of those shared
        [(0, 0), (1, 1), (1, 1), (3, 3), (3, 4), (4, 4)],
        [(1, 0), (0, 1)],
        [],
    ]
    assert usable_links(pairs, links) == Alignment(
        links=[[(1, 1)], [(0, 1), (1, 0)], []], dropped={"not_one_to_one": 3, "identical": 1}
    )


def test_an_identical_word_that_is_not_linked_one_to_one_counts_as_that():
    assert usable_links(text(("a", "a b")), [[(0, 0), (0, 1)]]).dropped == {"not_one_to_one": 2}


@pytest.mark.parametrize("links", [[[(2, 0)]], [[(0, 1)]], [[(-1, 0)]], [], [[], []]])
def test_links_of_another_text_are_a_bug(links):
    with pytest.raises(ValueError):
        usable_links(text(("a b", "x")), links)


def test_gold_links_are_the_corpus_s():
    pairs = text(("a b", "y x"), links=[[(0, 1), (1, 0)]])
    assert align("gold", pairs) == Alignment([[(0, 1), (1, 0)]], {})
    with pytest.raises(UserError, match="embedded/train: has no gold word alignment"):
        align("gold", text(("a", "x")))


def test_unknown_aligners_and_missing_resources():
    with pytest.raises(UserError, match=r"unknown aligner 'eflomol'; did you mean eflomal\?"):
        align("eflomol", text(("a", "x")))
    for name in ("lexicon", "similarity"):
        with pytest.raises(ValueError, match=f"the aligner '{name}' needs"):
            align(name, text(("a", "x")))


def test_a_lexicon_of_other_languages_is_a_bug():
    from xrealign_bench.aligners.lexicon_lookup import align_lexicon

    with pytest.raises(ValueError, match="a lexicon de-en for en-de text"):
        align_lexicon(text(("a", "x")), Lexicon("de", "en", [], {}, "0"))


def test_further_pairs_are_aligned_together_and_left_out_again():
    pairs, more = text(("a", "x"), links=[[(0, 0)]]), text(("a b", "y x"), links=[[(0, 1)]])
    assert align("gold", pairs, further=more) == Alignment([[(0, 0)]], {})
