"""What the pages of the documentation site show must work as it stands there.

`docs/serving.md` has its own test; `docs/date_translator.md` is a notebook after a run, which is tested as a notebook.
"""

import importlib
import json
import pathlib
import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import numbers, slow

import keras_attn
from keras_attn.cli import main, options_of
from keras_attn.commands import COMMANDS
from keras_attn.config import TrainingConfig

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

yaml = pytest.importorskip("yaml")

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
OURS = {name: text for name, text in PAGES.items() if name not in ("serving.md", "date_translator.md")}
BLOCKS = {
    name: re.findall(r"```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)```", text, re.DOTALL) for name, text in OURS.items()
}
WITH_PYTHON = [name for name, blocks in BLOCKS.items() if any(language == "python" for language, *_ in blocks)]

# Smaller models and less data, for the time that it takes.
SMALLER = {
    "index.md": {
        "date_pairs()": "date_pairs(train=300, validation=10, test=10)",
        "units=128": "units=8",
        "epochs=5": "epochs=1",
    },
    "data.md": {"units=256": "units=8", "epochs=10": "epochs=1"},
}

# They need TensorFlow's graphs, most of them a trained model.
SLOW = ("index.md", "data.md", "decoding.md")

PAIRS = [("25 décembre 1997", "1997-12-25"), ("3 May 2024", "2024-05-03")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the pages take for granted: trained runs, here hardly trained, and a file with pairs."""
    pytest.importorskip("tensorflow_text")
    from keras_attn import AttentionSeq2Seq, Translator, learn_text_processor

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("docs")
    texts = [learn_text_processor(side, "characters") for side in zip(*PAIRS)]
    for run in ("dates", "one", "two"):
        model = AttentionSeq2Seq(*(text.vocabulary_size for text in texts), units=8)
        model.build()
        Translator(model, *texts).save(folder / "runs" / run)
    lines = [f"the {number}th day\t{number}" for number in range(100)]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("page", [slow(name) if name in SLOW else name for name in WITH_PYTHON])
def test_the_python_blocks_of_a_page_run_one_after_the_other(page, request, monkeypatch, capsys, tmp_path):
    if page in SLOW:
        pytest.importorskip("babel")
        pytest.importorskip("sacrebleu")
        tmp_path = request.getfixturevalue("folder")
    monkeypatch.chdir(tmp_path)
    names, smaller = {}, dict(SMALLER.get(page, {}))
    blocks = [*BLOCKS[page], ("", "", "")]
    for (language, _, code), (next_language, _, printed) in zip(blocks, blocks[1:]):
        if language != "python":
            continue
        for shown in [shown for shown in smaller if shown in code]:
            code = code.replace(shown, smaller.pop(shown))
        capsys.readouterr()
        exec(compile(code, page, "exec"), names)
        if next_language == "text":
            assert capsys.readouterr().out == printed
    assert not smaller, "not shown any more"


def test_the_worked_example_has_the_numbers_that_the_text_names():
    text = " ".join(PAGES["mechanism.md"].split())
    (code, *_) = [code for language, _, code in BLOCKS["mechanism.md"] if language == "python"]
    names = {}
    exec(compile(code, "mechanism.md", "exec"), names)
    scores, weights, context = (numbers(names[name])[0] for name in ("scores", "weights", "context"))
    first, *others = re.search(r"= (\d+) for the first state, then (\d+), (\d+) and (\d+)", text).groups()
    np.testing.assert_array_equal(scores, [int(first), *map(int, others)])
    shown = re.search(r"They add up to one: (.*?)\. 3\.", text)[1].split(", ")
    np.testing.assert_allclose(weights, [float(number) for number in shown], rtol=0.05)
    shown = json.loads(re.search(r"sum of the alignment vectors: `(.*?)`", text)[1])
    np.testing.assert_allclose(context, shown, rtol=0.05)


def commands_in(page):
    """The arguments of each `keras-attn`, as the shell would pass them."""
    for language, _, text in BLOCKS[page]:
        if language not in ("console", "bash", "sh", "shell"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            line = line.removeprefix("$ ")
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>;&")
            lexer.whitespace_split = True
            yield from parts_of(list(lexer))


def parts_of(words):
    """The arguments of what is ours among the words of a line, without pipes and redirections."""
    parts = [[]]
    words = iter(words)
    for word in words:
        if word in ("|", "&&", ";"):
            parts.append([])
        elif word in ("<", ">"):
            next(words)
        else:
            parts[-1].append(word)
    for part in parts:
        if part[:1] == ["keras-attn"]:
            yield part[1:]
        elif part[:3] == ["python", "-m", "keras_attn"]:
            yield part[3:]
        elif part[:2] == ["python", "train.py"]:
            yield ["train", *part[2:]]


COMMAND_LINES = [(page, arguments) for page in OURS for arguments in commands_in(page)]


@pytest.mark.parametrize("page, arguments", COMMAND_LINES, ids=[" ".join(words) for _, words in COMMAND_LINES])
def test_a_command_line_can_be_parsed(page, arguments, monkeypatch, tmp_path):
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for _, title, text in BLOCKS[page]:
        if title:
            (tmp_path / title).write_text(text, encoding="utf-8")
    run = tmp_path / "runs" / "dates"
    run.mkdir(parents=True)
    run.joinpath("config.json").write_text(json.dumps({"train": TrainingConfig().to_dict(), "versions": {}}))
    monkeypatch.chdir(tmp_path)
    options = options_of(arguments)
    if arguments[0] == "train":
        from keras_attn.commands.train import given_fields

        TrainingConfig(**given_fields(options))  # what does not go together is refused here


def test_there_is_a_command_line_on_every_page_about_the_command_line():
    assert {"index.md", "choosing.md", "data.md", "decoding.md"} <= {page for page, _ in COMMAND_LINES}


def test_every_option_that_the_text_names_is_one(capsys):
    known = {"--enable_batching"}
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        known |= set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    for page, text in OURS.items():
        for code in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", code)) <= known, (page, code)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page):
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    for target in targets:
        path, _, anchor = target.partition("#")
        if "://" not in target:
            assert (DOCS / page).parent.joinpath(path).is_file() if path else anchor, target


def test_the_notebook_after_its_run_is_the_notebook():
    sys.path.insert(0, str(DOCS))
    try:
        render = pytest.importorskip("render", reason="docs/render.py needs nbclient")
    finally:
        sys.path.remove(str(DOCS))
    page, end = PAGES["date_translator.md"], 0
    for cell in json.loads((ROOT / "notebooks" / "date_translator.ipynb").read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        end = page.index(render.for_a_page(source) if cell["cell_type"] == "markdown" else source, end)


def pages_of(entries):
    """The files of a navigation, from the top down."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else pages_of(value)


def test_every_page_is_in_the_navigation_once():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(pages_of(navigation)) == sorted(PAGES)


def test_the_table_of_the_api_has_all_names_of_the_package():
    cells = re.findall(r"^\| (`.*?) \|", PAGES["api/index.md"], re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(keras_attn.__all__)


def tables(text):
    """Tables by their first row."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return {table.splitlines()[0]: table for table in found}


def test_the_readme_has_no_other_figures_where_it_has_the_same_table():
    readme = tables((ROOT / "README.md").read_text(encoding="utf-8"))
    for name, text in OURS.items():
        for head, table in tables(text).items():
            if head.count("|") > 3:
                assert readme.get(head, table) == table, name


@pytest.mark.slow
def test_the_site_can_be_built_without_a_warning_and_read_without_the_network(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    built = {path.relative_to(tmp_path): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    for name, text in built.items():
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"?https?:|<link[^>]+stylesheet[^>]+https?:", text), name
    for page in ("data", "decoding", "layers", "models", "text", "training"):
        for name in importlib.import_module(f"keras_attn.{page}").__all__:
            # A function may be called as its module is.
            places = (f'id="keras_attn.{page}.{name}"', f'id="keras_attn.{page}.{name}.{name}"')
            assert name.isupper() or any(place in built[pathlib.Path(f"api/{page}.html")] for place in places), name
