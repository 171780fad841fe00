# The one list of commands; CI runs the same ones. `make` alone prints it.
#
# GNU make's own functions split a path at its spaces, so nothing here uses one that could hold any: every
# path is relative to this folder, and the shell quotes the rest.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Another Python than the first suitable one: make PYTHON=python3.13 demo
PYTHON ?=
# More arguments for pytest: make test PYTEST_ARGS='-k schema'
PYTEST_ARGS ?=
# The tests wait much of their time, so they run side by side, two processes more than there are cores, which
# share them out by tests/support/distribution.py. One after another: make test TEST_PROCESSES=0
TEST_PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))
# Count which lines the tests run, half more work, and fail below the limit in pyproject.toml:
# make test COVERAGE=yes
COVERAGE ?=
# Longer than half a minute: make fuzz FUZZ_SECONDS=3600
FUZZ_SECONDS ?= 30
# How long faults are injected, and which ones: make chaos MINUTES=1 SEED=7
MINUTES ?=
SEED ?=
# More arguments for the resolver: make lock LOCK_ARGS=--upgrade
LOCK_ARGS ?=

# A stamp's name says what is installed and where: a changed lock asks for a new environment, and so does a
# clone that was moved (the scripts in .venv/bin hold absolute paths). Times of files say neither after a
# checkout.
locked := $(shell { pwd; cat requirements.lock requirements-dev.lock; } | cksum | cut -d ' ' -f 1)
project := $(shell { pwd; cat pyproject.toml; } | cksum | cut -d ' ' -f 1)
runtime := .venv/.runtime-$(locked)
seeder := .venv/.seeder-$(locked)-$(project)
dev := .venv/.dev-$(locked)

# For tests that need the frontend's own tools; npm's lock would name a host on every entry.
node_packages := typescript@7.0.2 axe-core@4.14.1

pip := .venv/bin/python -m pip --disable-pip-version-check --no-input install

# $(call quietly,command): shows the command's output only when it fails.
quietly = { $(1); } >.venv/install.log 2>&1 || { status=$$?; cat .venv/install.log >&2; \
	echo "The installation failed; the reason is above. Mend it and type the same again." >&2; \
	exit $$status; }

# Running embedded servers use the programs in .venv: these must not vanish under them. Without -ww ps cuts a
# line to the width in COLUMNS, which many shells export.
idle = home="$${SEEDER_HOME:-.seeder}"; for server in postgres redis; do \
	keeper="$$(sed -n 's/.*"keeper": \([0-9]*\).*/\1/p' "$$home/$$server.json" 2>/dev/null)"; \
	if [ -n "$$keeper" ] && ps -ww -p "$$keeper" -o args= | grep -qF "$$server of "; then \
		echo "The embedded servers in $$home are running. Stop them first: Ctrl-C where 'make up' runs." >&2; \
		exit 1; \
	fi; done

.PHONY: help
help: ## Print this list
	@echo "Commands (make NAME):"
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "  %-11s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(seeder) ## Refresh the demo's reports on embedded servers, show what happened, stop
	@.venv/bin/seeder demo

.PHONY: up
up: $(seeder) ## Run servers, worker, beat, Flower and the pages until Ctrl-C
	@.venv/bin/seeder up --demo

.PHONY: test
test: env ## Run all tests, quick ones first (COVERAGE=yes: and count lines)
	@$(if $(COVERAGE),.venv/bin/python -m coverage erase)
	@# Where Python must write no bytecode, each of many processes would compile seeder anew.
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python $(if $(COVERAGE),-m coverage run) -m pytest \
		--numprocesses $(TEST_PROCESSES) --maxprocesses 6 --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)
	@$(if $(COVERAGE),.venv/bin/python -m coverage combine --quiet)
	@$(if $(COVERAGE),.venv/bin/python -m coverage report)

.PHONY: test-fast
test-fast: env ## Run the tests that start no server and no process
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -m fast --hypothesis-profile fast -p no:schemathesis \
		--ignore tests/web/test_schemathesis.py $(addprefix --ignore tests/,browser embedded supervision workers) \
		--numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: env ## Fuzz the guard for half a minute (FUZZ_SECONDS) with atheris
	@$(call quietly,$(pip) --require-hashes --requirement requirements-fuzz.lock)
	@.venv/bin/python tests/security/fuzz.py $(FUZZ_SECONDS)

.PHONY: bench
bench: env ## Measure throughput against a bare psycopg2 loop
	@.venv/bin/python -m benchmarks

.PHONY: chaos
chaos: env ## Break everything around seeder for some MINUTES (3), then see whether all is right
	@PYTHONPATH=tests .venv/bin/python -m chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

.PHONY: soak
soak: env ## Try 500 random histories to fool what calls a report unchanged
	@SEEDER_TEST_HISTORIES=250 .venv/bin/python -m pytest -q tests/matviews/freshness/test_histories.py $(PYTEST_ARGS)

.PHONY: lint
lint: env ## Check format, style and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

.PHONY: format
format: env ## Format the code and mend what can be mended
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

.PHONY: env
env: $(seeder) $(dev) ## Make .venv with everything the tests and tools need
	@true

# uv resolves for every Python and system at once, which pip can't. Its own uv.lock names a host on every
# entry, these two files name none. The builder is locked as well, or each install would fetch its newest.
.PHONY: lock
lock: ## Pin all packages anew: requirements.lock and requirements-dev.lock
	@tools="$$(mktemp -d)" && trap 'rm -rf "$$tools"' EXIT && $(find_python) && "$$python" -m venv "$$tools" \
	&& "$$tools/bin/python" -m pip --disable-pip-version-check --quiet install uv \
	&& "$$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		>"$$tools/build.in" \
	&& resolve() { "$$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header "$$@" pyproject.toml "$$tools/build.in"; } \
	&& resolve $(LOCK_ARGS) --extra dev --output-file requirements-dev.lock >/dev/null \
	&& resolve --constraints requirements-dev.lock --output-file requirements.lock >/dev/null

.PHONY: clean
clean: ## Remove .venv and all caches, keep the data in .seeder
	@$(idle)
	@rm -rf .venv build dist ./*.egg-info .coverage .coverage.* htmlcov \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name .seeder -prune -o -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: clean-data
clean-data: ## Delete .seeder: the embedded database, its history and queue
	@SEEDER_HOME=.seeder; $(idle)
	@# Root's servers may keep their data elsewhere, see seeder/embedded/place.py.
	@elsewhere="$$(sed -n 's|.*"folder": "\(/var/lib/seeder/[^"]*\)".*|\1|p' .seeder/embedded.json 2>/dev/null)"; \
	if [ -n "$$elsewhere" ]; then rm -rf "$$elsewhere"; fi; rm -rf .seeder

# --- the environment -------------------------------------------------------------------------------------

# Debian's python3 comes without ensurepip, so both are asked before anything is made.
find_python = \
	python= reason="$(if $(PYTHON),$(PYTHON) can't be run.,There is no python3 on the PATH.)"; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11); do \
		version="$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue; \
		if ! "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
			reason="$$candidate is Python $$version."; \
		elif ! "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then \
			reason="$$candidate can't make environments (on Debian: apt install python3-venv)."; \
		else python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "seeder needs Python 3.11 or newer. $$reason Name another: make PYTHON=/path/to/python3.12 …" >&2; \
		exit 1; \
	fi

$(runtime):
	@$(idle)
	@$(find_python); \
	echo "Making .venv with Python $$version and the packages of requirements.lock (about a minute, once) ..."; \
	mkdir -p .venv && "$$python" -m venv --clear .venv
	@$(call quietly,$(pip) --require-hashes --requirement requirements.lock)
	@touch $@

$(seeder): $(runtime)
	@rm -f .venv/.seeder-*
	@$(call quietly,$(pip) --no-deps --no-build-isolation --editable .)
	@touch $@

$(dev): $(runtime)
	@echo "Adding the packages of requirements-dev.lock for tests and tools ..."
	@$(call quietly,$(pip) --require-hashes --requirement requirements-dev.lock)
	@if command -v npm >/dev/null; then \
		$(call quietly,npm install --prefix .venv/node --no-package-lock --no-audit --no-fund $(node_packages)); \
	else echo "There is no npm, so the tests neither compile the TypeScript types nor check the pages with axe."; fi
	@touch $@
