"""Text in columns."""

from nin_gluon.text_tables import columns


def test_columns_are_as_wide_as_their_widest_cell():
    assert columns([("layer", "MACs"), ("pool0", "1,234,567"), ("a longer one", "")]) == [
        "layer              MACs",
        "pool0         1,234,567",
        "a longer one"]
    assert columns([("a", "b", "10"), ("aa", "bb", "9")], left=2) == ["a   b   10", "aa  bb   9"]
