"""Word breaks against splits by hand (and by the languages' own dictionaries)."""

import pytest

from xrealign_bench.data import split_words


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("th", "ฉันรักภาษาไทย มาก", "ฉัน|รัก|ภาษา|ไทย|มาก"),
        ("zh", "我喜欢中文，很好。", "我|喜欢|中文|，|很好|。"),
        ("ja", "私は日本語が好きです。", "私|は|日本語|が|好き|です|。"),
        ("km", "ខ្ញុំស្រលាញ់ភាសាខ្មែរ", "ខ្ញុំ|ស្រលាញ់|ភាសាខ្មែរ"),
        ("lo", "ຂ້ອຍຮັກພາສາລາວ", "ຂ້ອຍ|ຮັກ|ພາສາ|ລາວ"),
        ("my", "ကျွန်တော်မြန်မာစာကိုချစ်တယ်", "ကျွန်တော်|မြန်မာ|စာ|ကို|ချစ်|တယ်"),
        ("hi", "मैं हिन्दी में लिखता हूँ।", "मैं|हिन्दी|में|लिखता|हूँ|।"),
        ("ta", "தமிழ் மொழி, நன்றி!", "தமிழ்|மொழி|,|நன்றி|!"),
        ("he", 'צה"ל הודיע', 'צה"ל|הודיע'),
        ("fr", "L’homme d'aujourd'hui", "L’homme|d'aujourd'hui"),
        ("en", "It cost $3.50 (e.g.).\r\n", "It|cost|$|3.50|(|e.g|.|)|."),
    ],
)
def test_words_by_hand(language, text, words):
    assert split_words(text, language) == words.split("|")


def test_white_space_and_zero_width_characters_are_no_words():
    assert split_words("\ufeff a\u200bb \u00a0\t\u2028c\u0000\r", "km") == ["a", "b", "c"]
    assert split_words(" \n", "en") == []


@pytest.mark.parametrize("text", ["हिन्दी में நன்றி ภาษาไทย é ɔ̃́ 👨‍👩‍👧 ខ្ញុំ", "a\u0301 \u0301 b"])
def test_nothing_but_white_space_is_lost_and_no_mark_begins_a_word(text):
    words = split_words(text, "en")
    assert "".join(words) == "".join(text.split())
    # A word can begin with a combining mark only where the text has one after white space.
    assert all(not word.startswith("\u0301") or f" {word}" in text for word in words)
