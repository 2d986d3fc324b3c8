"""The predict command, on a net that was never trained: what it reads, prints and draws."""

import contextlib
import importlib.machinery
import io
import json
import re
import sys

import numpy as np
import pytest
from mxnet import nd
from PIL import Image

import nin_gluon
from nin_gluon import plots, predict
from nin_gluon.analysis import predictions
from nin_gluon.pretrained import write_weights
from tests import forked_python
from tests.pretrained.made_weights import made_weights


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    write_weights(folder / "nin.safetensors", made_weights())
    return folder


@pytest.fixture(autouse=True)
def trained(package, monkeypatch):
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(package))


@pytest.fixture
def grey(garments):
    """Test images that do not look dark on light."""
    images = garments("test", 60)[0][..., 0]
    border = np.concatenate([images[:, [0, -1]].reshape(60, -1),
                             images[:, :, [0, -1]].reshape(60, -1)], axis=1)
    return images[np.median(border, axis=1) == 0]


def run(capsys, *arguments):
    """Status, what was printed, and what was said."""
    status = predict.main([str(argument) for argument in arguments])
    return (status, *capsys.readouterr())


def as_json(capsys, *arguments):
    status, out, _ = run(capsys, "--pretrained", "--json", *arguments)
    assert status == 0
    return json.loads(out)


def chances(image):
    """{class: probability} of an image in the JSON."""
    return {row["class"]: row["probability"] for row in image["predictions"]}


def test_probabilities_are_the_nets(tmp_path, grey, capsys):
    for i in range(3):
        Image.fromarray(grey[i]).save(tmp_path / f"{i}.png")
    found = as_json(capsys, tmp_path, "--top", 99)
    assert found["net"] == "the trained nin of the package" and found["engine"] == "gluon"
    from nin_gluon.data.loader import BatchLoader

    weights = made_weights().preprocessing
    X, _ = next(iter(BatchLoader(grey[:3, ..., np.newaxis], np.zeros(3), 3, 67,
                                 levels=weights.levels)))
    expected = nd.softmax(nin_gluon.nin(pretrained=True)(X)).asnumpy()
    for i, image in enumerate(found["images"]):
        assert image["image"] == str(tmp_path / f"{i}.png") and image["inverted"] is False
        mine = chances(image)
        assert list(mine.values()) == sorted(mine.values(), reverse=True)
        np.testing.assert_allclose([mine[name] for name in found["classes"]], expected[i],
                                   rtol=1e-3)


def test_one_picture_in_many_forms(tmp_path, grey, capsys):
    """Each decodes to the same pixels, so each gets the same answer."""
    image, exif = Image.fromarray(grey[0]), Image.Exif()
    exif[0x0112] = 6
    forms = {"a.png": image, "b.gif": image, "c.webp": image.convert("RGB"),
             "d.png": Image.merge("LA", (image, Image.new("L", image.size, 255))),
             "e.png": Image.fromarray(grey[0].astype(np.uint16) * 257),
             "f.tif": image.transpose(Image.Transpose.ROTATE_90),
             "g.png": Image.fromarray(255 - grey[0])}
    for name, form in forms.items():
        form.save(tmp_path / name, lossless=True, **({"exif": exif} if name[0] == "f" else {}))
    found = as_json(capsys, tmp_path)["images"]
    assert len(found) == len(forms)
    assert [image["inverted"] for image in found] == [False] * 6 + [True]
    for image in found[1:]:
        assert chances(image) == pytest.approx(chances(found[0]), rel=1e-3)
    Image.fromarray(grey[0]).save(tmp_path / "h.jpg", quality=100)
    lossy, = as_json(capsys, tmp_path / "h.jpg")["images"]
    assert lossy["predictions"][0]["probability"] == pytest.approx(
        found[0]["predictions"][0]["probability"], abs=0.05)


def test_the_table(tmp_path, grey, capsys):
    Image.fromarray(grey[0]).save(tmp_path / "light.png")
    Image.fromarray(255 - grey[1]).save(tmp_path / "dark.png")
    status, out, error = run(capsys, "--pretrained", tmp_path / "light.png", tmp_path / "dark.png",
                             "--top", 2)
    assert status == 0 and not error
    header, light, dark = out.splitlines()
    assert header.split() == ["image", "1st", "2nd"]
    assert light.startswith(str(tmp_path / "light.png")) and "inverted" not in light
    assert dark.endswith("dark on light: inverted")
    for invert, which in (("yes", [True, True]), ("no", [False, False])):
        found = as_json(capsys, tmp_path / "light.png", tmp_path / "dark.png", "--invert", invert)
        assert [image["inverted"] for image in found["images"]] == which


def test_a_broken_picture_is_named_and_the_others_go_on(tmp_path, grey, capsys):
    names = ["a.png", "b.png", "c.png", "d.png"]
    for name in names:
        Image.fromarray(grey[0]).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "d.png").write_text("no picture")
    status, out, error = run(capsys, "--pretrained", tmp_path, tmp_path / "none.png")
    assert status == 2
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        str(tmp_path / "a.png"), str(tmp_path / "c.png")]
    lines = error.splitlines()
    assert f"{tmp_path / 'b.png'} cannot be read as an image" in lines[0]
    assert f"{tmp_path / 'd.png'} cannot be read as an image" in lines[1]
    assert lines[2:] == [f"there is no image {tmp_path / 'none.png'}.",
                         "3 of 5 pictures could not be read"]
    status, out, error = run(capsys, "--pretrained", "--json", tmp_path)
    found = json.loads(out)["images"]
    assert status == 2 and [("error" in image) for image in found] == [False, True, False, True]
    status, out, error = run(capsys, "--pretrained", tmp_path / "d.png", "--picture",
                             tmp_path / "out.png")
    assert status == 2 and not out and error.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_many_pictures_go_in_batches(tmp_path, grey, capsys, monkeypatch):
    monkeypatch.setattr(predictions, "BATCH", 7)
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(grey[i]).save(paths[-1])
    paths[8].write_bytes(b"broken")
    _, out, _ = run(capsys, "--pretrained", "--json", *paths)
    many = json.loads(out)["images"]
    assert [image["image"] for image in many] == list(map(str, paths))
    assert "error" in many[8]
    one, = as_json(capsys, paths[19])["images"]
    assert chances(one) == pytest.approx(chances(many[19]), rel=1e-3)


def test_a_picture_from_standard_input(tmp_path, grey, capsys, monkeypatch):
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()

    def feed(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    feed(content)
    found = as_json(capsys, "-", tmp_path / "a.png")["images"]
    assert found[0]["image"] == "-" and found[0]["predictions"] == found[1]["predictions"]
    feed(b"no picture")
    status, out, error = run(capsys, "--pretrained", "-")
    assert status == 2 and error.startswith("the picture on standard input cannot be read as an")
    monkeypatch.setattr(sys, "stdin", None)  # the shell has closed it: `... <&-`
    assert as_json(capsys, tmp_path / "a.png")["images"][0]["predictions"]
    status, out, error = run(capsys, "--pretrained", "-")
    assert status == 2 and not out and "standard input, which is closed; name a file" in error


def test_the_picture(tmp_path, grey, capsys):
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    status, _, error = run(capsys, "--pretrained", tmp_path, "--picture", tmp_path / "out.png")
    assert status == 2 and f"picture: {tmp_path / 'out.png'}" in error
    with Image.open(tmp_path / "out.png") as image:
        assert image.width > 500


def test_names_that_no_terminal_shows(tmp_path, grey, capsys):
    Image.fromarray(grey[0]).save(tmp_path / "two\nlines.png")
    status, out, _ = run(capsys, "--pretrained", tmp_path)
    assert status == 0 and out.count("\n") == 2 and "two\\nlines.png'" in out


def test_a_dtype_that_no_cpu_has(tmp_path, grey, capsys):
    pytest.importorskip("torch")
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    status, out, error = run(capsys, "--pretrained", tmp_path / "a.png", "--engine", "torch",
                             "--dtype", "float16")
    assert status == 2 and not out and error.count("\n") == 1
    assert "dtype float16" in error


def test_bad_requests_get_one_line_and_status_2(tmp_path, grey, capsys, monkeypatch):
    monkeypatch.setattr(plots, "save", lambda *args: pytest.fail("it draws"))
    picture, there = tmp_path / "a.png", tmp_path / "there.png"
    Image.fromarray(grey[0]).save(picture)
    there.write_text("mine")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
            ([picture], "name a run folder with --run, or give --pretrained"),
            (["--run", "x", "--pretrained", picture], "one of the two"),
            (["--run", tmp_path / "empty", picture], "is not a run folder"),
            (["--pretrained", tmp_path / "empty"], "has no file that ends in"),
            (["--pretrained", "-", "-"], "give it once"),
            (["--pretrained", picture, "--picture", there], "--picture .* is there already"),
            (["--pretrained", picture, "--picture", "out.txt"], "--picture out.txt is no picture"),
            (["--pretrained", *51 * [picture], "--picture", tmp_path / "out.png"], "shows 50"),
            (["--pretrained", picture, "--ctx", "tpu"], "is not a device"),
    ):
        status, out, error = run(capsys, *arguments)
        assert status == 2 and not out and error.count("\n") == 1
        assert re.search(words, error), error
    assert there.read_text() == "mine"
    for arguments in (["--pretrained"], ["--pretrained", "a.png", "--top", "0"]):
        with pytest.raises(SystemExit) as end:
            predict.main(arguments)
        assert end.value.code == 2


def test_a_damaged_package_is_one_line(tmp_path, package, grey, capsys, monkeypatch):
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    monkeypatch.setenv("NIN_GLUON_PRETRAINED", str(tmp_path))
    status, _, error = run(capsys, "--pretrained", tmp_path / "a.png")
    assert status == 2 and "there is no trained nin" in error and error.count("\n") == 1
    content = bytearray((package / "nin.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "nin.safetensors").write_bytes(content)
    status, _, error = run(capsys, "--pretrained", tmp_path / "a.png")
    assert status == 2 and "its content is not that of its checksum" in error


def test_mxnet_is_enough(tmp_path, grey):
    """In a process in which PyTorch cannot be found; the reverse: ``test_readme_in_torch.py``."""
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    assert forked_python.call(predict_without_torch, tmp_path / "a.png") == 3


def predict_without_torch(picture):
    """How many classes are named."""
    assert "torch" not in sys.modules
    find = importlib.machinery.PathFinder.find_spec
    importlib.machinery.PathFinder.find_spec = staticmethod(
        lambda name, *rest: None if name.split(".")[0] == "torch" else find(name, *rest))
    said, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaints):
        assert predict.main(["--pretrained", "--json", picture]) == 0
    assert complaints.getvalue() == ""
    return len(json.loads(said.getvalue())["images"][0]["predictions"])
