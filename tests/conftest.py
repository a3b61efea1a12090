import collections
import gc
import os
import pathlib
import random
import shutil
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the commands do, so that other processes have the same numbers
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Files with the most slow tests come first, so that in the end no process waits for another with a long one."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish():
    """Garbage is looked for less often: tracing makes objects by the million, and a sixth of the time went there."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True)
def seed():
    """Keras draws its seeds from these. Its own `set_random_seed` would make TensorFlow forget how to run what is traced."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="module")
def unoptimized_graphs():
    """For tests of files, options and texts: TensorFlow takes longer to optimize the graph of a tiny model than to run it.

    Tests of numbers do without this, and see the graphs that a user gets.
    """
    tf = pytest.importorskip("tensorflow")
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture(scope="module")
def browser():
    """Chromium, as a person would see a page in it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs a browser: apt install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def query(rng):
    """Three queries for each of two sentences."""
    return rng.normal(size=(2, 3, 6)).astype("float32")


@pytest.fixture
def values(rng):
    """Four encoder states for each of the two sentences."""
    return rng.normal(size=(2, 4, 6)).astype("float32")


@pytest.fixture(scope="session")
def shared():
    """The folder with real data that some checkouts have beside them."""
    folder = pathlib.Path(__file__).parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the folder ../shared/data is not there")
    return folder
