import warnings

import numpy as np
import pytest
from matplotlib import font_manager, pyplot

from keras_attn import InputError, plot_attention
from keras_attn.plotting import plot_alignment, plot_attention_grid, plot_buckets, plot_by_length, plot_loss


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def drawn_labels(axes):
    return [label.get_text() for label in axes.get_xticklabels()], [
        label.get_text() for label in axes.get_yticklabels()
    ]


def test_source_goes_across_and_target_down():
    weights = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1]])
    axes = plot_attention(weights, ["a", "b", "[END]"], ["x", "y"]).axes[0]
    assert drawn_labels(axes) == (["a", "b", "[END]"], ["x", "y"])
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)
    assert axes.images[0].get_clim() == (0, 1)


def test_a_space_is_made_visible():
    axes = plot_attention(np.ones((1, 1)), [" "], [" "]).axes[0]
    assert drawn_labels(axes) == (["␣"], ["␣"])


def test_several_are_drawn_side_by_side_each_with_its_title():
    panels = [(f"panel {i}", np.ones((2, i + 1)), list("abcd"[: i + 1]), ["x", "y"]) for i in range(4)]
    figure = plot_attention_grid(panels, columns=3)
    drawn = [axes for axes in figure.axes if axes.get_visible() and axes.get_title()]
    assert [axes.get_title() for axes in drawn] == ["panel 0", "panel 1", "panel 2", "panel 3"]
    assert drawn_labels(drawn[3]) == (["a", "b", "c", "d"], ["x", "y"])


@pytest.mark.parametrize("length", [5, 40])
def test_no_label_touches_its_neighbour(length):
    tokens = [f"token{i}" for i in range(length)]
    figure = plot_attention(np.full((length, length), 1 / length), tokens, tokens)
    figure.canvas.draw()
    for labels, low, high in (
        (figure.axes[0].get_xticklabels(), "x0", "x1"),
        (figure.axes[0].get_yticklabels(), "y0", "y1"),
    ):
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: getattr(box, low))
        assert all(getattr(a, high) <= getattr(b, low) for a, b in zip(boxes, boxes[1:]))


def test_a_picture_of_no_known_kind_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"ends in .doc, but a picture can only be .*pdf.*png.*svg"):
        plot_attention(np.ones((1, 1)), ["a"], ["b"], path=tmp_path / "map.doc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_it_is_saved_and_closed(tmp_path, ending):
    path = tmp_path / f"attention.{ending}"
    plot_attention(np.ones((1, 2)), ["a", "b"], ["x"], path=path)
    assert path.stat().st_size > 1000
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("text", ["안녕하세요", "ありがとう", "星期五"])
def test_korean_japanese_and_chinese_are_drawn_where_a_font_has_them(text, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plot_attention(np.ones((1, len(text))), list(text), ["x"], path=tmp_path / "attention.png", title=text)
    if any("No installed font" in str(warning.message) for warning in caught):
        pytest.skip("no font with these characters is installed")
    assert not [warning for warning in caught if "Glyph" in str(warning.message)]


def test_where_no_font_has_a_character_one_line_says_what_to_install(monkeypatch, tmp_path):
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [font for font in manager.ttflist if font.name == "DejaVu Sans"])
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plot_attention(np.ones((1, 2)), ["안", "a"], ["x"], path=tmp_path / "attention.png")
    (warning,) = caught
    assert "'안'" in str(warning.message) and "fonts-noto-cjk" in str(warning.message)
    assert "\n" not in str(warning.message)


def test_weights_of_another_shape_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 2\)"):
        plot_attention(np.ones((2, 3)), ["a", "b"], ["x", "y"])


@pytest.mark.parametrize("margins", [False, True])
@pytest.mark.parametrize("source, target", [("a", ""), ("", ""), ("a", "b"), ("abcdefgh", "b"), ("a", "bcdefghi")])
def test_a_translation_of_a_token_or_none_is_drawn_without_a_warning(source, target, margins, tmp_path):
    weights = np.full((len(target), len(source)), 1 / max(len(source), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_attention(weights, list(source), list(target), path=tmp_path / "attention.png", margins=margins)


def test_the_loss_curve_has_a_point_for_each_epoch(tmp_path):
    axes = plot_loss({"loss": [3.0, 2.0, 1.5], "val_loss": [2.5, 2.0, 1.9]}).axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3.0, 2.0, 1.5], [2.5, 2.0, 1.9]]
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]


def test_buckets_show_the_padded_and_the_mean_length_of_each_batch_and_the_share_of_padding():
    long = {"source": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]), "target": np.array([[2, 5], [2, 5]])}
    short = {"source": np.array([[1, 1]]), "target": np.array([[2]])}
    source, target = plot_buckets([(long, None), (short, None)]).axes
    assert source.get_title() == "source: 20.0 % padding" and target.get_title() == "target: 0.0 % padding"
    np.testing.assert_array_equal(source.lines[0].get_ydata(), [2, 3])
    assert source.collections[0].get_paths()[0].vertices[:, 1].max() == 4
    np.testing.assert_array_equal(target.lines[0].get_ydata(), [1, 2])


def test_without_a_batch_there_is_nothing_to_draw():
    with pytest.raises(InputError, match="no batch"):
        plot_buckets([])


def rows_by_length(*values, last=30):
    ends = [(1, 10, 7), (11, 20, 1234), (21, last, 5)]
    return [
        {"from": low, "to": high, "sources": sources, "exact_match": value, "bleu": 100 * value}
        for (low, high, sources), value in zip(ends, values)
    ]


def test_each_system_has_a_line_over_the_source_lengths(tmp_path):
    systems = {"with attention": rows_by_length(0.5, 0.4, 0.3), "without": rows_by_length(0.5, 0.2, 0)}
    figure = plot_by_length(systems, "exact_match")
    axes, below = figure.axes
    assert [line.get_label() for line in axes.lines] == ["with attention", "without"]
    np.testing.assert_allclose([line.get_ydata() for line in axes.lines], [[50, 40, 30], [50, 20, 0]])
    assert drawn_labels(below)[0] == ["1–10", "11–20", "21–30"]
    assert [bar.get_height() for bar in below.patches] == [7, 1234, 5]
    assert [text.get_text() for text in below.texts] == ["7", "1,234", "5"]
    assert axes.get_ylabel() == "exact match (%)"
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [bar.get_x() + bar.get_width() / 2 for bar in below.patches])
    points = plot_by_length(systems, "bleu", path=tmp_path / "lengths.png").axes[0]
    assert points.get_ylabel() == "BLEU" and points.lines[0].get_ydata().tolist() == [50, 40, 30]
    assert (tmp_path / "lengths.png").stat().st_size > 1000


def test_a_picture_by_length_begins_at_zero_even_where_all_is_zero():
    for values in ((0.9, 0.95, 0.99), (0, 0, 0)):
        low, high = plot_by_length({"it": rows_by_length(*values)}, "exact_match").axes[0].get_ylim()
        assert low == 0 and high > 100 * max(values)


def test_systems_measured_at_other_lengths_or_by_another_measure_are_refused():
    systems = {"one": rows_by_length(1, 1, 1), "two": rows_by_length(1, 1, 1, last=40)}
    with pytest.raises(InputError, match="'two' have the source lengths 1–10, 11–20, 21–40, others have .*21–30"):
        plot_by_length(systems, "bleu")
    with pytest.raises(InputError, match="'one' have no 'chrf'; they have exact_match, bleu"):
        plot_by_length(systems, "chrf")


def test_along_the_margins_are_entropy_and_coverage():
    weights = np.array([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
    (heatmap, *_) = plot_attention(weights, list("abcd"), ["x", "y"], margins=True).axes
    right, below = heatmap.child_axes
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], [np.log(4), 0], atol=1e-12)
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], [0.25, 1.25, 0.25, 0.25])


@pytest.mark.parametrize("draw", [plot_attention, plot_alignment])
def test_dark_pictures_are_light_on_dark_and_leave_the_others_as_they_are(draw):
    brightness = []
    for dark in (True, False):
        figure = draw(np.eye(2), ["a", "b"], ["x", "y"], title="title", dark=dark)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        brightness.append((np.median(pixels), pixels.max() if dark else pixels.min()))
    (dark_paper, dark_ink), (light_paper, light_ink) = brightness
    assert dark_paper < 40 and dark_ink > 200 and light_paper > 240 and light_ink < 60


def test_lines_lead_from_the_source_above_to_the_target_below_as_thick_as_their_weight():
    weights = np.array([[0.9, 0.1, 0.0], [0.01, 0.0, 0.99]])
    axes = plot_alignment(weights, ["a", "longer", "c"], ["x", "y"]).axes[0]
    places = {text.get_text(): text.xy for text in axes.texts}
    ends = [tuple(zip(*line.get_data())) for line in axes.lines]
    assert ends == [(places["x"], places["a"]), (places["x"], places["longer"]), (places["y"], places["c"])]
    assert places["a"][1] == 1 and places["x"][1] == 0
    first, second, third = (line.get_linewidth() for line in axes.lines)
    assert second < first < third


def test_tokens_of_a_line_do_not_touch_each_other():
    tokens = ["wide token", "안녕하세요", "i", "MMMMMM", "WWWWWWWWWWWW"] * 2
    figure = plot_alignment(np.eye(10), tokens, tokens)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for row in (boxes[:10], boxes[10:]):
        assert all(before.x1 <= after.x0 for before, after in zip(row, row[1:]))


def test_lines_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 2\)"):
        plot_alignment(np.ones((2, 3)), ["a", "b"], ["x", "y"])


@pytest.mark.parametrize("dark", [False, True])
def test_dollar_signs_are_tokens_and_no_mathematics(tmp_path, dark):
    plot_attention(np.ones((1, 1)), ["$^$"], ["$_$"], path=tmp_path / "a.png", dark=dark)
    assert (tmp_path / "a.png").stat().st_size > 0


def is_inside(text, figure):
    box = text.get_window_extent()
    return 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("margins", [False, True])
def test_long_tokens_are_not_cut_off(margins):
    figure = plot_attention(np.full((3, 3), 1 / 3), ["n" * 40] * 3, ["e" * 30] * 3, margins=margins)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert all(is_inside(label, figure) for label in (*axes.get_xticklabels(), *axes.get_yticklabels()))


def test_a_title_keeps_its_own_lines():
    assert plot_attention(np.eye(2), ["a", "b"], ["a", "b"], title="one\ntwo").axes[0].get_title() == "one\ntwo"


@pytest.mark.parametrize(
    "title", ["A title that is much longer than its picture is wide", "번역기가 어디를 보는지 보여주는 긴 제목"]
)
def test_long_titles_are_not_cut_off_and_do_not_touch_each_other(title):
    weights, tokens = np.eye(2), ["a", "b"]
    grid = plot_attention_grid([(title, weights, tokens, tokens)] * 3)
    for figure in (
        grid,
        plot_attention(weights, tokens, tokens, title=title),
        plot_alignment(weights, *[tokens] * 2, title=title),
    ):
        figure.canvas.draw()
        titles = [axes.title for axes in figure.axes if axes.get_title()]
        assert titles and all(is_inside(each, figure) for each in titles)
        boxes = [each.get_window_extent() for each in titles]
        assert all(before.x1 <= after.x0 for before, after in zip(boxes, boxes[1:]))
        assert {each.get_text().replace("\n", " ") for each in titles} == {title}


def test_weights_may_be_lists_and_nothing_is_refused():
    plot_attention([[0.5, 0.5]], ["a", "b"], ["c"])
    with pytest.raises(InputError, match="nothing to draw"):
        plot_attention_grid([])
