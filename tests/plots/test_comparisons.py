"""The variants of an exercise, from plain stand-ins for comparisons and signals."""

from types import SimpleNamespace

from nin_gluon import plots


def test_a_dot_for_every_run_and_a_line_for_every_signal():
    accuracies = {"a": {0: 0.5, 1: 0.6}, "b": {0: 0.4, 1: 0.7}, "c": {}}
    part = SimpleNamespace(published={"a": 0.9}, published_title="published", judged_by="test")
    comparison = SimpleNamespace(title="Three nets", rows=accuracies, part=part,
                                 accuracies=accuracies.get)
    signals = [SimpleNamespace(init=init, spread=(0.5, 0.1)) for init in ("he", "he", "xavier")]
    above, below = plots.draw_comparisons([comparison], signals).axes
    assert [list(line.get_ydata()) for line in above.lines] == [[0.5, 0.4], [0.6, 0.7], [0.9]]
    assert [text.get_text() for text in above.get_xticklabels()] == ["a", "b", "c"]
    assert above.get_ylabel() == "test accuracy"
    assert [list(line.get_ydata()) for line in below.lines] == 3 * [[1, 0.5, 0.1]]
    assert len(below.get_legend().get_texts()) == 2 and below.get_yscale() == "log"
