# The two commands of a newcomer are `make demo` and `make test`; each sets itself up in .venv.
PYTHON ?= python3
VENV := .venv
SEED ?= 1
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
BIN := $(VENV)/bin
READY := $(VENV)/ready
RUN := $(BIN)/python

.PHONY: help setup demo test check format lint types clean-demo
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## install everything into .venv

$(READY): pyproject.toml
	@echo "Installing into $(VENV): about 2 GB, one or two minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

demo: demo/table.txt ## synthetic CCPD -> tables -> training -> evaluation -> ONNX -> readings, in 11 minutes on 2 cores
	@cat demo/table.txt

demo/ccpd/done: $(READY)
	$(BIN)/alpr synth ccpd --output demo/ccpd --scenes 900 --seed 2026 --workers 2
	$(BIN)/alpr data ccpd --dataset-path demo/ccpd --categories ccpd_base --categories ccpd_green
	@touch $@

demo/%/done: demo/ccpd/done
	$(RUN) -u -m alpr train experiment=demo_$* seed=$(SEED) 2>&1 | while IFS= read -r line; do echo "$*: $$line"; done
	@touch $@

# Each network has one core of two, which takes half the time of one after the other on both.
demo/trained: demo/ccpd/done
	@$(MAKE) --no-print-directory --jobs 2 demo/detector/done demo/recogniser/done
	@touch $@

demo/bundle/card.json: demo/trained
	$(BIN)/alpr export detector=demo/detector recogniser=demo/recogniser output=demo/bundle images=demo/ccpd/ccpd_green/test

demo/evaluation/report.json: demo/bundle/card.json
	$(BIN)/alpr evaluate bundle=demo/bundle data.manifest='[demo/ccpd/ccpd_base/alpr_dataset.csv,demo/ccpd/ccpd_green/alpr_dataset.csv]' data.split=test output=demo/evaluation > demo/evaluation.txt

demo/readings.jsonl: demo/evaluation/report.json
	$(BIN)/alpr predict demo/ccpd/ccpd_green/test --bundle demo/bundle --threads 1 --annotate demo/annotated --output $@

demo/table.txt: demo/readings.jsonl
	$(RUN) tools/demo_table.py --report demo/evaluation/report.json --readings demo/readings.jsonl --annotated demo/annotated --output $@

test: $(READY) ## the whole fast test suite
	OMP_NUM_THREADS=1 $(BIN)/pytest --quiet --numprocesses 2 --dist loadfile

# Whether the lower bounds of pyproject.toml hold: all but torch and torchvision in the lowest versions they allow.
LOWEST := .venv-lowest
.PHONY: check-lowest
check-lowest: ## the fast tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/pip install --quiet --no-deps 'torch>=2.6,<2.14' 'torchvision>=0.21,<0.29'
	$(LOWEST)/bin/pip freeze | grep -E '^torch(vision)?==' > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
	  --constraint $(LOWEST)/torch.txt --editable '.[dev]'
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest --quiet --numprocesses 2 --dist loadfile $(TESTS)

# Playwright is no part of the extra `dev`, as it brings a browser's driver of 160 MB.
.PHONY: test-browser
test-browser: $(READY) ## the studio's page in Chromium, where that is installed
	$(BIN)/pip install --quiet 'playwright>=1.45'
	OMP_NUM_THREADS=1 $(BIN)/pytest --quiet tests/studio/test_browser.py

check: format-check lint types documents test ## what CI runs: format, lint, types, documents, tests

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: format-check
format-check: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY) ## look for mistakes without running anything
	$(BIN)/ruff check .

types: $(READY) ## check the types of alpr/
	$(BIN)/mypy

.PHONY: documents
documents: $(READY) ## check links and spelling of the documents; the tests run their commands
	$(RUN) tools/check_documents.py

# Zensical builds within build/ alone; the whole site is then put in its place.
.PHONY: docs
docs: $(READY) ## the documentation site: site/index.html
	$(BIN)/pip install --quiet --editable '.[docs]'
	$(RUN) tools/make_pages.py
	$(BIN)/zensical build --clean --strict --config-file build/mkdocs.yml
	rm -rf site
	mv build/site site
	@echo "Open site/index.html; for search serve it: $(BIN)/python -m http.server --directory site"

clean-demo: ## forget the demo
	rm -rf demo
