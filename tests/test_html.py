import contextlib
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from keras_attn import InputError
from keras_attn.html import attention_page

MARKUP = [
    "<script>alert(1)</script>",
    '"quotes"',
    "'",
    "</script>",
    "&amp;",
    "</td><b>",
    "$title",
    "\u2028",
    "http://a.b",
    "<img/src=x/onerror=alert(2)>",
]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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


def translation(tokens, source_tokens, attention=None, text=None, score=-1.5):
    if attention is None:
        attention = np.random.default_rng(0).dirichlet(np.ones(len(source_tokens)), size=len(tokens)).astype("float32")
    text = " ".join(tokens) if text is None else text
    return SimpleNamespace(text=text, tokens=tokens, source_tokens=source_tokens, attention=attention, score=score)


# Two hypotheses of one source, each with the weights of two heads, whose mean is its attention.
FIRST = translation(["x", "y"], ["u", "v"], np.array([[0.1, 0.9], [0.25, 0.75]]), score=-1.0)
SECOND = translation(["x", "z", "w"], ["u", "v"], np.array([[0.6, 0.4], [0.5, 0.5], [0.0, 1.0]]), score=-2.0)
HEADS = {
    "x y": [np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]])],
    "x z w": [np.array([[0.2, 0.8], [1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])],
}


def heads_of(translation):
    return HEADS[translation.text]


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


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="pages are tested in a browser: pip install playwright"
    )
    if BROWSER is None:
        pytest.skip("pages are tested in a browser: apt install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page in the browser, in a context with options; it must run no other script, ask for nothing, not fail."""

    @contextlib.contextmanager
    def opened(html, **options):
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        with browser.new_context(**options) as context:
            page, happened = context.new_page(), []
            page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
            page.on("pageerror", lambda error: happened.append(str(error)))
            page.on("console", lambda message: happened.append(message.text))
            page.on("request", lambda request: happened.append(request.url))
            page.goto(file.as_uri())
            yield page
            assert happened == [file.as_uri()]

    return opened


def in_notebook(page):
    """A notebook's document, with styles of its own, after a cell that ended in this page."""
    style = "<style>li { color: rgb(255, 0, 0) !important } .faint { display: none }</style>"
    return (
        f"<!DOCTYPE html><meta charset='utf-8'><title>notebook</title>{style}<ul><li>notebook</ul>{page._repr_html_()}"
    )


def token(place, text, section=0):
    """A token to be seen in a section of a page or frame."""
    visible = place.locator("section").nth(section).locator("article:visible li")
    return visible.filter(has_text=re.compile(f"^{re.escape(text)}")).first


def seen(place):
    """The tokens to be seen and the numbers in them: `x` or `x 0.25`. Each is shaded as its number says."""
    script = """tokens => tokens.map(token => [
      token.firstChild.data, token.lastChild.textContent, getComputedStyle(token).backgroundColor])"""
    tokens = place.locator("article:visible li").evaluate_all(script)
    for _, number, color in tokens:
        opacity = re.fullmatch(r"rgba\(.*, (.*)\)", color)
        assert float(opacity[1] if opacity else 1) == pytest.approx(float(number or 0), abs=0.006)
    return [f"{text} {number}".removesuffix(" ") for text, number, _ in tokens]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_token_shows_its_weights_at_the_other_side(opened, way):
    one = translation(["a"], ["c"], np.ones((1, 1)))
    other = translation(list("xyz"), list("uv"), np.array([[0.1, 0.9], [0.25, 0.75], [1.0, 0.0]]))
    with opened(attention_page([one, other])) as page:
        if way == "keyboard":
            for _ in range(3):  # the tokens of the first section, and its map
                page.keyboard.press("Tab")
        for text, expected in {
            "u": "c a u v x 0.10 y 0.25 z 1.00",
            "v": "c a u v x 0.90 y 0.75 z 0.00",
            "x": "c a u 0.10 v 0.90 x y z",
            "y": "c a u 0.25 v 0.75 x y z",
            "z": "c a u 1.00 v 0.00 x y z",
        }.items():
            page.keyboard.press("Tab") if way == "keyboard" else token(page, text, section=1).hover()
            assert " ".join(seen(page)) == expected
            assert page.locator("li.shown").inner_text().startswith(text)
        page.locator("h1").hover()
        page.evaluate("document.activeElement.blur()")
        assert " ".join(seen(page)) == "c a u v x y z"


@pytest.mark.slow
def test_another_hypothesis_has_its_own_tokens_and_weights(opened):
    with opened(attention_page([[FIRST, SECOND], FIRST])) as page:
        token(page, "x").hover()
        assert seen(page) == ["u 0.10", "v 0.90", "x", "y", "u", "v", "x", "y"]
        page.get_by_label("x z w").check()
        assert seen(page) == ["u", "v", "x", "z", "w", "u", "v", "x", "y"]
        token(page, "x").hover()
        assert seen(page)[:2] == ["u 0.60", "v 0.40"]
        token(page, "v").hover()
        assert seen(page)[2:5] == ["x 0.40", "z 0.50", "w 1.00"]
        assert page.locator("figure:visible").count() == 2
        page.get_by_label("x y").check()
        token(page, "y").hover()
        assert seen(page)[:4] == ["u 0.25", "v 0.75", "x", "y"]


@pytest.mark.slow
def test_another_head_has_its_own_weights_for_the_token_that_was_chosen(opened):
    with opened(attention_page([[FIRST, SECOND], FIRST], heads_of)) as page:
        token(page, "y").click()
        for head, weights in {"mean": [0.25, 0.75], "1": [0.5, 0.5], "2": [0, 1]}.items():
            page.locator("section").first.get_by_label(head, exact=True).check()
            assert seen(page)[:4] == [f"u {weights[0]:.2f}", f"v {weights[1]:.2f}", "x", "y"]
        cells = page.locator("section").first.locator("td:visible").all_inner_texts()
        assert cells == ["", "", "100", "", "100"]
        page.get_by_label("x z w").check()  # the head stays
        token(page, "z").hover()
        assert seen(page)[:5] == ["u 0.00", "v 1.00", "x", "z", "w"]
        token(page, "x", section=1).hover()  # of another translation nothing was chosen
        assert seen(page)[5:] == ["u 0.10", "v 0.90", "x", "y"]
        assert page.locator("input:checked").count() == 3


@pytest.mark.slow
def test_hypotheses_and_heads_are_chosen_with_the_keyboard(opened):
    with opened(attention_page([[FIRST, SECOND]], heads_of)) as page:

        def press(*keys):
            for key in keys:
                page.keyboard.press(key)
            return " ".join(seen(page))

        assert press("Tab", "ArrowDown") == "u v x z w"
        assert press("Tab", "Tab", "Tab", "Tab", "Tab") == "u 0.50 v 0.50 x z w"
        assert press(*["Shift+Tab"] * 4, "ArrowRight") == "u v x 0.20 z 1.00 w 0.00"  # u was reached last
        assert press("ArrowRight") == "u v x 1.00 z 0.00 w 0.00"
        assert press("Shift+Tab", "ArrowUp", "Tab", "Tab", "Tab") == "u v x 1.00 y 1.00"


@pytest.mark.slow
@pytest.mark.parametrize("notebook", [False, True], ids=["page", "notebook"])
def test_a_browser_shows_markup_as_text_and_runs_nothing_of_it(opened, notebook):
    attention = np.full((len(MARKUP), len(MARKUP)), 0.5)
    found = [translation(MARKUP, MARKUP, attention, text) for text in (MARKUP[0], MARKUP[-1])]
    page = attention_page([found], lambda translation: [attention] * 2, title=MARKUP[0])
    with opened(in_notebook(page) if notebook else page) as shown:
        place = shown.frame_locator("iframe") if notebook else shown
        token(place, MARKUP[1]).hover()
        assert seen(place) == MARKUP + [f"{text} 0.50" for text in MARKUP]
        assert place.locator("bdi").all_inner_texts() == [MARKUP[0], MARKUP[-1]]
        assert place.locator("h1").inner_text() == MARKUP[0]
        place.locator(".hypothesis input").last.check()
        assert place.locator("th:visible").all_text_contents() == MARKUP * 2
        assert place.locator("td:visible").nth(2).get_attribute("title") == f"{MARKUP[0]} ← {MARKUP[1]}: 0.5000"
        assert place.locator("script").count() == 1 and place.locator("img, b").count() == 0


@pytest.mark.slow
def test_right_to_left_is_written_from_the_right(opened):
    hypotheses = [translation(["שלום", "עולם"], ["a", "b"], np.eye(2), text) for text in ("שלום עולם", "latin")]
    with opened(attention_page([hypotheses])) as page:
        left, right = (token(page, text).bounding_box()["x"] for text in ("עולם", "שלום"))
        assert left < right
        left, right = (token(page, text).bounding_box()["x"] for text in "ab")
        assert left < right
        places = [page.locator(place).first.bounding_box()["x"] for place in ("label input", "label bdi", "label span")]
        assert places == sorted(places)


@pytest.mark.slow
def test_page_and_notebook_do_not_reach_each_other(opened):
    with opened(in_notebook(attention_page([FIRST]))) as shown:
        style = "element => [getComputedStyle(element).color, getComputedStyle(element).display]"
        frame = shown.frame_locator("iframe")
        assert frame.locator("li").first.evaluate(style)[0] == "rgb(17, 17, 17)"
        assert frame.locator(".faint").first.is_visible()
        assert shown.locator("li").evaluate(style) == ["rgb(255, 0, 0)", "list-item"]
        refused = "() => { try { return parent.document.title } catch (error) { return error.name } }"
        assert shown.frames[1].evaluate(refused) == "SecurityError"


@pytest.mark.slow
def test_without_scripts_everything_can_be_read(opened):
    with opened(attention_page([[FIRST, SECOND]], heads_of), java_script_enabled=False) as page:
        assert page.locator("article:visible").count() == 2
        assert page.locator("figure:visible").count() == 6
        assert page.locator("h2:visible").all_inner_texts() == ["x y", "x z w"]
        assert page.locator("td:visible").all_inner_texts()[1:3] == ["10", "90"]
        assert page.locator("fieldset:visible").count() == 0


@pytest.mark.slow
def test_a_narrow_page_does_not_scroll_sideways(opened):
    wide = translation(["Donaudampfschifffahrtsgesellschaft"] * 30, ["x" * 60] * 30)
    with opened(
        attention_page([[wide, wide]], lambda _: [wide.attention] * 12), viewport={"width": 320, "height": 640}
    ) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 320
