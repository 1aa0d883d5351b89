"""The language of a text, by py3langid.

py3langid 0.4 (a naive Bayes classifier over byte n-grams, in the tradition of langid.py: Lui and Baldwin, ACL 2012)
knows 139 languages, has its model in the wheel (4.6 MB), needs only numpy, and gives one answer for one text. Lingua
knows 75 languages, lid.176 of fastText fewer of Africa's, and heliport's 220 come under the GPL.
"""

from __future__ import annotations

from functools import cache
from typing import Any

NO_LANGUAGE = "none"
"""Language of an empty text and of one without words, such as a number."""
MIN_CONFIDENCE = 0.02
"""A text without any known n-gram has 1/140."""
_NOT_A_LANGUAGE = ("und", "zxx")
_OTHER_CODES = {"kmr": "ku", "prs": "fa"}
"""Our code -> the identifier's, for varieties that it knows by their macrolanguage."""
_KNOWN = """
ace af am an ar ary arz as az ba bcl be bg bn br ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv fy
ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la
lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si
sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu
"""
IDENTIFIED_LANGUAGES = frozenset(_KNOWN.split())
"""Codes of the identifier that count as known. Left out are bs and nso, of whose NTREX sentences it recognises 36 % and
1 %: Bosnian is taken for Croatian, Northern for Southern Sotho."""


def identifier_code(language: str) -> str | None:
    """Return the identifier's code for one of our languages, or None if it does not know the language.

    >>> identifier_code("sw"), identifier_code("kmr"), identifier_code("nso")
    ('sw', 'ku', None)
    """
    code = _OTHER_CODES.get(language, language)
    return code if code in IDENTIFIED_LANGUAGES else None


def identify(text: str) -> str:
    """Return the identifier's code for the language of a text, or `NO_LANGUAGE`.

    >>> identify("Das Wetter ist heute schön, und wir gehen in den Garten.")
    'de'
    >>> identify(""), identify("1 + 2 = 3")
    ('none', 'none')
    """
    if not any(character.isalpha() for character in text):
        return NO_LANGUAGE
    found: str = _identifier().classify(text)[0]
    return NO_LANGUAGE if found in _NOT_A_LANGUAGE else found


@cache
def _identifier() -> Any:
    """Load the identifier, which takes a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=MIN_CONFIDENCE)
