"""Package metadata. Tool settings are in pyproject.toml, the conda twin in environment.yml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
PACKAGE = (HERE / "nin_gluon/__init__.py").read_text("utf-8")

# The CUDA 11 libraries that libmxnet.so asks for by name; `nin_gluon.runtime` loads them.
CUDA_11_WHEELS = [
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cuda-nvrtc-cu11==11.8.89",
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cudnn-cu11==8.9.6.50",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
    "nvidia-nccl-cu11==2.21.5",
    "nvidia-nvtx-cu11==11.8.86",
]

NOTEBOOKS = ["d2lzh==1.0.0", "jupyterlab>=4", "ipykernel>=6", "nbclient>=0.8"]
ONNX = ["onnx>=1.13"]
TENSORBOARD = ["tensorboard>=2.10"]
DOCS = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26", "mkdocs-static-i18n>=1.2",
        "jieba>=0.42"]  # finds the words in Chinese text, for the search
DEMO = ["starlette>=0.27", "uvicorn>=0.22"]

setup(
    name="nin_gluon",
    version=re.search(r'^__version__ = "(.+)"$', PACKAGE, re.M)[1],
    description="The Network in Network chapter of Dive into Deep Learning, running today",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["nin_gluon", "nin_gluon.*"]),
    package_data={"nin_gluon": ["experiments/templates/*", "experiments/atlas/atlas.json",
                                "pretrained/*.safetensors", "playground/page/*"]},
    # 3.13 has no NumPy below 2, which MXNet needs.
    python_requires=">=3.8,<3.13",
    install_requires=[
        "numpy>=1.17,<2",
        "matplotlib>=3.5",
        "tqdm>=4.60",
        "requests>=2.20,<3",
        "filelock>=3.8",
        "jinja2>=3",
        "safetensors>=0.4",
        # MXNet imports distutils, which Python dropped in 3.12 and setuptools still brings.
        "setuptools; python_version >= '3.12'",
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1"],
        "gpu": ["mxnet-cu112==1.9.1", *CUDA_11_WHEELS],
        "notebooks": NOTEBOOKS,
        "torch": ["torch>=2.0"],
        "onnx": ONNX,
        "tensorboard": TENSORBOARD,
        "demo": DEMO,
        "docs": DOCS,
        "test": [*NOTEBOOKS, *ONNX, *TENSORBOARD, *DEMO, "onnxruntime>=1.14", "pytest>=7",
                 "pytest-xdist>=3", "pyyaml>=5", "ruff==0.17.6", "mypy>=1.14", "httpx>=0.24",
                 "playwright>=1.30"],
    },
    entry_points={"console_scripts": ["nin-gluon = nin_gluon.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
