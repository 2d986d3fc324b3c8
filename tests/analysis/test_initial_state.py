import mxnet as mx
import numpy as np
import pytest

import nin_gluon
from nin_gluon.analysis.initial_state import measure_start
from nin_gluon.data.loader import BatchLoader
from nin_gluon.settings import TEXTBOOK
from nin_gluon.training.initial_parameters import digest_of

pytestmark = pytest.mark.usefixtures("slim")

IMAGES = 200  # of the test set, so the last batch is not full


@pytest.fixture(autouse=True)
def images_in_memory(garments, monkeypatch):
    """A small set, read once for all tests."""
    monkeypatch.setattr("nin_gluon.data.load_image_set",
                        lambda name, split, root: garments(split, IMAGES))


def test_the_start_is_the_net_that_the_seed_makes(garments, pytestconfig):
    settings = TEXTBOOK.but(dataset=pytestconfig.dataset, resize=67, seed=3)
    start = measure_start(settings)
    mx.random.seed(3)
    net = nin_gluon.nin()
    net.initialize(mx.init.Xavier())
    X, _ = next(iter(BatchLoader(*garments("test", IMAGES), IMAGES, resize=67)))
    scores = net(X).asnumpy()
    assert start.living == tuple(np.flatnonzero((scores > 0).any(axis=0)))
    assert start.spread == pytest.approx(np.sqrt(scores.var(axis=0).mean()), rel=1e-4)
    maps = nin_gluon.maps_and_head(net)[0](X).asnumpy()
    assert start.positive == pytest.approx((maps > 0).mean(axis=(0, 2, 3)), abs=1e-5)
    assert 0 < start.positive_before < 1
    assert 0 < len(start.living) < 10  # Xavier's maps of these classes are partly dead already
    assert measure_start(settings.but(seed=4)) != start


def test_a_file_takes_the_place_of_what_the_seed_draws(tmp_path, pytestconfig):
    """And a limit may be below the number of images that are looked at."""
    settings = TEXTBOOK.but(dataset=pytestconfig.dataset, resize=67, limit=20)
    path = tmp_path / "x.params"
    mx.random.seed(4)
    net = nin_gluon.nin()
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 1, 67, 67))).wait_to_read()
    net.save_parameters(str(path))
    start = measure_start(settings.but(init_from=digest_of(path)), init_file=str(path))
    assert start == measure_start(settings.but(seed=4))
    assert start.living and start != measure_start(settings)


def test_the_start_of_a_run_of_pytorch(pytestconfig):
    torch = pytest.importorskip("torch")
    from nin_gluon.training.run_folder import RunConfig
    from nin_gluon.training.torch_run import prepare
    from nin_gluon.training.torch_workers import TorchWorkers

    settings = TEXTBOOK.but(dataset=pytestconfig.dataset, resize=67, seed=3, limit=40,
                            engine="torch")
    start = measure_start(settings.but(dtype="bfloat16", validation=7))
    run = prepare(RunConfig("", settings), torch.device("cpu"), TorchWorkers())
    X, _ = next(iter(run.test_iter))
    maps, scores = run.engine.maps_and_scores(X)
    assert start.living == tuple(np.flatnonzero((scores > 0).any(axis=0)))
    assert start.spread == pytest.approx(np.sqrt(scores.var(axis=0).mean()), rel=1e-4)
    assert start.positive == pytest.approx((maps > 0).mean(axis=(0, 2, 3)), abs=1e-5)
    assert 0 < start.positive_before < 1
