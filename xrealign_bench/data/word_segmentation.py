"""Word segmentation of running text, in any script."""

from __future__ import annotations

import unicodedata

from icu4py import icu_version
from icu4py.breakers import WordBreaker

SEGMENTER = f"ICU {icu_version}"
"""Version of the segmenter; another one may find other words."""


def split_words(text: str, language: str) -> list[str]:
    """Split text at ICU's word breaks (UAX 29; dictionaries for Thai, Lao, Khmer, Burmese, Chinese and Japanese).

    Punctuation marks are separate words. Combining marks, such as Indic vowel signs, stay with their letter. White
    space, control and zero-width characters are dropped unless they are inside a word.

    Args:
        text: a sentence.
        language: its code; ICU has special rules for a few languages (Finnish, Hebrew).

    >>> split_words("Don't panic, it's 3.5 %!", "en")
    ["Don't", 'panic', ',', "it's", '3.5', '%', '!']
    >>> split_words("ฉันรักภาษาไทย", "th")
    ['ฉัน', 'รัก', 'ภาษา', 'ไทย']
    """
    # ICU joins a combining mark to the space before it, so strip the words.
    return [word.strip() for word in WordBreaker(text, language) if not all(map(_is_invisible, word))]


def _is_invisible(character: str) -> bool:
    """Return whether a character is white space, a control or a format character, such as a zero-width space."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")
