"""Random records of one to three items, and the split of names into training and held out."""

from __future__ import annotations

import datetime
import functools
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from xrealign_bench.demo.cldr import RELATIVE_FIELDS

HELD_OUT_PERCENT = 40
FIRST_DAY, LAST_DAY = datetime.date(1950, 1, 1).toordinal(), datetime.date(2049, 12, 31).toordinal()
DATE_STYLES = ("full", "long", "month_year")
RELATIVE = tuple(field + sign for field in RELATIVE_FIELDS for sign in "+-")

# Names that at least nine in ten of the supported locales have.
TERRITORIES = tuple(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
    ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
    HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
    LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
    NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
    SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
    UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
    """.split()  # noqa: SIM905
)
LANGUAGE_NAMES = tuple(
    """
    aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ceb ch co cs cu cv cy da de dv dz
    ee el en eo es et eu fa ff fi fil fj fo fr fy ga gd gl gn gu gv ha haw he hi hmn hr ht hu hy hz ia
    id ie ig ii io is it iu ja jv ka ki kj kk kl km kn ko kok kr ks ku kv kw ky la lb lg li ln lo lt lu
    lv mai mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc om or os pa pl ps pt qu rm
    rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tn to tr ts tt
    ty ug uk ur uz ve vi vo wa wo xh yi yo yue za zh zu
    """.split()  # noqa: SIM905
)
CURRENCIES = tuple(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
    CAD CDF CHF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
    SSP STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XCD YER ZAR
    ZMW
    """.split()  # noqa: SIM905
)
UNITS = tuple(
    """
    area-acre area-hectare area-square-centimeter area-square-foot area-square-kilometer
    area-square-meter area-square-mile digital-gigabit digital-gigabyte digital-kilobit digital-kilobyte
    digital-megabit digital-megabyte digital-petabyte digital-terabit digital-terabyte duration-century
    duration-day duration-decade duration-hour duration-microsecond duration-millisecond duration-minute
    duration-month duration-nanosecond duration-second duration-week duration-year electric-ampere
    electric-milliampere electric-ohm electric-volt energy-calorie energy-joule energy-kilocalorie
    energy-kilojoule energy-kilowatt-hour frequency-gigahertz frequency-hertz frequency-kilohertz
    frequency-megahertz length-astronomical-unit length-centimeter length-decimeter length-foot
    length-inch length-kilometer length-light-year length-meter length-micrometer length-mile
    length-millimeter length-nanometer length-nautical-mile length-parsec length-yard mass-carat
    mass-gram mass-kilogram mass-microgram mass-milligram mass-ounce mass-pound mass-ton mass-tonne
    power-gigawatt power-horsepower power-kilowatt power-megawatt power-watt speed-kilometer-per-hour
    speed-knot speed-meter-per-second speed-mile-per-hour temperature-celsius temperature-fahrenheit
    temperature-kelvin volume-barrel volume-centiliter volume-cubic-centimeter volume-cubic-foot
    volume-cubic-kilometer volume-cubic-meter volume-cup volume-deciliter volume-fluid-ounce
    volume-gallon volume-hectoliter volume-liter volume-milliliter volume-pint volume-quart
    volume-tablespoon volume-teaspoon
    """.split()  # noqa: SIM905
)

# Item type -> its relative frequency.
ITEM_WEIGHTS = {
    "date": 3, "weekday": 1, "month": 1, "unit": 2, "currency": 2, "relative": 2, "territory": 2,
    "language": 2,
}  # fmt: skip


class Item(NamedTuple):
    """Part of a record: `name` is a CLDR identifier or a date style, `number` a count, day or position."""

    type: str
    name: str = ""
    number: int = 0


def is_held_out(item_type: str, name: str) -> bool:
    """Return whether a name is kept for testing, by a hash of its CLDR identifier, equally in all languages.

    A square kilometre is treated like the kilometre, since they share a word.
    """
    base = name.split("-", 1)[-1].removeprefix("square-").removeprefix("cubic-") if item_type == "unit" else name
    digest = hashlib.sha256(f"{item_type}:{base}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < HELD_OUT_PERCENT


NAMES: Mapping[str, tuple[str, ...]] = {
    "unit": UNITS, "currency": CURRENCIES, "territory": TERRITORIES, "language": LANGUAGE_NAMES,
}  # fmt: skip


@functools.cache
def training_names(item_type: str) -> tuple[str, ...]:
    """Return the names of an item type that training may contain."""
    return tuple(name for name in NAMES[item_type] if not is_held_out(item_type, name))


def random_records(stream: str, names: Mapping[str, Sequence[str]]) -> Iterator[tuple[Item, ...]]:
    """Yield random records without end; the same `stream` gives the same records on every machine."""
    chance = random.Random(stream)
    while True:
        yield tuple(random_item(chance, names) for _ in range(chance.choices((1, 2, 3), (2, 4, 3))[0]))


def random_item(chance: random.Random, names: Mapping[str, Sequence[str]]) -> Item:
    """Draw a random item, with its name from `names`."""
    item_type = chance.choices(tuple(ITEM_WEIGHTS), tuple(ITEM_WEIGHTS.values()))[0]
    if item_type == "weekday":
        return Item(item_type, number=chance.randrange(7))
    if item_type == "month":
        return Item(item_type, number=chance.randint(1, 12))
    if item_type == "date":
        return Item(item_type, chance.choice(DATE_STYLES), chance.randint(FIRST_DAY, LAST_DAY))
    if item_type == "relative":
        return Item(item_type, chance.choice(RELATIVE), random_count(chance))
    name = chance.choice(names[item_type])
    return Item(item_type, name, random_count(chance) if item_type in ("unit", "currency") else 0)


def random_count(chance: random.Random) -> int:
    """Draw a number, mostly a small one, since small numbers have special plural forms."""
    return chance.randint(1, 20) if chance.random() < 0.6 else chance.randint(21, 999)
