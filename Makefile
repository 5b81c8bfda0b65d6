# `make` alone says what there is. Needs GNU make, Python 3.11 or newer, Node 20 or newer with npm.

SHELL = /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

HOUSEHOLDS ?= all
SCHEDULES ?= 10000
OPERATIONS ?= 10000
ARGS ?=
PY := .venv/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check --no-input --require-hashes
COMPILE := $(PY) -m piptools compile -q --strip-extras --generate-hashes --no-emit-index-url \
	--no-emit-trusted-host --no-emit-find-links --no-header
PYTHONS := $(if $(PYTHON),'$(PYTHON)',python3 python3.13 python3.12 python3.11)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# Every folder of static/ with a package.json is built into static/dist/ under its own name.
FACES := $(patsubst static/%/package.json,%,$(wildcard static/*/package.json))
SHARED := $(shell test -d static/shared && find static/shared -type f)
export npm_config_cache := $(CURDIR)/.venv/npm
export npm_config_update_notifier := false

.PHONY: run test chaos steps long lint format lock build demo-real real-year clean help python runtime dev faces

run: build ## Start the shop in the foreground; PORT, DATA_DIR and so on come from the environment
	@exec $(PY) -m mall.serve --end-with-parent

test: build dev ## Run the tests; ARGS goes to pytest
	@$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

chaos: build dev ## Break the running shop in every way and judge it; ARGS="X2 X5" for some of them
	@$(PY) -m tests.chaos $(ARGS)

steps: dev ## Play redemptions with seeded faults at every outside call; SCHEDULES=N of them
	@$(PY) -m tests.stepper --schedules $(SCHEDULES) $(ARGS)

long: dev ## Live 10,000 operations beside the model on each database; OPERATIONS=N of them
	@PROGRAMME_OPERATIONS=$(OPERATIONS) $(PY) -m pytest -s -p no:cacheprovider tests/programme $(ARGS)

lint: dev ## Check style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: dev ## Put the code into its form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock: dev ## Make requirements.txt and requirements-dev.txt anew from pyproject.toml
	@$(COMPILE) -o requirements.txt pyproject.toml
	@$(COMPILE) --extra dev --allow-unsafe -c requirements.txt -o requirements-dev.txt pyproject.toml

build: python faces runtime ## Make all that `make run` needs, without starting it

demo-real: dev ## Play a year of real purchases into a shop; HOUSEHOLDS=N for a few of them only
	@$(PY) -m tests.real --households $(HOUSEHOLDS)

real-year: dev ## Live that year day by day, each night's jobs twice, in a new shop (DATA_DIR)
	@$(PY) -m flask --app app shop migrate
	@$(PY) -m tests.real.year --households $(HOUSEHOLDS)

clean: ## Remove all that was made, but not the data in var/
	@rm -rf .venv static/dist static/*/node_modules .coverage .hypothesis \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

# A Python that will do: .venv's own, else one with which .venv is made. Half of one is removed.
python:
	@if $(PY) -c '$(NEW_ENOUGH)' 2>/dev/null; then \
		{ cmp -s requirements.txt .venv/requirements.txt || $(PY) -m pip --version; } \
			>/dev/null 2>&1 && exit 0; \
	fi; \
	lacking=; \
	for python in $(PYTHONS); do \
		"$$python" -c '$(NEW_ENOUGH)' 2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { lacking=$$python; continue; }; \
		echo "Making .venv with $$("$$python" --version)."; \
		rm -rf .venv; \
		trap 'rm -rf .venv; exit 1' INT TERM HUP; \
		"$$python" -m venv .venv && exit 0; \
		rm -rf .venv; \
		echo "$$python could not make .venv; what it said is above." >&2; \
		exit 1; \
	done; \
	if test -n "$$lacking"; then \
		echo "$$lacking has no venv and ensurepip: install them" \
			"(Debian and Ubuntu: apt install python3-venv)." >&2; \
	else \
		echo "No Python 3.11 or newer was found$(if $(PYTHON), at PYTHON=$(PYTHON)): install one," \
			"or name it with make PYTHON=/path/to/python3." >&2; \
	fi; \
	exit 1

# What is installed is remembered as a copy of the lock file it came from.
runtime: python
	@cmp -s requirements.txt .venv/requirements.txt || { \
		echo "Installing what requirements.txt names."; \
		$(PIP) -r requirements.txt && cp requirements.txt .venv/requirements.txt; }

dev: runtime
	@cmp -s requirements-dev.txt .venv/requirements-dev.txt || { \
		echo "Installing what requirements-dev.txt names."; \
		$(PIP) -r requirements-dev.txt && cp requirements-dev.txt .venv/requirements-dev.txt; }

faces: $(FACES:%=static/dist/%/.built)

define face
static/$(1)/node_modules/.installed: static/$(1)/package.json static/$(1)/package-lock.json
	@command -v node >/dev/null || { \
		echo "No node was found: install Node 20 or newer." >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
		echo "Node is $$$$(node --version), but must be 20 or newer." >&2; exit 1; }
	@command -v npm >/dev/null || { \
		echo "No npm was found: install the one that belongs to Node." >&2; exit 1; }
	@echo "Installing what static/$(1)/package-lock.json names."
	@cd static/$(1) && npm ci --silent --no-audit --no-fund
	@mkdir -p $$(@D) && touch $$@

static/dist/$(1)/.built: static/$(1)/node_modules/.installed $(SHARED) \
		$(shell find static/$(1) -name node_modules -prune -o -type f -print)
	@echo "Building static/$(1)."
	@cd static/$(1) && npm run --silent build
	@mkdir -p $$(@D) && touch $$@
endef
$(foreach name,$(FACES),$(eval $(call face,$(name))))
