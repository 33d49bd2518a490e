# Words for make; `make` alone lists them. Settings on the command line: PORT=9000, DATA=…, FROM=…

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/bash

PY := .venv/bin/python
STAMP := .venv/.set-up
WORKERS ?= 3

# Only a PORT given to make itself: many machines have an unrelated PORT in the environment.
ifeq ($(origin PORT),command line)
export PRESS_PORT := $(PORT)
endif

# Nor this, which some containers set: what is compiled once is kept, or every process compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test test-fast story bench check format faults fresh mutants prove-compose sbom up down backup restore clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)$$/\1\t\2/' \
	  | while IFS=$$'\t' read -r word sentence; do printf '  make %-10s %s\n' "$$word" "$$sentence"; done

setup: $(STAMP) ## Create the environment (.venv) and fetch the web assets; does nothing when they are there
	@echo 'the environment is up to date'

$(STAMP): infra/local/setup.sh requirements-bootstrap.txt requirements-dev.txt package-lock.json
	@infra/local/setup.sh
	@touch $@

run: $(STAMP) ## Start everything with demo data; Ctrl-C stops it (PORT=9000 moves all ports)
	@exec $(PY) -m infra.local.run

test: $(STAMP) ## All tests, in every tier, with what they need started by themselves
	@$(PY) -m infra.local.debian chromium prometheus prometheus-alertmanager docker-compose fonts-noto-core
	@$(PY) -m pytest -q -n $(WORKERS) --durations=10 --durations-min=1

test-fast: $(STAMP) ## The unit tests: no server, no browser
	@$(PY) -m pytest -q tests/unit

story: $(STAMP) ## The whole story in a browser against a fresh stack, one line a step with its figures
	@$(PY) -m infra.local.debian chromium fonts-noto-core
	@$(PY) -m pytest -q -s -p no:logging -m story tests/e2e

bench: $(STAMP) ## Throughput and latency of the hot paths, each beside its floor
	@$(PY) -m infra.local.debian wrk
	@$(PY) -m benchmarks

check: $(STAMP) ## Format, lint, types, import contracts, and the tests of the architecture
	@$(PY) -m infra.local.debian docker-compose prometheus-alertmanager
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) -m pytest -q tests/architecture

format: $(STAMP) ## Format the code and mend what the linter can mend
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

faults: $(STAMP) ## The fault tests: processes killed at every step, nothing lost or doubled
	@$(PY) -m pytest -q --durations=10 tests/faults

mutants: $(STAMP) ## Mutation testing of rules, money, windows, tokens and guards; the survivors are listed
	@.venv/bin/mutmut run; .venv/bin/mutmut results

fresh: $(STAMP) ## Prove `make run` and `make test` on bare Debian 12 and 13, as root and as a user (needs root; an hour)
	@$(PY) -m infra.fresh $(FRESH)

prove-compose: $(STAMP) ## The deployment proved without Docker: the real image, a namespace for every container, a purchase, outages (as root)
	@$(PY) -m infra.local.debian buildah debootstrap caddy prometheus prometheus-alertmanager
	@$(PY) -m pytest -q tests/architecture/test_compose.py -k running_proxy
	@$(PY) -m infra.prove

sbom: $(STAMP) ## The component lists (CycloneDX) of what production runs, into .local/sbom
	@$(PY) -m infra.local.sbom

up: ## Start production with docker compose; the first time it asks what only you know (DEMO=yes: a rehearsal)
	@DEMO=$(DEMO) infra/local/compose.sh up --detach --wait

down: ## Stop what `make up` started; the volumes are kept
	@infra/local/compose.sh down

backup: $(STAMP) ## Write databases, streams and secrets of the (stopped) local run to .local/backups
	@$(PY) -m infra.local.backup save

restore: $(STAMP) ## Put a backup back: make restore FROM=.local/backups/<time>
	@$(PY) -m infra.local.backup restore $(FROM)

clean: ## Remove the environment and the caches; the data of the local run too with DATA=yes
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .local/assets .local/tools
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@if [ "$(DATA)" = yes ]; then rm -rf .local; echo "removed the environment, the caches and the data"; \
	  else echo "removed the environment and the caches; the data in .local is kept (DATA=yes removes it)"; fi
