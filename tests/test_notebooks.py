import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DATE_TRANSLATOR = ROOT / "notebooks" / "date_translator.ipynb"

SMALL = "PAIRS = 400\nEPOCHS = 1"


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def printed(notebook, cell_id):
    """What a cell wrote to its standard output."""
    outputs = next(cell for cell in notebook.cells if cell.id == cell_id).outputs
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_notebooks_are_stored_without_outputs():
    paths = list((ROOT / "notebooks").glob("*.ipynb"))
    assert DATE_TRANSLATOR in paths
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        for cell in notebook["cells"]:
            assert set(cell["metadata"]) <= {"tags"}
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The tutorial after a run from top to bottom with small settings, in a folder of its own."""
    # Without one of the last two, the notebook itself would go and install something.
    for module in ("nbclient", "ipykernel", "nbformat", "tensorflow_text", "babel"):
        pytest.importorskip(module, reason=f"the notebook needs {module} to run: pip install -e '.[test]'")
    import nbclient
    import nbformat

    notebook = nbformat.read(DATE_TRANSLATOR, as_version=4)
    (parameters,) = filter(is_parameters, notebook.cells)
    parameters.source = SMALL
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.delenv("MPLBACKEND", raising=False)  # as for a reader, figures go into the notebook
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return notebook


@pytest.mark.slow
def test_the_loop_written_by_hand_says_what_the_translator_says(executed):
    assert "equal: 50 of 50" in printed(executed, "translator")


@pytest.mark.slow
def test_every_attention_map_is_shown_once(executed):
    maps = next(cell for cell in executed.cells if cell.id == "maps")
    assert sum("image/png" in output.get("data", {}) for output in maps.outputs) == 4


@pytest.mark.slow
def test_the_export_says_the_same_in_a_fresh_process(executed):
    assert printed(executed, "fresh").strip() == printed(executed, "export").strip() != ""
