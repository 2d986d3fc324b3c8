"""Global contrast normalization and ZCA whitening, against NumPy in float64."""

import numpy as np
import pytest
from mxnet import nd

from nin_gluon.data import load_data, whitening
from nin_gluon.data.loader import BatchLoader
from nin_gluon.data.preprocess import normalized as gluons_normalized
from nin_gluon.data.preprocess import preprocessor
from nin_gluon.data.whitening import NORM, VARIANCE, fit_whitening
from nin_gluon.errors import InputError


def correlated(n, height=6, width=5, channels=3, seed=0):
    """Smooth images, whose pixels say much about their neighbours."""
    noise = np.random.RandomState(seed).randint(0, 256, (n, height + 2, width, channels))
    return ((noise[:, :-2] + noise[:, 1:-1] + noise[:, 2:]) // 3).astype(np.uint8)


def apply(name, training, images):
    X = preprocessor(name, training)(nd.array(images, dtype="uint8"))
    assert X.dtype == np.float32 and X.shape == images.shape
    return X.asnumpy().reshape((len(images), -1)).astype(np.float64)


def normalized(images):
    values = images.reshape((len(images), -1)).astype(np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    return values / np.linalg.norm(values, axis=1, keepdims=True) * NORM


def test_each_image_has_mean_0_and_the_same_contrast():
    images = correlated(40)
    X = apply("gcn", images, images)
    np.testing.assert_allclose(X, normalized(images), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(X.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), NORM, rtol=1e-5)
    brighter = (images // 2 + 60).astype(np.uint8)  # neither light nor contrast matters
    assert np.abs(apply("gcn", images, brighter) - X).max() < 0.3


def test_images_of_32x32_vary_by_about_1():
    images = correlated(5, 32, 32)
    assert np.allclose(apply("gcn", images, images).std(axis=1), 1, atol=0.01)


def test_an_image_of_one_colour_becomes_zeros():
    images = np.full((3, 4, 4, 3), 77, np.uint8)
    assert not apply("gcn", images, images).any()
    assert np.isfinite(apply("zca", images, images)).all()


def test_whitened_values_are_uncorrelated():
    images = correlated(4000)
    X = apply("zca", images, images)
    covariance = np.cov(X.T, bias=True)
    before = np.cov(normalized(images).T, bias=True)
    assert np.abs(before - np.diag(np.diag(before))).max() > 10
    # All variances are 1, but for what the constant takes off, and for the one direction, that of
    # the mean, in which normalized images do not vary.
    variances = np.linalg.eigvalsh(covariance)
    assert abs(variances[0]) < 1e-3
    expected = np.linalg.eigvalsh(before)
    np.testing.assert_allclose(variances, np.sort(expected / (expected + VARIANCE)), atol=2e-3)
    assert variances[1] > 0.9 and variances[-1] < 1.001
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-3)


def test_it_is_zca_and_not_another_whitening():
    """The matrix is symmetric and positive: of all whitenings the one that changes least."""
    mean, matrix = fit_whitening(correlated(500), gluons_normalized)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_blocks_change_nothing(monkeypatch):
    images = correlated(300)
    wanted = fit_whitening(images, gluons_normalized)
    monkeypatch.setattr(whitening, "BLOCK", 70)
    for ours, theirs in zip(fit_whitening(images, gluons_normalized), wanted):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_it_is_fitted_to_the_training_images_alone(few_images):
    train, test = load_data("sample", 50, preprocess="zca")
    prepare = preprocessor("zca", train.images.asnumpy())
    for loader in (train, test):
        loader.shuffle = False
        X, _ = next(iter(loader))
        wanted = prepare(loader.images).transpose((0, 3, 1, 2))
        np.testing.assert_allclose(X.asnumpy(), wanted.asnumpy(), rtol=1e-4, atol=1e-4)
        assert X.shape == (48 if loader is train else 32, 1, 28, 28)


def test_batches_are_preprocessed_then_shifted_and_channels_come_first():
    images = correlated(30, 9, 9)
    prepare = preprocessor("gcn", images)
    X, _ = next(iter(BatchLoader(images, range(30), 30, preprocess=prepare)))
    np.testing.assert_array_equal(
        X.asnumpy(), prepare(nd.array(images, dtype="uint8")).asnumpy().transpose(0, 3, 1, 2))
    shifted, _ = next(iter(BatchLoader(images, range(30), 30, preprocess=prepare,
                                       augment="shift-mirror")))
    # Beyond the image there are zeros, which is grey now.
    assert (shifted.asnumpy() == 0).mean() > 0.2
    assert set(shifted.asnumpy().ravel()) <= {0, *X.asnumpy().ravel()}


def test_what_cannot_be(few_images):
    with pytest.raises(InputError, match="'pca'; use none, standardize, gcn or zca"):
        load_data("sample", 20, preprocess="pca")
    with pytest.raises(InputError, match="keep their size of 28x28"):
        load_data("sample", 20, resize=30, preprocess="gcn")
    load_data("sample", 20, resize=28, preprocess="gcn")


def test_standardized_training_images_have_mean_0_and_variance_1(garments, monkeypatch):
    monkeypatch.setattr("nin_gluon.data.load_image_set",
                        lambda name, split, root: garments(split, 40))
    train_iter, test_iter = load_data("fashion-mnist", 40, preprocess="standardize")
    plain_train, plain_test = load_data("fashion-mnist", 40)
    values, bytes_over_255 = (next(iter(it))[0].asnumpy() for it in (test_iter, plain_test))
    training = next(iter(plain_train))[0].asnumpy()
    np.testing.assert_allclose(values, (bytes_over_255 - training.mean()) / training.std(),
                               rtol=1e-4, atol=1e-5)
    X = next(iter(train_iter))[0].asnumpy()
    assert abs(X.mean()) < 1e-5 and abs(X.std() - 1) < 1e-5
    # Resizing comes first: it is done on bytes.
    resized, _ = load_data("fashion-mnist", 40, resize=40, preprocess="standardize")
    assert next(iter(resized))[0].shape == (40, 1, 40, 40)


def test_standardizing_images_of_one_colour():
    levels = whitening.standardized(np.full((2, 3, 3, 1), 7, np.uint8))
    assert levels[7] == 0 and np.isfinite(levels).all()
