"""Split running text into words, in any script."""

from __future__ import annotations

import unicodedata

from icu4py import icu_version
from icu4py.breakers import WordBreaker

SEGMENTER = f"ICU {icu_version}"
"""What the words depend on besides the text: another version may break elsewhere."""


def split_words(text: str, language: str) -> list[str]:
    """Split at ICU's word breaks (UAX 29; dictionaries for Thai, Lao, Khmer, Burmese, Chinese and Japanese).

    Punctuation marks are words of their own; combining marks, Indic vowel signs among them, stay with their
    letter. White space, control and zero-width characters are left out unless they are inside a word.

    Args:
        text: a sentence.
        language: its code, for the few languages that ICU has rules of their own for (Finnish, Hebrew).

    >>> split_words("Don't panic, it's 3.5 %!", "en")
    ["Don't", 'panic', ',', "it's", '3.5', '%', '!']
    >>> split_words("ฉันรักภาษาไทย", "th")
    ['ฉัน', 'รัก', 'ภาษา', 'ไทย']
    """
    # A mark after a space is one word with it for ICU: hence the strip.
    return [word.strip() for word in WordBreaker(text, language) if not all(map(_is_invisible, word))]


def _is_invisible(character: str) -> bool:
    """White space, control and format characters, such as the zero-width spaces between Khmer words."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")
