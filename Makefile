# Each target sets up what it needs: Python >= 3.11 with venv, make and git are enough.
#
#   make demo       a tour of the library
#   make test       the tests                  (PYTEST_ARGS="-m 'not slow'" for the quick ones)
#   make lint       style, format and types
#   make bench      the benchmarks             (BENCH_ARGS="...")
#   make tutorials  all tutorials at full length, as tests (make test runs them short)
#   make docs       the documentation site, tutorials executed, in tutorials/_build/html
#   make notebooks  each tutorial as .ipynb, in tutorials/_build/notebooks
#   make peers      ask other libraries again what the tutorials say that they answer
#   make clean      remove everything that make and the tools made
#   make help       this text
#
# The virtual environment stands in .venv; PYTHON=/path/to/python picks the Python it is made with.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq --constraint constraints.txt
PYTHON ?= python3 python3.13 python3.12 python3.11 python3.14
PYTEST_ARGS ?= -n 2
BENCH_ARGS ?=

# One stamp for each thing that was installed, so that a second run installs nothing.
MADE := $(VENV)/.made
TORCH := $(VENV)/.torch
FOR_DEMO := $(VENV)/.demo
FOR_TEST := $(VENV)/.test
PEERS := dowhy pymc

# An environment is lost when its Python was removed or the folder moved (it holds absolute paths).
WORKS := $(shell $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& grep -qF ' $(CURDIR)/$(VENV)' $(VENV)/pyvenv.cfg && echo yes)
ifneq ($(WORKS),yes)
.PHONY: $(MADE)
endif

.PHONY: help demo test lint bench tutorials docs notebooks peers clean
.NOTPARALLEL: # two installations at once would spoil the environment

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

demo: $(FOR_DEMO)
	$(PY) -m pyrocausal demo

test: $(FOR_TEST)
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(FOR_TEST)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

bench: $(FOR_TEST)
	$(PY) -m benchmarks $(BENCH_ARGS)

tutorials: $(FOR_TEST)
	TUTORIALS=full $(PY) -m pytest -m tutorial $(PYTEST_ARGS)

# Warnings are errors. What was executed is kept until the library or a tutorial changes.
docs: $(FOR_TEST)
	$(PY) -m sphinx -q -W --keep-going -b html tutorials tutorials/_build/html

# The notebooks import what the tutorials share.
notebooks: $(FOR_TEST)
	$(PY) -m jupytext --quiet --to _build/notebooks//ipynb --set-kernel python3 \
		tutorials/[0-9][0-9]_*.py
	cp -r tutorials/lesson.py tutorials/peer*.py tutorials/peers tutorials/_build/notebooks

# What they print is kept in tutorials/peers; PyTensor compiles its programs in build/ too.
peers: $(PEERS:%=build/peers/%/.made)
	for peer in $(PEERS); do \
		PYTENSOR_FLAGS=base_compiledir=$(CURDIR)/build/peers/pytensor \
			build/peers/$$peer/bin/python tutorials/peers/run.py $$peer || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache
	rm -rf pyrocausal-demo tutorials/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@for python in $(PYTHON); do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python >= 3.11 with the module venv among: $(PYTHON)." >&2; \
		echo "Install one (on Debian and Ubuntu: python3 and python3-venv)," >&2; \
		echo "or name one: make PYTHON=/path/to/python ..." >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$found --version) ..."; \
	rm -rf $(VENV) && $$found -m venv $(VENV)
	@touch $@

# torch first and alone: it is by far the largest, and constraints.txt says which.
$(TORCH): $(MADE) constraints.txt
	$(PIP) torch
	@touch $@

$(FOR_DEMO): $(TORCH) pyproject.toml Makefile
	$(PIP) --editable '.[plot]'
	@touch $@

$(FOR_TEST): $(TORCH) pyproject.toml Makefile
	$(PIP) --editable '.[arviz,dev,distributed,docs,explore,flows,plot]'
	@touch $@

# Each peer has an environment of its own.
build/peers/%/.made: tutorials/peers/versions.txt | $(MADE)
	rm -rf $(@D) && $(PY) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -qq \
		--constraint tutorials/peers/versions.txt $*
	@touch $@
