# Every target makes the environment that it needs; see scripts/bootstrap.sh. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: acceptance-env browser help demo serve test check bench docs lock env env-dev clean

PYTHON := .venv/bin/python
RUN := $(PYTHON) -m
ONCE ?=
ARGS ?=
# Processes that run tests; most of the time they wait, so there may be more of them than cores.
WORKERS ?= 4
TESTS := $(RUN) pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
once := $(filter-out 0 no false off,$(ONCE))
CODE := src tests scripts $(wildcard bench)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

demo: env ## simulator and gateway on this machine: an image and two videos (ONCE=1: ends when they are there)
	@scripts/chromium.sh || echo "The demo goes on without a browser." >&2
	@exec $(RUN) jimeng_gateway demo $(if $(once),--once) $(ARGS)

serve: env ## the gateway for real use
	@exec $(RUN) jimeng_gateway serve

test: env-dev browser acceptance-env ## the whole test suite (ARGS="tests/unit -k settings" for a part)
	@$(TESTS) $(ARGS)

check: env-dev browser acceptance-env ## everything that must hold: format, lint, types, layers, generated pages, tests
	@$(RUN) ruff format --check $(CODE)
	@$(RUN) ruff check $(CODE)
	@$(RUN) mypy
	@.venv/bin/lint-imports --no-cache
	@scripts/docs.sh --check
	@$(TESTS)

bench: env-dev ## the benchmarks; figures as in docs/performance.md
	@$(PYTHON) bench/run.py $(ARGS)

docs: env-dev ## writes the generated pages anew
	@scripts/docs.sh

lock: ## resolves the dependencies anew (needs uv; UPGRADE=1 takes newer versions)
	@scripts/lock.sh $(if $(UPGRADE),--upgrade)

browser: ## Chromium, which signs videos; Debian's package if there is none
	@scripts/chromium.sh

env: ## the environment for running
	@scripts/bootstrap.sh runtime

env-dev: ## the environment for working on it
	@scripts/bootstrap.sh dev

acceptance-env: env-dev ## the client programs that tests/acceptance runs, in locked versions
	@scripts/acceptance.sh

clean: ## removes the environment, caches and builds; keeps ./data
	rm -rf .venv .acceptance .make dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
