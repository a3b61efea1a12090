"""What the attention page holds, read from its HTML; `test_html_in_browser.py` looks at what a reader sees."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from pages import FIRST, MARKUP, SECOND, heads_of, translation

from keras_attn import InputError
from keras_attn.html import attention_page


class Page(HTMLParser):
    """What is in a page: how often which element, the texts of the elements, and the attributes of the cells."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.cells, self.links, self.open = {}, {}, [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.links += [attributes[name] for name in ("src", "href", "action", "data") if name in attributes]
        if tag not in ("meta", "input"):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")
        if tag == "td" and "style" in attributes:
            self.cells.append(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open[-1:]:
            self.texts[tag][-1] += data

    @property
    def weights(self):
        return [float(cell["style"].removeprefix("--w:")) for cell in self.cells]


def test_the_numbers_in_the_page_are_the_weights():
    both = [translation(list("abc"), list("defg")), translation(list("xy"), list("z"))]
    expected = np.concatenate([one.attention.ravel() for one in both])
    page = Page(attention_page(both))
    np.testing.assert_allclose(page.weights, expected, rtol=1e-5)


def test_a_cell_shows_percent_and_its_title_the_weight():
    page = Page(attention_page([translation(["x"], list("abcd"), [[0.004, 0.006, 0.49, 0.5]]), translation("y", "z")]))
    corner = ""
    assert page.texts["td"] == [corner, "", "1", "49", "50", corner, "100"]
    assert [cell["title"] for cell in page.cells][1:3] == ["x ← b: 0.0060", "x ← c: 0.4900"]


def test_tokens_stand_in_rows_and_at_the_sides_of_the_table():
    page = Page(attention_page([translation(["le", "chat"], ["the", "cat", "[END]"], score=-0.123)], title="Cats"))
    assert page.texts["li"] == ["the", "cat", "[END]", "le", "chat"]
    assert page.texts["th"] == ["the", "cat", "[END]", "le", "chat"]
    assert page.texts["h2"] == ["le chat"]
    assert page.texts["title"] == page.texts["h1"] == ["Cats"]
    assert "score −0.12" in page.texts["p"]


def test_markup_in_a_text_is_shown_as_text():
    attention = np.full((len(MARKUP), len(MARKUP)), 0.5)
    page = Page(attention_page([translation(MARKUP, MARKUP, attention)], title=MARKUP[0]))
    harmless = ["a" * len(token) for token in MARKUP]
    plain = Page(attention_page([translation(harmless, harmless, attention)]))
    assert page.elements == plain.elements
    assert page.texts["script"] == plain.texts["script"] and page.texts["style"] == plain.texts["style"]
    assert page.texts["li"] == page.texts["th"] == MARKUP * 2
    assert page.texts["h1"] == page.texts["title"] == [MARKUP[0]]
    assert page.texts["h2"] == [" ".join(MARKUP)]
    assert page.cells[1]["title"] == f"{MARKUP[0]} ← {MARKUP[1]}: 0.5000"


def test_nothing_is_loaded_from_anywhere():
    page = attention_page([translation(["http://example.org/a.png"], ["url(https://example.org)"])])
    parsed = Page(page)
    assert parsed.links == [] and not {"link", "img", "iframe"} & set(parsed.elements)
    assert not re.search(r"url\(|@import|https?:|//", "".join(parsed.texts["style"] + parsed.texts["script"]))
    assert "default-src 'none'" in page


def test_a_space_is_made_visible_except_in_the_text():
    page = Page(attention_page([translation(["a", " "], [" "], text="a b")]))
    assert page.texts["li"] == ["␣", "a", "␣"] and page.texts["h2"] == ["a b"]
    assert page.cells[1]["title"].startswith("␣ ← ␣")


@pytest.mark.parametrize("target, source", [(0, 0), (0, 1), (1, 1), (40, 60)])
def test_every_size_has_a_page(target, source):
    one = translation([f"t{i}" for i in range(target)], [f"s{i}" for i in range(source)], np.ones((target, source)))
    page = Page(attention_page([one]))
    assert page.elements.get("li", 0) == target + source
    assert page.weights == [1.0] * target * source


def test_there_is_a_section_for_each_translation():
    assert Page(attention_page(translation(["a"], ["b"]) for _ in range(3))).elements["section"] == 3
    assert "section" not in Page(attention_page([])).elements


def test_attention_for_other_tokens_is_refused_with_the_sizes():
    good, bad = translation(["a"], ["b"]), translation(["a", "b"], ["c"], np.ones((2, 3)))
    with pytest.raises(
        InputError, match="Translation 2 has 2 target tokens and 1 source tokens, .* 2 rows of 3 weights"
    ):
        attention_page([good, bad])
    with pytest.raises(InputError, match="1 rows of 1 weights"):
        attention_page([translation([], ["c"], np.ones((1, 1)))])
    with pytest.raises(InputError, match="Translation 1 has 1 target tokens .* 2 rows of 1 weights"):
        attention_page([good], lambda translation: np.ones((2, 2, 1)))


def test_hypotheses_are_refused_where_they_do_not_go_together():
    with pytest.raises(InputError, match="Translation 2 is an empty list; give one hypothesis at least"):
        attention_page([FIRST, []])
    with pytest.raises(InputError, match="The hypotheses of translation 1 have 1 and 2 heads"):
        attention_page([[FIRST, SECOND]], lambda translation: heads_of(translation)[: len(translation.tokens) - 1])


def test_the_weights_of_every_head_of_every_hypothesis_are_in_the_page():
    page = Page(attention_page([[FIRST, SECOND]], heads_of))
    expected = [
        weights
        for each in (FIRST, SECOND)
        for matrix in (each.attention, *heads_of(each))
        for weights in matrix.ravel()
    ]
    np.testing.assert_allclose(page.weights, expected)
    names = ["Mean weights of 2 heads", "Weights of head 1", "Weights of head 2"] * 2
    assert [text.partition(" in percent")[0] for text in page.texts["figcaption"]] == names
    assert page.texts["legend"] == ["hypothesis", "head"] and page.texts["bdi"] == ["x y", "x z w"]
    assert "hypothesis 2 of 2, score −2.00" in page.texts["p"]


def test_where_there_is_one_hypothesis_or_head_there_is_nothing_to_choose():
    alone = attention_page([FIRST])
    assert attention_page([[FIRST]]) == alone == attention_page([FIRST], lambda translation: [translation.attention])
    assert "fieldset" not in Page(alone).elements
    assert Page(attention_page([FIRST], heads_of)).texts["legend"] == ["head"]
    assert Page(attention_page([[FIRST, SECOND]])).texts["legend"] == ["hypothesis"]


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    page = attention_page([translation(MARKUP, MARKUP)], title=MARKUP[1])
    frames = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: frames.append((tag, dict(attributes)))
    parser.feed(page._repr_html_())
    ((tag, attributes),) = frames
    assert tag == "iframe" and attributes["srcdoc"] == page and attributes["sandbox"] == "allow-scripts"
    assert repr(page) == f"<web page of {len(page):,} characters>"


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_can_be_read_on_every_shade(scheme):
    """WCAG 2.1: a contrast of 4.5 or more. A shade lies between the paper and the full shade."""
    page = attention_page([])
    paper, ink, faint = (
        [int(color[i : i + 2], 16) for i in (0, 2, 4)]
        for color in (re.findall(f"--{name}: #(\\w+)", page)[scheme] for name in ("paper", "ink", "faint"))
    )
    shade = [int(part) for part in re.findall(r"--shade: (\d+) (\d+) (\d+)", page)[scheme]]

    def luminance(color):
        linear = [(part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4) for part in color]
        return np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05

    def contrast(one, other):
        return max(luminance(one), luminance(other)) / min(luminance(one), luminance(other))

    assert contrast(ink, paper) > 15 and contrast(faint, paper) > 4.5
    assert all(contrast(ink, np.add(np.multiply(paper, 1 - w), np.multiply(shade, w))) > 4.5 for w in (0, 0.5, 1))
