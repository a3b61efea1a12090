"""The page to try models on, as a person uses it in a browser."""

import re
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("tensorflow_text")
pytest.importorskip("gradio", reason="the demo needs Gradio: pip install -e '.[demo]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the demo of the model that comes with the package is served, in a process of its own."""
    command = [sys.executable, "-m", "keras_attn", "demo", "--port", "7963"]
    folder = tmp_path_factory.mktemp("demo")  # where no folder of that name is
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder) as process:
        yield process.stdout.readline().split()[0]
        process.terminate()


def test_a_person_types_a_date_and_sees_the_right_answer_and_pictures(address, browser):
    page = browser.new_page()
    asked_elsewhere = []
    page.on("request", lambda request: asked_elsewhere.append(request.url))
    page.goto(address)
    page.fill("#text textarea", "25 décembre 1997")
    page.click("#go")
    page.wait_for_function("document.querySelector('#output textarea').value", timeout=120_000)
    assert page.input_value("#output textarea") == "1997-12-25"
    for name in ("attention", "steps"):
        picture = page.wait_for_selector(f"#{name} img", timeout=60_000)
        assert picture.bounding_box()["width"] > 300
    assert "written so far: -" in page.inner_text("#words")
    page.click("#step input")
    page.click("text='3: 9'")
    page.wait_for_function("document.querySelector('#words').innerText.includes('written so far: 1 9')", timeout=60_000)
    assert not [url for url in asked_elsewhere if not re.match(rf"{address}|data:|blob:", url)]
    page.close()


def test_markup_in_a_text_is_shown_and_not_run(address, browser):
    page = browser.new_page()
    page.goto(address)
    page.fill("#text textarea", "<img src=x onerror=\"document.title='run'\">")
    page.click("#go")
    page.wait_for_selector("#steps img", timeout=120_000)
    assert page.title() == "keras_attn"
    page.close()


def test_without_a_text_a_sentence_says_so(address, browser):
    page = browser.new_page()
    page.goto(address)
    page.click("#go")
    page.wait_for_selector("text='There is no text; type one first.'", timeout=60_000)
    page.close()


def test_it_is_served_to_this_machine_alone(address):
    assert address.startswith("http://127.0.0.1:")
    assert urllib.request.urlopen(address).status == 200
