"""What a reader of the attention page sees and does, in a real browser."""

import contextlib
import re

import numpy as np
import pytest
from pages import FIRST, MARKUP, SECOND, heads_of, translation

from keras_attn.html import attention_page

pytestmark = pytest.mark.slow


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


def test_right_to_left_is_written_from_the_right(opened):
    hypotheses = [translation(["שלום", "עולם"], ["a", "b"], np.eye(2), text) for text in ("שלום עולם", "latin")]
    with opened(attention_page([hypotheses])) as page:
        left, right = (token(page, text).bounding_box()["x"] for text in ("עולם", "שלום"))
        assert left < right
        left, right = (token(page, text).bounding_box()["x"] for text in "ab")
        assert left < right
        places = [page.locator(place).first.bounding_box()["x"] for place in ("label input", "label bdi", "label span")]
        assert places == sorted(places)


def test_page_and_notebook_do_not_reach_each_other(opened):
    with opened(in_notebook(attention_page([FIRST]))) as shown:
        style = "element => [getComputedStyle(element).color, getComputedStyle(element).display]"
        frame = shown.frame_locator("iframe")
        assert frame.locator("li").first.evaluate(style)[0] == "rgb(17, 17, 17)"
        assert frame.locator(".faint").first.is_visible()
        assert shown.locator("li").evaluate(style) == ["rgb(255, 0, 0)", "list-item"]
        refused = "() => { try { return parent.document.title } catch (error) { return error.name } }"
        assert shown.frames[1].evaluate(refused) == "SecurityError"


def test_without_scripts_everything_can_be_read(opened):
    with opened(attention_page([[FIRST, SECOND]], heads_of), java_script_enabled=False) as page:
        assert page.locator("article:visible").count() == 2
        assert page.locator("figure:visible").count() == 6
        assert page.locator("h2:visible").all_inner_texts() == ["x y", "x z w"]
        assert page.locator("td:visible").all_inner_texts()[1:3] == ["10", "90"]
        assert page.locator("fieldset:visible").count() == 0


def test_a_narrow_page_does_not_scroll_sideways(opened):
    wide = translation(["Donaudampfschifffahrtsgesellschaft"] * 30, ["x" * 60] * 30)
    with opened(
        attention_page([[wide, wide]], lambda _: [wide.attention] * 12), viewport={"width": 320, "height": 640}
    ) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 320
