"""The resources command: what it prints, draws and refuses."""

import json

import pytest

from nin_gluon.resources import format_result, main, measure


def test_tables_json_and_picture(tmp_path, capsys):
    picture = tmp_path / "costs.png"
    assert main(["--size", "80x67", "--model", "mlpconv_nin", "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    assert "mlpconv_nin, 1 image of 1 x 80 x 67, float32" in text
    assert "1,992,166" in text and "published" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["flops"] == 2 * 762_297_352
    assert main([]) == 0
    assert "1.922" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, sentence", [
    (["--size", "66"], "66x66 pixels is too small"),
    (["--model", "lenet"], "unknown model 'lenet'"),
    (["--batch", "0"], "at least 1"),
    (["--model", "nin,classes=1000000000000"], "whole number from 1"),
    (["--model", "nin_variant,inner_kernel=999999999999999999999"],
     "an odd size up to 99"),
    (["--out", "costs.txt"], "no picture's name"),
    (["--out", "nowhere/costs.png"], "no folder nowhere"),
])
def test_bad_requests_get_one_line_and_status_2(arguments, sentence, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_picture_that_is_there_is_left_alone(tmp_path, capsys):
    picture = tmp_path / "mine.png"
    picture.write_text("mine")
    assert main(["--out", str(picture)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert picture.read_text() == "mine"


def test_the_help_shows_the_papers_parameters(capsys):
    """Its example says what it prints."""
    with pytest.raises(SystemExit):
        main(["--help"])
    example = "--model cifar_nin --size 32 --channels 3"
    text = capsys.readouterr().out
    assert example in text and "966,986" in text
    assert main(example.split()) == 0
    assert "966,986" in capsys.readouterr().out


def test_what_mxnet_allocates_stands_in_a_table():
    result = measure(size=67)
    assert "allocated" not in format_result(result)
    parts = {"parameters": 1_000_000, "images": 2_000, "forward": 0, "peak": 3_456_789,
             "process": 12_000_000}
    lines = format_result({**result, "allocated": {"training, hybridized": parts}}).splitlines()
    row, = (line for line in lines if line.startswith("training, hybridized"))
    assert row.split()[2:] == ["1.00", "0.00", "0.00", "3.46", "12.00"]
