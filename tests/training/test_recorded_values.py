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

# Twenty steps each; the smallest images that the chapter's net takes. Each number of threads has a
# process, which imports MXNet after it was forked; the sample is drawn once for all.
CHILD = """
import json, os, sys
from tests import slim_nin
slim_nin.no_pictures()
from nin_gluon import train
from nin_gluon.data.sets import load_image_set

def run(folder, dtype, preset):
    size = ["--resize", "67"] if preset in ("textbook", "mlpconv") else []
    status = train.main(["--preset", preset, "--dtype", dtype, "--dataset", "sample", "--seed", "3",
                         "--batch-size", "8", "--limit", "80", "--epochs", "2", "--ctx", "cpu",
                         "--no-progress", "--out", f"{folder}/{dtype}/{preset}", *size])
    assert status == 0

for split in ("train", "test"):
    load_image_set("sample", split)
assert "mxnet" not in sys.modules
for folder, threads, runs in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        os.environ["OMP_NUM_THREADS"] = threads
        for dtype, preset in runs:
            run(folder, dtype, preset)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
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

    Two of them have another number of threads than they were recorded with, and give the same.
    """
    from mxnet import nd

    recorded = RECORDED["runs"]
    one_thread = [("bfloat16", "textbook"), ("bfloat16", "mlpconv")]
    others = [(dtype, preset) for dtype in recorded for preset in recorded[dtype]
              if (dtype, preset) not in one_thread]
    jobs = [(str(tmp_path), str(RECORDED["threads"]), others), (str(tmp_path), "1", one_thread)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(jobs)], text=True, capture_output=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"})  # other tests need the processors
    assert child.returncode == 0, child.stderr
    logs = [recorded[dtype][preset]["log"] for _, _, runs in jobs for dtype, preset in runs]
    assert re.findall(r"(epoch .*), time", child.stdout) == [line for log in logs for line in log]
    for dtype, preset in [*others, *one_thread]:
        digest = hashlib.sha256()
        parameters = tmp_path / dtype / preset / "model-0002.params"
        for value in nd.load(str(parameters)).values():
            digest.update(value.asnumpy().tobytes())
        assert digest.hexdigest() == recorded[dtype][preset]["parameters"], (dtype, preset)
