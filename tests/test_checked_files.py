"""What every reader begins with: opening ordinary files, strict JSON, checks of values."""

import json
import math
import os
import time

import pytest

from nin_gluon.checked_files import (
    BadFile,
    check_number,
    check_path,
    check_text,
    check_whole,
    is_file,
    naming,
    open_file,
    parse_json,
    read_text,
    reason,
)
from tests.hostile_files import PLACES

# ------------------------------------------------------------------ opening


@pytest.mark.parametrize("kind", PLACES)
def test_what_is_no_ordinary_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "it"
    PLACES[kind](path, None)
    if kind == "a file of /proc":  # it has no size, and to read it would wait for ever
        assert read_text(path) == ""
        with open_file(path) as file:
            assert file.read(2) == b""
        return
    for read in (is_file, read_text):
        with pytest.raises(BadFile) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path} ") and "Errno" not in message and "\n" not in message


def test_nothing_is_nothing(tmp_path):
    assert not is_file(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")
    with pytest.raises(BadFile, match="cannot be the name of a file"):
        is_file("a\0b")


def test_no_more_is_read_than_allowed(tmp_path):
    path = tmp_path / "it"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadFile, match="has 1,099,511,627,776 bytes and should have 10 at most"):
        read_text(path, 10)


def test_text_is_utf_8(tmp_path):
    path = tmp_path / "it"
    path.write_text("图", "utf-8-sig")
    assert read_text(path, encoding="utf-8-sig") == "图"
    path.write_text("é", "latin-1")
    with pytest.raises(BadFile, match="is damaged: it is not UTF-8 text; bring back a whole copy"):
        read_text(path)


def test_a_reader_that_fails_names_the_file(tmp_path):
    path = tmp_path / "it"
    for content in (None, b"abc"):
        with pytest.raises(ValueError, match="^it( is missing|: that is odd)$"):
            with naming(path), open_file(path):
                raise ValueError("that is odd")
        path.write_bytes(content or b"abc")
    with pytest.raises(ValueError, match="^it has 3 bytes and should have 2 at most$"):
        with naming(path), open_file(path, 2):
            pass


# ------------------------------------------------------------------ JSON


def test_json_that_is_whole():
    value = {"a": [1, -2.5e3, "图", None, True], "b": {}}
    for text in (json.dumps(value), json.dumps(value).encode()):
        assert parse_json(text) == value
    assert math.isnan(parse_json("NaN", allow_nan=True))


@pytest.mark.parametrize("text, words", [
    ("", "it is empty"), (" \n", "it is empty"), ("{", "Expecting property name"),
    ("\ufeff{}", "BOM"), (b"\xff", "it is not UTF-8 text"),
    ('{"a": 1, "a": 2}', "a name stands twice in one object"),
    ('{"a": {"b": NaN}}', "b is nan, not a number"), ("[1e999]", "it is inf, not a number"),
    ("NaN", "it is nan, not a number"), ("[Infinity]", "it is inf, not a number"),
    (b"1" * 21, "it is inf, not a number"),
    ('{"lr": -Infinity}', "lr is -inf, not a number"),
    ('{"lr": ' + "9" * 400 + "}", "lr is inf, not a number"),
    ('{"\\u001b[2J": NaN}', r"'\x1b[2J' is nan, not a number"),
    ("[" * 21 + "]" * 21, "it is nested too deeply"),
    ("[" * 100_000, "it is nested too deeply"),
    (r'["\ud800"]', "is not text"), (r'{"\ud800": 1}', "is not text"),
])
def test_json_that_is_not(text, words):
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", [
    "[" * 10_000_000, "1" * 10_000_000, "1." + "1" * 10_000_000, '"' + "x" * 10_000_000,
    "-" * 10_000_000, " " * 10_000_000, '{"a":' * 2_000_000, "1e" + "9" * 10_000_000,
])
def test_ten_megabytes_of_nonsense_are_refused_quickly(text):
    began = time.process_time()
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert len(reason(caught.value)) < 210
    assert time.process_time() - began < 2


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("check, value", [
    (check_text, 3), (check_text, "two\nlines"), (check_text, "x" * 10_001),
    (check_text, "\x1b[2J"),
    (check_path, 3), (check_path, "a\0b"), (check_path, "a\nb"),
    (check_whole, True), (check_whole, -1), (check_whole, 1.0), (check_whole, 2**63),
    (check_number, True), (check_number, -0.5), (check_number, math.nan), (check_number, math.inf),
    (check_number, 10**400), (check_number, "1"),
])
def test_values_that_are_refused(check, value):
    with pytest.raises(ValueError, match="^it is ") as caught:
        check("it", value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("check, value", [
    (check_text, "图 1"), (check_path, "/data/\u3000图"), (check_path, None), (check_whole, 0),
    (check_number, 0), (check_number, 1e300)])
def test_values_that_pass(check, value):
    assert check("it", value) == value


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, os.strerror(13), str(path))

    (tmp_path / "it").write_bytes(b"x")
    monkeypatch.setattr("nin_gluon.checked_files.open", refuse, raising=False)
    with pytest.raises(BadFile, match=r"it cannot be read \(permission is denied; change the"):
        read_text(tmp_path / "it")
