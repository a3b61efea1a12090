import itertools
import json
import pathlib
import re

import pytest

NOTEBOOKS = pathlib.Path(__file__).parents[1] / "notebooks"
ENGLISH = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb") if not path.stem.endswith("_ko"))

# The cell with the parameters of each notebook, small.
SMALL = {
    "attention_by_hand": "SAMPLES = 100",
    "attention_zoo": 'PAIRS = 320\nEPOCHS = 1\nSCORES = ["dot", "scaled-dot"]\nWIRINGS = ["luong", "bahdanau"]\nSEEDS = [0]',
    "date_translator": "PAIRS = 400\nEPOCHS = 1",
    "sentence_translator": 'FILE = "pairs.tsv"\nPAIRS = 400\nHELD_OUT = 20\nUNITS = 16\nEPOCHS = 1',
}


def write_sentence_pairs(path):
    """Six hundred lines English<TAB>Spanish, in which some Spanish sentences have two translations."""
    who = [("I", "yo"), ("you", "tú"), ("we", "nosotros"), ("Mary", "María"), ("John", "Juan"), ("they", "ellas")]
    what = [("ate", "comer"), ("saw", "ver"), ("bought", "comprar"), ("sold", "vender")]
    thing = [("an apple", "una manzana"), ("the book", "el libro"), ("two houses", "dos casas"), ("a dog", "un perro")]
    thing.append(("the red door", "la puerta roja"))
    when = [("today", "hoy"), ("at night", "de noche"), ("in the morning", "por la mañana"), ("every day", "cada día")]
    lines = ["\t".join(map(" ".join, zip(*words))) for words in itertools.product(who, what, thing, when)]
    lines += [line.replace("every day", "daily") for line in lines if "every day" in line]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def printed(notebook, cell_id):
    """What a cell wrote to its standard output."""
    outputs = next(cell for cell in notebook.cells if cell.id == cell_id).outputs
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_every_notebook_has_small_parameters_here():
    assert ENGLISH == sorted(SMALL)


@pytest.mark.parametrize("name", [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_notebooks_are_stored_without_outputs(name):
    notebook = read(name)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("name", ENGLISH)
def test_the_korean_notebook_runs_the_same_code_and_explains_every_cell_in_korean(name):
    english, korean = read(name)["cells"], read(f"{name}_ko")["cells"]
    assert [cell["id"] for cell in korean] == [cell["id"] for cell in english]
    for ours, theirs in zip(korean, english):
        if ours["cell_type"] == "code":
            assert ours["source"] == theirs["source"]
        else:
            assert any("가" <= letter <= "힣" for letter in "".join(ours["source"]))
            assert ours["source"] != theirs["source"]


@pytest.mark.parametrize("name", [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_a_notebook_opens_in_colab_installs_what_it_needs_and_has_hidden_answers(name):
    source = "\n".join("".join(cell["source"]) for cell in read(name)["cells"])
    assert "colab-badge.svg" in source and "%pip install" in source
    assert source.count("<details>") == source.count("</details>") >= 3


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A function that runs a notebook from top to bottom with small settings, in a folder of its own, once."""
    # Without one of the last three, a notebook itself would go and install something.
    for module in ("nbclient", "ipykernel", "nbformat", "tensorflow_text", "babel", "sacrebleu", "sentencepiece"):
        pytest.importorskip(module, reason=f"the notebooks need {module} to run: pip install -e '.[test]'")
    import nbclient
    import nbformat

    done = {}

    def run(name):
        if name in done:
            return done[name]
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        (parameters,) = filter(is_parameters, notebook.cells)
        parameters.source = SMALL[name]
        folder = tmp_path_factory.mktemp("notebook")
        write_sentence_pairs(folder / "pairs.tsv")  # as small as the parameters, and no download
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
            patch.setenv("IPYTHONDIR", str(folder / "ipython"))
            patch.delenv("MPLBACKEND", raising=False)  # as for a reader, figures go into the notebook
            nbclient.NotebookClient(
                notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
            ).execute()
        done[name] = notebook
        return notebook

    return run


def pictures(notebook, cell_id):
    outputs = next(cell for cell in notebook.cells if cell.id == cell_id).outputs
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
def test_the_numbers_by_hand_are_those_of_the_lesson(executed):
    notebook = executed("attention_by_hand")
    assert "[5 0 1] 60" in printed(notebook, "score")
    assert "2.86251858e-20 1.00000000e+00 2.86251858e-20 1.38879439e-11" in printed(notebook, "softmax")
    assert "[5.00000000e+00 6.94397194e-11 1.00000000e+00]" in printed(notebook, "context")
    assert [pictures(notebook, name) for name in ("explain-plot", "several", "scaled-plot", "self")] == [1, 1, 1, 1]


@pytest.mark.slow
def test_each_score_of_the_zoo_is_that_of_numpy_and_dot_with_wide_values_costs_as_much_as_general(executed):
    notebook = executed("attention_zoo")  # whose own check of each score would have stopped it
    cells = ("dot", "scaled", "general", "cosine", "additive", "normalized", "location")
    names = [printed(notebook, cell).split()[0] for cell in cells]
    lines = (line.split() for line in printed(notebook, "sizes").splitlines()[1:])
    parameters = {name: counts for name, *counts in lines}
    assert names == list(parameters)
    assert parameters["dot"] == ["0", "8,192"] and parameters["general"] == ["4,096", "8,192"]


@pytest.mark.slow
def test_every_row_of_the_zoo_is_trained_and_luong_goes_through_all_positions_at_once(executed):
    notebook = executed("attention_zoo")
    rows = [tuple(line.split()[:3]) for line in printed(notebook, "rows").splitlines()[1:]]
    assert rows == [("dot", "luong", "0"), ("scaled-dot", "luong", "0"), ("scaled-dot", "bahdanau", "0")]
    feeds_back = {line.split()[0]: line.split()[1] for line in printed(notebook, "timing-table").splitlines()[1:]}
    assert feeds_back == {"luong": "False", "bahdanau": "True"}


@pytest.mark.slow
def test_every_picture_of_the_zoo_is_shown_once(executed):
    notebook = executed("attention_zoo")
    names = ("same-vectors", "sharpness-plot", "alignments-plot", "heads-plot", "timing-plot", "curves", "maps")
    assert [pictures(notebook, name) for name in names] == [1] * len(names)


@pytest.mark.slow
def test_the_loop_written_by_hand_says_what_the_translator_says(executed):
    assert "equal: 50 of 50" in printed(executed("date_translator"), "translator")


@pytest.mark.slow
def test_every_attention_map_is_shown_once(executed):
    assert pictures(executed("date_translator"), "maps") == 4


@pytest.mark.slow
def test_the_export_says_the_same_in_a_fresh_process(executed):
    notebook = executed("date_translator")
    assert printed(notebook, "fresh").strip() == printed(notebook, "export").strip() != ""


@pytest.mark.slow
def test_sentences_are_split_without_a_leak_and_batched_with_less_padding(executed):
    notebook = executed("sentence_translator")
    by_pair, by_sentence = (int(line.split(":")[1].split()[0]) for line in printed(notebook, "split").splitlines())
    assert by_pair > by_sentence == 0
    as_they_come, of_like_length = map(int, re.findall(r"(\d+) % of them", printed(notebook, "padding")))
    assert as_they_come > of_like_length


@pytest.mark.slow
def test_every_picture_of_the_sentence_translator_is_shown_once(executed):
    notebook = executed("sentence_translator")
    assert [pictures(notebook, name) for name in ("padding-plot", "fit", "by-length", "maps")] == [1] * 4


@pytest.mark.slow
def test_a_repetition_that_is_forbidden_is_not_written(executed):
    shares = re.findall(r"repeat themselves (\d+) %", printed(executed("sentence_translator"), "remedies"))
    assert len(shares) == 4 and shares[-1] == "0"


@pytest.mark.slow
def test_the_saved_and_the_exported_sentence_translator_say_the_same(executed):
    notebook = executed("sentence_translator")
    assert "equal after loading: True" in printed(notebook, "save")
    assert "equal from the export: True" in " ".join(printed(notebook, "export").split())
