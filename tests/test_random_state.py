"""Each test starts from the same random state; see `same_random_numbers` in conftest.py."""

import mxnet as mx
import pytest
from mxnet.gluon import nn

ONES = mx.nd.ones(20)


def compiled():
    net = nn.Dropout(0.5)
    net.hybridize()
    with mx.autograd.train_mode():
        return net(ONES)


DRAWS = {"an operator": lambda: mx.nd.random.uniform(shape=20), "a compiled net": compiled,
         "a symbol": lambda: mx.sym.random.uniform(shape=20).bind(mx.cpu(), {}).forward()[0],
         "NumPy's style": lambda: mx.np.random.uniform(size=20)}
ORDER = [how for how in DRAWS for _ in range(2)]
drawn = {}


@pytest.mark.parametrize("how", [*ORDER, "nothing, but it is seeded", "an operator"])
def test_what_one_test_draws_is_nothing_to_the_next(how):
    if how not in DRAWS:
        mx.random.seed(1)
        return
    numbers = DRAWS[how]().asnumpy().tolist()
    assert drawn.setdefault(how, numbers) == numbers
