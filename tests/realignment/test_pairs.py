"""Encoded pairs. Truth: small windows written by hand."""

from __future__ import annotations

import pytest
import torch

from xrealign_bench.models.windows import Window
from xrealign_bench.realignment.pairs import batch_pairs, pair_up

PAD = 0


def window(sentence: int, sizes: list[int], first_word: int = 0) -> Window:
    """A window whose word w has sizes[w] sub-words, between two special ones."""
    starts = [1 + sum(sizes[:w]) for w in range(len(sizes))]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return Window(sentence, first_word, [2, *range(10, 10 + sum(sizes)), 3], starts, ends)


def test_links_stay_with_their_pair() -> None:
    sources, targets = [window(0, [1, 1]), window(1, [2])], [window(0, [1]), window(1, [1, 1, 1])]
    encoded = pair_up(sources, targets, [[(1, 0)], [(0, 2)]])
    assert [pair.links.tolist() for pair in encoded.pairs] == [[[1, 0]], [[0, 2]]]
    assert [(pair.source, pair.target) for pair in encoded.pairs] == list(zip(sources, targets, strict=True))
    assert (encoded.links, encoded.dropped) == (2, {})


def test_links_beyond_the_first_window_are_dropped_and_counted() -> None:
    sources = [window(0, [1, 1]), window(0, [1], first_word=2), window(1, [1]), window(1, [1], first_word=1)]
    targets = [window(0, [1, 1, 1]), window(1, [1, 1])]
    encoded = pair_up(sources, targets, [[(0, 1), (2, 2), (1, 0)], [(1, 0)]])
    assert [pair.links.tolist() for pair in encoded.pairs] == [[[0, 1], [1, 0]]]
    assert encoded.pairs[0].source == sources[0]
    assert encoded.links == 2
    assert encoded.dropped == {"link_beyond_window": 2, "pair_without_link": 1}


def test_a_pair_with_an_empty_side_is_dropped_and_counted() -> None:
    encoded = pair_up([window(1, [1])], [window(0, [1]), window(1, [1])], [[], [(0, 0)]])
    assert len(encoded.pairs) == 1
    assert encoded.dropped == {"pair_without_link": 1}


def test_pairs_are_a_sequence() -> None:
    sides = [window(number, [1] * (1 + number)) for number in range(5)]
    pairs = pair_up(sides, sides, [[(number, number)] for number in range(5)]).pairs
    assert [pair.source for pair in pairs] == sides
    assert [pair.links.tolist() for pair in pairs[1:4:2]] == [[[1, 1]], [[3, 3]]]
    assert pairs[-1].target == sides[4]
    for beyond in (5, -6):
        with pytest.raises(IndexError):
            pairs[beyond]
    assert not pair_up(sides, sides, [[]] * 5).pairs


def test_at_most_the_first_pairs_that_can_be_used_are_kept() -> None:
    """The second of five pairs has no link: the first three others are 0, 2 and 3, and 4 is not looked at."""
    sides = [window(number, [1]) for number in range(5)]
    encoded = pair_up(sides, sides, [[(0, 0)], [], [(0, 0)], [(0, 0)], [(5, 5)]], limit=3)
    assert [pair.source.sentence for pair in encoded.pairs] == [0, 2, 3]
    assert encoded.dropped == {"pair_without_link": 1}
    assert [pair.source.sentence for pair in pair_up(sides, sides, [None] * 5, limit=2).pairs] == [0, 1]


def test_a_batch_numbers_its_words_row_by_row() -> None:
    encoded = pair_up(
        [window(0, [1, 2, 1]), window(1, [1])],
        [window(0, [1, 1]), window(1, [3, 1])],
        [[(2, 0), (0, 1)], [(0, 1)]],
    )
    batch = batch_pairs(encoded.pairs, PAD)
    # Words: the sources' 0 1 2 | 3, the targets' 4 5 | 6 7.
    assert batch.anchors.tolist() == [2, 0, 3, 4, 5, 7]
    assert batch.positives.tolist() == [4, 5, 7, 2, 0, 3]
    assert batch.side.tolist() == [False] * 4 + [True] * 4
    assert int((batch.windows.starts >= 0).sum()) == 8
    assert batch.windows.input_ids.shape == (4, 6)
    assert torch.equal(batch.windows.attention_mask.sum(1), torch.tensor([6, 3, 4, 6]))


def test_pairs_that_are_not_aligned_are_kept_without_links() -> None:
    """None means no word alignment; an empty list means that the aligner found no link."""
    sources, targets = [window(0, [1, 1]), window(1, [2]), window(2, [1])], [window(0, [1]), window(1, [1])]
    encoded = pair_up(sources, targets, [None, None, None])
    assert [(pair.source, pair.target) for pair in encoded.pairs] == list(zip(sources[:2], targets, strict=True))
    assert (encoded.links, encoded.dropped) == (0, {"empty": 1})
    batch = batch_pairs(encoded.pairs, PAD)
    assert batch.anchors.shape == batch.positives.shape == (0,)
    assert batch.windows.input_ids.shape == (4, 4)
    assert pair_up(sources[:2], targets, [[], []]).dropped == {"pair_without_link": 2}
