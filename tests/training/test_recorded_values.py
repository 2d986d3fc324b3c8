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
import json, sys
from tests import slim_nin
slim_nin.no_pictures()
from nin_gluon import train

folder, runs = sys.argv[1], json.loads(sys.argv[2])
for dtype, preset in runs:
    size = ["--resize", "67"] if preset in ("textbook", "mlpconv") else []
    status = train.main(["--preset", preset, "--dtype", dtype, "--dataset", "sample", "--seed", "3",
                         "--batch-size", "8", "--limit", "80", "--epochs", "2", "--ctx", "cpu",
                         "--no-progress", "--out", f"{folder}/{dtype}/{preset}", *size])
    assert status == 0
"""

wide = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        if flag in runtime.cpu_flags()]


same_processor = pytest.mark.skipif(
    wide != RECORDED["cpu_features"],
    reason="recorded on a processor with other features, which rounds differently")


@same_processor
def test_presets_compute_what_they_always_did(tmp_path):
    """Logs and parameters of the presets in float32 and bfloat16. One test, for runs that share a
    process.

    They have one thread; those of `training/checkpoint/test_old_checkpoint.py` have two.
    """
    from mxnet import nd

    recorded = {(dtype, preset): run for dtype, runs in RECORDED["runs"].items()
                for preset, run in runs.items()}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(list(recorded))], text=True,
        capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(RECORDED["threads"])})
    assert child.returncode == 0, child.stderr
    logs = [line for run in recorded.values() for line in run["log"]]
    assert re.findall(r"(epoch .*), time", child.stdout) == logs
    for (dtype, preset), run in recorded.items():
        digest = hashlib.sha256()
        for value in nd.load(str(tmp_path / dtype / preset / "model-0002.params")).values():
            digest.update(value.asnumpy().tobytes())
        assert digest.hexdigest() == run["parameters"], (dtype, preset)
