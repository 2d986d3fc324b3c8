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


def test_mxnet_computes_and_d2lzh_draws_after_the_package():
    """MXNet finds the names that it wants in NumPy, and d2lzh its formats of pictures.

    On Linux, what is asked after the first computation: MXNet has a thread for each processor.
    """
    code = ("import ctypes, sys, nin_gluon, mxnet as mx, numpy as np; "
            "print(np.bool is np.bool_, np.int is int, mx.nd.arange(4).sum().asscalar()); "
            "print(sys.platform != 'linux' or ctypes.CDLL('libgomp.so.1').omp_get_max_threads() "
            "== nin_gluon.runtime.available_cpus()); "
            "import d2lzh; from matplotlib import pyplot as plt; "
            "d2lzh.semilogy([1, 2], [3, 4], 'x', 'y', figsize=(3, 2)); "
            "print(plt.gca().get_yscale(), plt.gcf().get_size_inches())")
    assert output("-c", code) == "True True 6.0\nTrue\nlog [3. 2.]"


def test_the_hook_is_put_in_place_once():
    before = list(sys.meta_path)
    import_hook.install()
    assert sys.meta_path == before


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


def test_a_module_can_be_changed_after_its_import(tmp_path, monkeypatch):
    (tmp_path / "to_be_changed.py").write_text("value = 1\n")
    (tmp_path / "importer.py").write_text("from to_be_changed import value\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = []

    def change(module):
        module.value += 1
        changes.append(module.__name__)

    import_hook.after_import("to_be_changed", change)
    import_hook.after_import("to_be_changed", change)
    assert not changes
    import importer  # type: ignore[import-not-found]

    assert importer.value == 3 and changes == ["to_be_changed"] * 2
    import_hook.after_import("to_be_changed", change)  # it is there: at once
    assert sys.modules["to_be_changed"].value == 4
    assert sys.modules["to_be_changed"].__loader__.get_source("to_be_changed") == "value = 1\n"


def test_a_module_that_is_not_there_stays_so(monkeypatch):
    import_hook.after_import("there_is_no_such_module", lambda module: None)
    with pytest.raises(ModuleNotFoundError):
        import there_is_no_such_module  # type: ignore[import-not-found]  # noqa: F401
    import_hook.CHANGES.pop("there_is_no_such_module")
