PYTHON ?= python3
VERSION ?= 2.16.2
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
OLD := .venv-tf-$(VERSION)
TENSORFLOW := $(if $(filter Darwin,$(shell uname -s)),tensorflow,tensorflow-cpu)
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: help demo test lint docs bench test-tensorflow clean

help:
	@echo "make demo                             run unslow on a slow example program"
	@echo "make test                             lint, format and type checks, and all tests"
	@echo "make docs                             write docs/causes.md from the catalogue's pages"
	@echo "make bench                            what watching costs, how fast check reads, what fixes and native ops give"
	@echo "make test-tensorflow VERSION=2.16.2   the tests that need TensorFlow, with that version"
	@echo "make clean                            remove what the other targets made"
	@echo "PYTHON=python3.12 chooses the interpreter (3.10 to 3.13)."

# What users install, and nothing else.
$(VENV)/user.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[cpu]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/user.stamp
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[cpu,dev]'
	touch $@

demo: $(VENV)/user.stamp
	$(BIN)/python examples/make_data.py
	$(BIN)/unslow run examples/resize_argmax.py

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/make.py --check
	$(BIN)/unslow check src

test: lint
	$(BIN)/python examples/make_data.py
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

docs: $(VENV)/user.stamp
	$(BIN)/python docs/make.py

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[cpu,bench]'
	touch $@

bench: $(VENV)/bench.stamp
	$(BIN)/python examples/make_data.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/check_speed.py
	$(BIN)/python benchmarks/fixed_examples.py
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/order.py
	$(BIN)/python benchmarks/native.py

$(OLD)/stamp: pyproject.toml
	test -x $(OLD)/bin/python || $(PYTHON) -m venv $(OLD)
	$(OLD)/bin/python -m pip install $(PIP_FLAGS) -e '.[dev]' '$(TENSORFLOW)==$(VERSION)'
	touch $@

test-tensorflow: $(OLD)/stamp
	$(OLD)/bin/python examples/make_data.py
	$(OLD)/bin/python -m pytest -n $(JOBS) -m tensorflow

clean:
	rm -rf .venv .venv-* build dist examples/data .mypy_cache .pytest_cache .ruff_cache .unslow_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
