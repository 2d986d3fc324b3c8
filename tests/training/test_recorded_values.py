"""Short runs give the logs and parameters that earlier versions gave, bit for bit."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nin_gluon import runtime

RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "runs-0.1.json").read_text())

# Twenty steps each; the smallest images that the chapter's net takes.
CHILD = """
import sys
from tests import slim_nin
slim_nin.no_pictures()
from nin_gluon import train
folder, dtype, *presets = sys.argv[1:]
for preset in presets:
    size = ["--resize", "67"] if preset in ("textbook", "mlpconv") else []
    status = train.main(["--preset", preset, "--dtype", dtype, "--dataset", "sample", "--seed", "3",
                         "--batch-size", "8", "--limit", "80", "--epochs", "2", "--ctx", "cpu",
                         "--no-progress", "--out", f"{folder}/{preset}", *size])
    assert status == 0
"""

wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        if flag in runtime.cpu_flags()]


same_processor = pytest.mark.skipif(
    wide != RECORDED["cpu_features"],
    reason="recorded on a processor with other features, which rounds differently")


def logs(folder, dtype, presets, threads):
    """Train with these presets; return the epochs' lines without their times."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), dtype, *presets], text=True,
        capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(threads),
                                  "OMP_WAIT_POLICY": "passive"})  # other tests need the processors
    assert child.returncode == 0, child.stderr
    return re.findall(r"(epoch .*), time", child.stdout)


@same_processor
def test_another_number_of_threads_gives_the_same_log(tmp_path):
    log = RECORDED["runs"]["float32"]["quick"]["log"]
    assert logs(tmp_path, "float32", ["quick"], threads=1) == log


@same_processor
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_presets_compute_what_they_always_did(tmp_path, dtype):
    from mxnet import nd

    runs = RECORDED["runs"][dtype]
    epochs = logs(tmp_path, dtype, runs, RECORDED["threads"])
    assert epochs == [line for run in runs.values() for line in run["log"]]
    for preset, run in runs.items():
        digest = hashlib.sha256()
        for value in nd.load(str(tmp_path / preset / "model-0002.params")).values():
            digest.update(value.asnumpy().tobytes())
        assert digest.hexdigest() == run["parameters"], preset
