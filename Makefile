# `make` lists every target with its sentence.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON := .venv/bin/python
UV := $(shell sed -n 's/^uv==/uv==/p' requirements.in)
.PHONY: help setup check style types layers test fast long lock benchmarks attainable picture schemas format clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup:  ## set up the environment in .venv
	@./submit.sh setup

check: style types layers test  ## before a commit: format, lint, types, layers, tests (of which CI runs the tests)

style: setup  ## is everything formatted, and free of lint?
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

format: setup  ## format everything, and mend the lint that can be mended
	$(PYTHON) -m ruff check --fix-only --exit-zero .
	$(PYTHON) -m ruff format .

types: setup  ## do the types fit (mypy)?
	$(PYTHON) -m mypy

layers: setup  ## do imports go downward only (import-linter)?
	PYTHONPATH=lib .venv/bin/lint-imports

test: setup  ## all tests but the long ones
	./submit.sh test

fast: setup  ## the tests that need neither Spark, nor training, nor a large population, on few examples: seconds
	SALUS_TEST_PROFILE=fast ./submit.sh test -m "not slow and not large and not spark and not browser" tests/unit

long: setup  ## the long suites, each saved when it ends; what passed on this commit is not run again (results/long.json)
	$(PYTHON) benchmarks/long.py

lock:  ## pin requirements.in in requirements.lock, with hashes (make lock UPGRADE=--upgrade takes the newest)
	@tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	python3.11 -m venv "$$tools/venv" && "$$tools/venv/bin/pip" install --quiet "$(UV)" && \
	"$$tools/venv/bin/uv" --quiet --no-config pip compile --generate-hashes --no-emit-index-url $(UPGRADE) \
		--python-version 3.11 --custom-compile-command 'make lock' --output-file requirements.lock requirements.in

benchmarks: setup  ## how fast, against the usual ways; results go to benchmarks/results
	$(PYTHON) benchmarks/simulate.py
	$(PYTHON) benchmarks/ingest.py
	$(PYTHON) benchmarks/timelines.py
	$(PYTHON) benchmarks/model_inputs.py
	$(PYTHON) benchmarks/labels.py
	$(PYTHON) benchmarks/export.py
	$(PYTHON) benchmarks/training_feed.py
	$(PYTHON) benchmarks/ranks.py
	$(PYTHON) benchmarks/scoring.py
	$(PYTHON) benchmarks/uci_readmission.py
	$(PYTHON) benchmarks/order_effect.py
	$(PYTHON) benchmarks/devices.py
	$(PYTHON) benchmarks/ablation.py

attainable: setup  ## fit the attainable model's coefficients on 500,000 simulated people
	$(PYTHON) benchmarks/attainable.py

picture: setup  ## run the demo in a scratch warehouse and photograph its report into docs/report.png
	$(PYTHON) docs/picture.py

schemas: setup  ## write the JSON Schemas of sources and tasks, from which editors complete them
	$(PYTHON) docs/schemas.py

clean:  ## remove what the tools leave, but neither .venv nor the warehouse
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse metastore_db derby.log lib/*.egg-info
