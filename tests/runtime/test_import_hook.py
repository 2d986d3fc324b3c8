"""What is done before mxnet or d2lzh is imported."""

import ctypes
import sys

import numpy as np
import pytest
from cuda_stub import output

from nin_gluon.runtime import MXNetUnavailable, import_hook


def test_importing_the_package_does_not_import_mxnet():
    code = "import sys, nin_gluon; print([m for m in ('mxnet', 'numpy') if m in sys.modules])"
    assert output("-c", code) == "[]"


def test_mxnet_imports_and_computes_after_the_package():
    code = ("import nin_gluon, mxnet as mx, numpy as np; "
            "print(np.bool is np.bool_, np.int is int, mx.nd.arange(4).sum().asscalar())")
    assert output("-c", code) == "True True 6.0"


def test_the_hook_is_put_in_place_once():
    before = list(sys.meta_path)
    import_hook.install()
    assert sys.meta_path == before


def test_d2lzh_draws_after_the_package():
    code = ("import nin_gluon, d2lzh; from matplotlib import pyplot as plt; "
            "d2lzh.semilogy([1, 2], [3, 4], 'x', 'y', figsize=(3, 2)); "
            "print(plt.gca().get_yscale(), plt.gcf().get_size_inches())")
    assert output("-c", code) == "log [3. 2.]"


def test_a_numpy_that_mxnet_cannot_use_is_named(monkeypatch):
    monkeypatch.setattr(np, "__version__", "2.5.5")
    with pytest.raises(MXNetUnavailable, match=r"below 2, and this is 2\.5\.5"):
        import_hook.alias_numpy()


@pytest.mark.skipif(sys.platform != "linux", reason="is about Linux's libraries")
@pytest.mark.parametrize("library, package", [("libgomp.so.1", "libgomp1"),
                                              ("libquadmath.so.0", "libquadmath0")])
def test_a_missing_system_library_is_named_with_its_package(monkeypatch, library, package):
    load = ctypes.CDLL

    def without(name, *args, **kwargs):
        if name == library:
            raise OSError(f"{name}: cannot open shared object file")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(import_hook.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(import_hook.ctypes, "CDLL", without)
    with pytest.raises(MXNetUnavailable, match=f"{library}.*apt-get install {package}"):
        import_hook.check_system_libraries()
