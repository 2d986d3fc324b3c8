"""The demo's server: what it answers, and what it refuses."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from starlette.testclient import TestClient

from nin_gluon.analysis.class_maps import maps_of
from nin_gluon.analysis.evaluation import probabilities
from nin_gluon.data.sets import get_fashion_mnist_labels, load_image_set
from nin_gluon.models import get_model
from nin_gluon.models.geometry import layer_table
from nin_gluon.playground import server
from nin_gluon.playground.guard import HEADERS
from nin_gluon.playground.nets import Nets
from nin_gluon.pretrained import write_weights
from nin_gluon.runtime import MXNetUnavailable
from nin_gluon.torch_edition.settings import RECIPE
from nin_gluon.training.run_folder import TORCH_EDITION, RunConfig, write_config
from tests.exports.made_runs import make_run
from tests.pretrained.made_weights import EVALUATION, made_weights

PORT = 8000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a packaged net and two runs in runs/, with a third run elsewhere."""
    folder = tmp_path_factory.mktemp("demo")
    write_weights(folder / "nin.safetensors", made_weights())
    make_run(folder / "runs" / "small", model="cifar_nin", dataset="sample", resize=28, epochs=3)
    make_run(folder / "runs" / "dense", model="cifar_nin,head=fc", dataset="sample", resize=28)
    make_run(folder / "other", model="cifar_nin", dataset="cifar10", resize=32, limit=64)
    (folder / "runs" / "unfinished").mkdir()
    return folder


@pytest.fixture(scope="module")
def client(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIN_GLUON_PRETRAINED", str(place))
        nets = Nets([str(place / "other")], place / "runs", "cpu")
    nets.ids()
    yield TestClient(server.make_app(nets, PORT), f"http://127.0.0.1:{PORT}")


@pytest.fixture
def small(place):
    return str(place / "runs" / "small")


@pytest.fixture
def add_run(place):
    """Function of a name and settings: one more run in runs/, which goes when the test does."""
    added = []

    def add(name, **settings):
        added.append(make_run(place / "runs" / name, **settings))
        return added[-1]

    yield add
    for run in added:
        shutil.rmtree(run)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def post(client, content, **fields):
    fields = {"net": ":pretrained", "size": 67, "invert": "no", **fields}
    return client.post("/api/look", params=fields, content=content)


# ------------------------------------------------------------------ what it answers


def test_the_page_and_its_files(client):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    for name, kind in [("app.js", "text/javascript"), ("style.css", "text/css"),
                       ("words.js", "text/javascript"), ("icon.svg", "image/svg+xml")]:
        reply = client.get(f"/page/{name}")
        assert reply.status_code == 200 and reply.headers["content-type"].startswith(kind)
    for name in ("nothing.js", "..%2fserver.py", "%2e%2e/server.py", "server.py"):
        assert client.get(f"/page/{name}").status_code == 404


def test_it_needs_no_network(client):
    """Nothing in the page names another host; a name space of SVG is no address."""
    for path in server.PAGE.iterdir():
        text = path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "//" not in text.replace("// ", "").replace("// -", ""), path


def test_nets(client, place, small):
    found = client.get("/api/nets").json()
    assert found[:2] == [str(place / "other"), ":pretrained"]
    assert set(found[2:]) == {small, str(place / "runs" / "dense")}


def test_facts(client, place, small):
    facts = client.get("/api/net", params={"net": ":pretrained"}).json()
    assert facts["size"] == facts["sizes"][0] == 67 and facts["sizes"][-1] == 200
    assert facts["accuracy"] == EVALUATION["accuracy"] and facts["shape"] == [28, 28, 1]
    facts = client.get("/api/net", params={"net": small}).json()
    assert (facts["epochs"], facts["planned_epochs"], facts["accuracy"]) == (1, 3, 0.5)
    assert facts["sizes"][0] == 6 and facts["size"] == 28 in facts["sizes"] and not facts["fixed"]
    dense = client.get("/api/net", params={"net": str(place / "runs" / "dense")}).json()
    assert dense["fixed"] == "dense" and dense["sizes"] == [28]
    other = client.get("/api/net", params={"net": str(place / "other")}).json()
    assert other["classes"][0] == "airplane" and other["shape"] == [32, 32, 3]
    assert other["limit"] == 64


@pytest.mark.parametrize("size", [28, 6, 44])
def test_a_look_is_what_the_net_computes(client, place, small, size):
    images, _ = load_image_set("sample", "test")
    found = post(client, png(images[3, ..., 0]), net=small, size=size).json()
    nets = Nets([], place / "runs", "cpu")
    nets.ids()
    net = nets.get(small)
    assert base64.b64decode(found["given"]["pixels"]) == images[3].tobytes()
    maps = np.array(found["maps"])
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), found["scores"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["probabilities"],
                               probabilities(np.array([found["scores"]]))[0], rtol=1e-4)
    expected = layer_table(get_model("cifar_nin"), (1, 1, size, size))
    assert [tuple(layer["shape"]) for layer in found["layers"]] == [r.output[1:] for r in expected]
    if size == 28:
        same = maps_of(net, images[3:4])
        np.testing.assert_allclose(maps, same.maps[0], rtol=1e-4, atol=1e-6)


def test_the_channels_that_respond_most(client, place, small):
    images, _ = load_image_set("sample", "test")
    found = post(client, png(images[3, ..., 0]), net=small, size=28).json()
    nets = Nets([], place / "runs", "cpu")
    nets.ids()
    for layer, output in zip(found["layers"], nets.get(small).walk(images[3], 28)):
        if output.values.ndim < 3:
            continue
        means = output.values.mean(axis=(1, 2))
        shown = layer["channels"]
        left = [mean for i, mean in enumerate(means) if i not in shown]
        assert shown == sorted(shown) and min(means[shown]) >= max(left, default=-np.inf)
        pixels = np.frombuffer(base64.b64decode(layer["pixels"]), np.uint8)
        pixels = pixels.reshape(len(shown), *layer["shape"][1:])
        np.testing.assert_allclose(pixels, 255 * output.values[shown] / output.values.max(),
                                   atol=0.51)


def test_a_picture_of_any_kind(client, place):
    light = np.full((90, 50, 3), 255, np.uint8)
    light[20:70, 15:35] = 30
    found = post(client, png(light), invert="auto").json()
    assert found["inverted"] is True and found["given"]["shape"] == [28, 28, 1]
    assert post(client, png(light)).json()["inverted"] is False
    colour = post(client, png(light), net=str(place / "other"), size=32).json()
    assert colour["given"]["shape"] == [32, 32, 3]


def test_test_images_are_the_nets_own_or_drawn_ones(client, place, small, monkeypatch):
    found = client.get("/api/images", params={"net": small, "first": 1999, "count": 3}).json()
    assert found["dataset"] == "sample" and found["total"] == 2000
    assert [image["number"] for image in found["images"]] == [1999, 0, 1]
    images, labels = load_image_set("sample", "test")
    pixels = Image.open(io.BytesIO(base64.b64decode(found["images"][1]["png"])))
    assert (np.asarray(pixels) == images[0, ..., 0]).all()
    assert found["images"][1]["label"] == get_fashion_mnist_labels(labels[:1])[0]

    monkeypatch.setenv("MXNET_HOME", str(place))
    monkeypatch.setenv("NIN_GLUON_DATA", str(place))
    monkeypatch.setattr("requests.get", None)  # a download would fail loudly
    other = client.get("/api/images", params={"net": str(place / "other"), "first": 0, "count": 2})
    assert other.json()["dataset"] == "sample"


# ------------------------------------------------------------------ what it refuses


@pytest.mark.parametrize("content", [b"", b"nonsense", png(np.zeros((9, 9), np.uint8))[:45]])
def test_no_picture(client, content):
    reply = post(client, content)
    assert reply.status_code == 422 and reply.json()["error"] == "picture"
    assert reply.json()["sentence"].startswith("The picture cannot be read as an image (")


def test_too_many_pixels(client, monkeypatch):
    monkeypatch.setattr("nin_gluon.analysis.own_images.MOST_PIXELS", 99)
    reply = post(client, png(np.zeros((10, 10), np.uint8)))
    assert reply.status_code == 422 and "10x10 pixels, more than 99" in reply.json()["sentence"]


def test_too_many_bytes(client, monkeypatch):
    """Whether or not the length is announced; no more is read than is allowed."""
    monkeypatch.setattr(server, "MOST_BYTES", 10**6)
    read = []

    def endless():
        while len(read) < 100:
            read.append(1)
            yield bytes(10**5)

    for content in (bytes(10**6 + 1), endless()):
        reply = post(client, content)
        assert reply.status_code == 413 and reply.json()["error"] == "large"


@pytest.mark.parametrize("fields, status, code", [
    ({"net": "/etc"}, 404, "net"), ({"net": ""}, 404, "net"), ({"size": 68}, 422, "size"),
    ({"size": "x"}, 422, "request"), ({"size": "9" * 99}, 422, "request"),
    ({"size": "-1"}, 422, "request"), ({"invert": "maybe"}, 422, "request")])
def test_bad_requests(client, fields, status, code):
    reply = post(client, png(np.zeros((28, 28), np.uint8)), **fields)
    assert (reply.status_code, reply.json()["error"]) == (status, code)


def test_a_run_that_cannot_be_loaded(client, add_run):
    damaged = add_run("damaged", model="cifar_nin", dataset="sample", resize=28)
    next(damaged.rglob("net.safetensors")).write_bytes(b"no")
    assert str(damaged) in client.get("/api/nets").json()
    for address in ("/api/net", "/api/images"):
        reply = client.get(address, params={"net": str(damaged), "first": 0, "count": 1})
        assert reply.status_code == 422 and "net.safetensors" in reply.json()["sentence"]


def test_a_run_that_needs_images_which_are_not_here(client, add_run, monkeypatch):
    """Whitening is fitted to the training images; the demo downloads nothing."""
    run = add_run("white", model="cifar_nin", dataset="cifar10", resize=32, preprocess="zca")
    monkeypatch.setattr("nin_gluon.playground.nets.has_image_set", lambda *args: False)
    client.get("/api/nets")
    reply = client.get("/api/net", params={"net": str(run)})
    assert reply.status_code == 422
    assert "by the training images of cifar10, which are not on this" in reply.json()["sentence"]


def test_what_cannot_compute_is_said(client, small, monkeypatch):
    def unavailable(self, name):
        raise MXNetUnavailable("MXNet cannot be imported here")

    monkeypatch.setattr(Nets, "get", unavailable)
    reply = client.get("/api/net", params={"net": small})
    assert (reply.status_code, reply.json()["sentence"]) == (422, "MXNet cannot be imported here")


def test_runs_of_another_command_are_not_offered(client, add_run):
    run = add_run("edition", model="cifar_nin", dataset="sample", resize=28)
    client.get("/api/nets")
    assert str(run) in client.get("/api/nets").json()
    write_config(run, RunConfig(TORCH_EDITION, RECIPE.but(dataset="sample")))
    assert str(run) not in client.get("/api/nets").json()


def test_a_diverged_run(client, add_run):
    from nin_gluon.array_files import read_safetensors, write_safetensors

    # MXNet's ReLU makes zero of NaN, so the maps would be zero.
    run = add_run("diverged", model="cifar_nin,head=fc", dataset="sample", resize=28)
    path = next(run.rglob("net.safetensors"))
    arrays = read_safetensors(path, 10**8, lambda entries: None)
    write_safetensors(path, {name: array * np.float32("nan") for name, array in arrays.items()}, {})
    client.get("/api/nets")
    reply = post(client, png(np.ones((28, 28), np.uint8)), net=str(run), size=28)
    assert reply.status_code == 422 and "diverged" in reply.json()["sentence"]


# ------------------------------------------------------------------ other pages


@pytest.mark.parametrize("address", ["/", "/nothing", "/api/nets", "/api/net"])
def test_every_reply_has_the_headers(client, address):
    reply = client.get(address)
    assert {name: reply.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1",
                                  "127.0.0.1", f"127.0.0.1.evil.example:{PORT}", ""])
def test_other_hosts_are_refused(client, host):
    for reply in (client.get("/", headers={"Host": host}),
                  client.post("/api/look", headers={"Host": host})):
        assert reply.status_code == 403 and reply.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://localhost:{PORT}"},
    {"Origin": f"https://127.0.0.1:{PORT}"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}])
def test_other_origins_may_not_post(client, headers):
    assert client.post("/api/look", headers=headers).status_code == 403


def test_the_own_page_may(client):
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}"):
        reply = client.post("/api/look", headers={
            "Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"})
        assert reply.status_code == 422
