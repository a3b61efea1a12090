import collections
import datetime
import itertools
import re
import sys

import pytest

from keras_attn import InputError
from keras_attn.data import date_pairs

pytest.importorskip("babel")

MONTHS = {
    "English": "January February March April May June July August September October November December",
    "German": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "Portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "Dutch": "januari februari maart april mei juni juli augustus september oktober november december",
    "Swedish": "januari februari mars april maj juni juli augusti september oktober november december",
    "Russian": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "Turkish": "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
    "Dutch, short": "jan feb mrt apr mei jun jul aug sep okt nov dec",
}

WEEKDAYS_AND_FORMS = {
    "English": ("Monday Tuesday Wednesday Thursday Friday Saturday Sunday", "{weekday}, {month} {day}, {year}"),
    "German": ("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag", "{weekday}, {day}. {month} {year}"),
    "French": ("lundi mardi mercredi jeudi vendredi samedi dimanche", "{weekday} {day} {month} {year}"),
    "Spanish": ("lunes martes miércoles jueves viernes sábado domingo", "{weekday}, {day} de {month} de {year}"),
    "Italian": ("lunedì martedì mercoledì giovedì venerdì sabato domenica", "{weekday} {day} {month} {year}"),
    "Dutch": ("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag", "{weekday} {day} {month} {year}"),
    "Swedish": ("måndag tisdag onsdag torsdag fredag lördag söndag", "{weekday} {day} {month} {year}"),
    "Russian": (
        "понедельник вторник среда четверг пятница суббота воскресенье",
        "{weekday}, {day} {month} {year} г.",
    ),
    "Turkish": ("Pazartesi Salı Çarşamba Perşembe Cuma Cumartesi Pazar", "{day} {month} {year} {weekday}"),
    "Korean": ("월 화 수 목 금 토 일", "{year}년 {number}월 {day}일 {weekday}요일"),
    "Japanese": ("月 火 水 木 金 土 日", "{year}年{number}月{day}日{weekday}曜日"),
    "Chinese": ("一 二 三 四 五 六 日", "{year}年{number}月{day}日星期{weekday}"),
}


@pytest.fixture(scope="module")
def split():
    return date_pairs(train=20_000, validation=1_000, test=2_000)


@pytest.fixture(scope="module")
def pairs(split):
    return sum(split, [])


def plain_spaces(text):
    return re.sub(r"[\u202f\xa0]", " ", text)


def written_in_full(language, day):
    weekdays, form = WEEKDAYS_AND_FORMS[language]
    month = MONTHS[language].split()[day.month - 1] if language in MONTHS else None
    weekday = weekdays.split()[day.weekday()]
    return form.format(weekday=weekday, day=day.day, month=month, number=day.month, year=day.year)


def months_called(name):
    return {
        number
        for names in MONTHS.values()
        for number, full in enumerate(names.lower().split(), 1)
        if full.startswith(name.lower())
    }


def readings(text):
    """Every day that the text can be taken for, by rules that know nothing of Babel."""
    text = plain_spaces(text)
    if match := re.search(r"(\d{4})[年년] ?(\d+)[月월] ?(\d+)[日일]", text):
        candidates = [match.groups()]
    elif match := re.search(r"\b(\d\d?)\.? (?:de )?([^\W\d]+)\.? (?:de )?(\d{4})\b", text):
        candidates = [(match[3], month, match[1]) for month in months_called(match[2])]
    elif match := re.search(r"([^\W\d]+) (\d\d?), (\d{4})$", text):
        candidates = [(match[3], month, match[2]) for month in months_called(match[1])]
    elif match := re.fullmatch(r"(\d{4})(?:/|-|\. )(\d\d?)(?:/|-|\. )(\d\d?)\.?", text):
        candidates = [match.groups()]
    elif match := re.fullmatch(r"(\d\d?)[.-](\d\d?)[.-](\d{4})", text):
        candidates = [match.groups()[::-1]]
    elif match := re.fullmatch(r"(\d\d?)/(\d\d?)/(\d{4})", text):
        candidates = [(match[3], match[1], match[2]), (match[3], match[2], match[1])]
    elif match := re.fullmatch(r"(\d\d?)(?:/|\. ?)(\d\d?)(?:/|\. ?)(\d\d?)\.?", text):
        candidates = itertools.permutations(match.groups())
    else:
        raise AssertionError(f"no rule reads {text!r}")
    return set(filter(None, itertools.starmap(existing_day, candidates)))


def existing_day(year, month, day):
    century = 0 if len(str(year)) > 2 else 1900 if int(year) >= 50 else 2000
    try:
        return datetime.date(century + int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


@pytest.mark.parametrize(
    "text, days",
    [
        ("Thursday, December 25, 1997", {"1997-12-25"}),
        ("mar. 4 mars 2003", {"2003-03-04"}),
        ("3/4/2005", {"2005-03-04", "2005-04-03"}),
        ("25/12/97", {"1997-12-25"}),
        ("1/2/03", {"2003-01-02", "2003-02-01", "2001-02-03", "2001-03-02", "2002-01-03", "2002-03-01"}),
    ],
)
def test_the_rules_of_this_test_read_examples(text, days):
    assert readings(text) == days


def test_every_text_can_be_read_as_its_target_and_no_other_day(pairs):
    assert [(text, target) for text, target in pairs if readings(text) != {target}] == []


@pytest.mark.parametrize("language", WEEKDAYS_AND_FORMS)
def test_every_language_writes_weekdays_and_months_in_full(pairs, language):
    in_full = [
        text
        for text, target in pairs
        if plain_spaces(text) == written_in_full(language, datetime.date.fromisoformat(target))
    ]
    assert len(in_full) > 100


@pytest.mark.parametrize(
    "pattern",
    [r"\d{4}-\d\d-\d\d", r"\d\d?/\d\d?/\d{4}", r"\d\d?\.\d\d?\.\d{4}", r"\d\d?/\d\d?/\d\d", r"\d\d?-\d\d?-\d{4}"],
)
def test_numeric_forms_occur(pairs, pattern):
    assert sum(bool(re.fullmatch(pattern, text)) for text, _ in pairs) > 30


def test_a_slash_text_whose_order_cannot_be_told_is_left_out(pairs):
    numbers = [re.fullmatch(r"(\d\d?)/(\d\d?)/\d{4}", text) for text, _ in pairs]
    both_may_be_months = [match for match in numbers if match and int(match[1]) <= 12 and int(match[2]) <= 12]
    assert both_may_be_months
    assert all(int(match[1]) == int(match[2]) for match in both_may_be_months)


def test_no_text_has_two_answers_even_across_seeds(pairs):
    answers = collections.defaultdict(set)
    for text, target in pairs + date_pairs(train=20_000, validation=1, test=1, seed=1).train:
        answers[text].add(target)
    assert {text: days for text, days in answers.items() if len(days) > 1} == {}


def test_no_text_is_there_twice(pairs):
    assert len({text for text, _ in pairs}) == len(pairs)


def test_targets_are_iso_dates_of_a_century(pairs):
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", target) for _, target in pairs)
    assert {target[:4] for _, target in pairs} == {str(year) for year in range(1950, 2050)}


def test_no_day_is_in_two_parts(split):
    train, validation, test = ({target for _, target in part} for part in split)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_parts_have_the_sizes_asked_for(split):
    assert [len(part) for part in split] == [20_000, 1_000, 2_000]


def test_the_same_seed_gives_the_same_pairs():
    assert date_pairs(50, 50, 50, seed=7) == date_pairs(50, 50, 50, seed=7)


def test_another_seed_gives_other_days_to_the_test():
    days = [{target for _, target in date_pairs(1, 1, 300, seed=seed).test} for seed in (7, 8)]
    assert len(days[0] & days[1]) < 100


@pytest.mark.parametrize("sizes", [(10_000_000, 1, 1), (1, 1_000_000, 1), (1, 1, 1_000_000)])
def test_more_pairs_than_there_are_texts_are_refused(sizes):
    with pytest.raises(InputError, match=f"{max(sizes)} pairs"):
        date_pairs(*sizes)


def test_babel_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel.dates", None)
    with pytest.raises(ImportError, match="pip install Babel"):
        date_pairs(1, 1, 1)
