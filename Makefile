# make train                    the chapter's net on Fashion-MNIST, in minutes, on a CPU
# make train ARGS="--epochs 1"  the same with options (see: make help)
# make train EXTRA=gpu          with the GPU build of MXNet
# make test                     install what the tests need, check style and types, run them
# make test-slow                the tests that take minutes: the book's nets at their own sizes
# make chaos                    kill runs and distributed jobs at random moments, and see them go on
# make fuzz                     damage every file that is read, in 20,000 ways each (15 to 30 min)
# make docs                     the documentation as a site, in build/site; any warning fails
# make notebooks                open the notebooks in JupyterLab
# make test-gpu-wheel           import the GPU build for real, without a GPU (downloads about 2.5 GB)

PYTHON ?= python3
EXTRA  ?= cpu
# An environment for each of the two builds of MXNet, which share one package name.
BUILD  := $(if $(findstring gpu,$(EXTRA)),gpu,cpu)
VENV   ?= $(if $(findstring gpu,$(BUILD)),.venv-gpu,.venv)
ARGS   ?=
BIN    := $(VENV)/bin

.PHONY: help train test test-slow chaos fuzz docs notebooks test-gpu-wheel

help:
	@sed -n 's/^# make/make/p' Makefile
	@echo "$(BIN)/nin-gluon train --help lists the options of train, once 'make train' has run."

train: $(VENV)/.installed-$(EXTRA)
	$(BIN)/python -m nin_gluon.train --preset quick $(ARGS)

# A test process for each processor, and so one thread for each process.
test: $(VENV)/.installed-$(BUILD),test
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

chaos: $(VENV)/.installed-$(BUILD),test
	$(BIN)/python -m tests.chaos.runs $(ARGS)
	$(BIN)/python -m tests.chaos.jobs $(ARGS)

fuzz: $(VENV)/.installed-$(BUILD),test
	$(BIN)/python -m tests.fuzz $(ARGS)

test-slow: $(VENV)/.installed-$(BUILD),test
	$(BIN)/python -m pytest -m slow $(ARGS)

docs: $(VENV)/.installed-$(EXTRA),docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

notebooks: $(VENV)/.installed-$(EXTRA),notebooks
	$(BIN)/jupyter lab notebooks

test-gpu-wheel:
	$(MAKE) .venv-gpu/.installed-gpu,test EXTRA=gpu
	.venv-gpu/bin/python -m pytest tests/test_gpu_wheel.py -rA $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras: the second time there is nothing to do.
$(VENV)/.installed-%: setup.py pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@
