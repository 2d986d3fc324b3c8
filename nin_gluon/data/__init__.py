"""From Fashion-MNIST's files to batches."""

from nin_gluon.data.sets import get_fashion_mnist_labels, load_image_set

__all__ = ["get_fashion_mnist_labels", "load_data", "load_data_fashion_mnist"]


def load_data_fashion_mnist(batch_size, resize=None, root=None, ctx=None):
    """Fashion-MNIST as a training and a test iterator; d2lzh's function, batch for batch.

    Parameters
    ----------
    batch_size : int
    resize : int, optional
        Edge length in pixels that the 28x28 images are resized to.
    root : str or Path, optional
        Folder with the four files. Without it they are looked for where ``NIN_GLUON_DATA`` says,
        then in MXNet's data folder; what is missing is downloaded.
    ctx : mxnet.Context, optional
        Where the batches are to be; the CPU by default.

    Returns
    -------
    train_iter, test_iter : BatchLoader
        Yield X (batch, 1, height, width) float32 in [0, 1] and y (batch,) int32. The training
        set is shuffled anew each pass, by NumPy's global random numbers.

    Raises
    ------
    InputError
        A file is damaged, foreign, or missing and not to be downloaded.
    """
    return load_data("fashion-mnist", batch_size, resize, root, ctx)


def load_data(name, batch_size, resize=None, root=None, ctx=None, limit=None, part=(0, 1),
              augment="none", preprocess="none"):
    """A training and a test iterator over any known image set.

    As `load_data_fashion_mnist`; `limit` keeps only so many images, the first ones, of each of
    the two sets; `part` is this worker's of every batch, and `augment` the distortion of the
    training images, as in `BatchLoader`; `preprocess` is a name that
    `nin_gluon.data.preprocess.preprocessor` knows.
    """
    from nin_gluon.data.loader import BatchLoader
    from nin_gluon.data.preprocess import preprocessor

    iterators = []
    for split in ("train", "test"):
        images, labels = load_image_set(name, split, root)
        images, labels, training = images[:limit], labels[:limit], split == "train"
        if training:
            prepare = preprocessor(preprocess, images)
        iterators.append(BatchLoader(images, labels, batch_size, resize, training, ctx, part,
                                     augment if training else "none", prepare))
    return tuple(iterators)
