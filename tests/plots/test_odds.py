"""The picture of a lottery, from plain stand-ins for records."""

from types import SimpleNamespace

import pytest

from nin_gluon import plots


def run(test_acc, before, after):
    return SimpleNamespace(test_acc=test_acc, start=SimpleNamespace(living=range(before)),
                           history=[SimpleNamespace(living=range(10)),
                                    SimpleNamespace(living=range(after))])


def test_a_dot_for_every_run_and_a_bar_for_every_count():
    rows = {"textbook": [run(0.1, 6, 0), run(0.1, 8, 0), run(0.45, 8, 5), run(0.85, 9, 9)],
            "identity": [run(0.9, 10, 10)]}
    figure = plots.draw_odds(rows, "A lottery")
    left, right = figure.axes
    dots = [tuple(dot.get_offsets()[0]) for dot in left.collections if len(dot.get_offsets())]
    assert sorted(x for x, _ in dots) == [0.1, 0.1, 0.45, 0.85, 0.9]
    assert len(set(dots)) == 5  # those of equal runs stand apart
    assert [text.get_text() for text in left.get_yticklabels()] == ["textbook\n4 runs",
                                                                    "identity\n1 run"]
    # Before the first step 9, 8 (twice), 6 lived; at the end 9, 5, 0 (twice).
    assert [bar.get_width() for bar in right.patches] == [25, 50, 25, 25, 25, 50, 100, 100]
    legend, = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "5", "6", "8", "9", "10"]
    assert figure.get_suptitle() == "A lottery"


@pytest.mark.parametrize("recipes, seeds", [(8, 1), (3, 60)])
def test_it_has_room_for_few_and_for_many_runs(recipes, seeds):
    runs = [run(0.1 + seed % 9 / 10, 9, 1 + seed % 9) for seed in range(seeds)]
    left, _ = plots.draw_odds({f"recipe {i}": runs for i in range(recipes)}).axes
    heights = [dot.get_offsets()[0][1] for dot in left.collections if len(dot.get_offsets())]
    rows = [round(y) for y in heights]
    assert sorted(set(rows)) == list(range(recipes)) and len(rows) == recipes * seeds
    assert max(abs(y - round(y)) for y in heights) < 0.45
