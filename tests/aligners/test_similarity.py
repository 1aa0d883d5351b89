"""The similarity aligner. Truth: vectors written by hand, plain loops, and the model run directly."""

import random

import pytest
import torch

from tests.aligners.texts import text
from xrealign_bench.aligners import Resources, align
from xrealign_bench.aligners.similarity import align_similarity, encoder_vectors, mutual_argmax
from xrealign_bench.data import ParallelText


def plain_loops(source, target):
    cosine = [[float(torch.cosine_similarity(s, t, dim=0)) for t in target] for s in source]
    links = []
    for s, row in enumerate(cosine):
        t = row.index(max(row))
        column = [other[t] for other in cosine]
        if column.index(max(column)) == s:
            links.append((s, t))
    return links


def test_against_plain_loops_with_pairs_of_unequal_length():
    torch.manual_seed(0)
    chance = random.Random(0)
    sides = [[torch.randn(chance.randint(1, 7), 5) for _ in range(40)] for _ in range(2)]
    assert mutual_argmax(*sides) == [plain_loops(s, t) for s, t in zip(*sides, strict=True)]


def test_length_of_a_vector_does_not_count_and_neither_does_padding():
    source = [torch.tensor([[9.0, 0.0], [0.0, 0.1]]), torch.tensor([[-1.0, -1.0]])]
    target = [torch.tensor([[0.0, 50.0], [0.1, 0.0]]), torch.tensor([[1.0, 1.0]])]
    # In the second pair the cosine is -1, less than the zero of padding.
    assert mutual_argmax(source, target) == [[(0, 1), (1, 0)], [(0, 0)]]


def test_a_word_without_a_vector_is_never_linked():
    zero = torch.zeros(1, 2)
    assert mutual_argmax([zero, torch.ones(1, 2)], [torch.ones(1, 2), zero]) == [[], []]
    assert mutual_argmax([], []) == []


def test_of_equal_cosines_the_first_counts():
    ones = torch.ones(3, 2)
    assert mutual_argmax([ones], [ones]) == [[(0, 0)]]


def test_long_texts_are_read_in_chunks():
    pairs = text(*[("a b", "y x")] * 1100)
    table = {"a": [1.0, 0.0], "x": [1.0, 0.1], "b": [0.0, 1.0], "y": [0.1, 1.0]}
    sizes = []

    def vectors(sentences):
        sizes.append(len(sentences))
        return [torch.tensor([table[word] for word in words]) for words in sentences]

    assert align("similarity", pairs, Resources(vectors=vectors)).links == [[(0, 1), (1, 0)]] * 1100
    assert sizes == [512, 512, 512, 512, 76, 76]


@pytest.fixture(scope="module")
def model():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {
        token: number for number, token in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdef", "##x", "##y"])
    }
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
    )
    return tokenizer, BertModel(config, add_pooling_layer=False).eval()


@pytest.mark.parametrize(("layer", "block"), [(None, 1), (0, 0), (2, 2)])
def test_encoder_vectors_are_means_over_sub_words_of_a_block(model, layer, block):
    tokenizer, encoder = model
    sentences = [["a", "bxy", "c"], ["dx"], ["a", "a", "a", "a", "f"]]
    vectors = encoder_vectors(tokenizer, encoder, max_length=32, device=torch.device("cpu"), layer=layer, batch_size=2)(
        sentences
    )
    # The first sentence by hand: [CLS] a b ##x ##y c [SEP]
    ids = torch.tensor([[1, 4, 5, 10, 11, 6, 2]])
    with torch.inference_mode():
        hidden = encoder(ids, output_hidden_states=True).hidden_states[block + 1][0]
    by_hand = torch.stack([hidden[1], hidden[2:5].mean(0), hidden[5]])
    torch.testing.assert_close(vectors[0], by_hand, atol=1e-5, rtol=1e-5)
    assert [len(v) for v in vectors] == [3, 1, 5]


def test_long_sentences_get_a_vector_for_every_word(model):
    tokenizer, encoder = model
    vectors = encoder_vectors(tokenizer, encoder, max_length=6, device=torch.device("cpu"))
    (long,) = vectors([["a"] * 4 + ["b"] * 5])
    (first,) = vectors([["a"] * 4])
    assert len(long) == 9
    torch.testing.assert_close(long[:4], first)


def test_a_sentence_aligned_with_itself_is_linked_word_by_word(model):
    tokenizer, encoder = model
    vectors = encoder_vectors(tokenizer, encoder, max_length=32, device=torch.device("cpu"))
    pairs: ParallelText = text(("a b c dx e", "a b c dx e"))
    assert align_similarity(pairs, vectors) == [[(n, n) for n in range(5)]]
