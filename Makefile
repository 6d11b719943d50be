# Each target sets up what it needs in .venv, on a machine that has Python >= 3.11, make and pip. `make help` lists them.
#
# Knobs: PYTHON=python3.12   the interpreter that .venv is made of
#        TORCH_INDEX=URL     where to get torch, e.g. https://download.pytorch.org/whl/cpu, which is 2 GB smaller
#        WORKERS=2           test processes; otherwise one per core, at most 8
#        ARGS="-k store"     more arguments for pytest
#        ROUNDS=10           how often `make fuzz` goes through the properties

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell \
	$(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))))
TORCH_INDEX ?=
WORKERS ?= auto
ARGS ?=
ROUNDS ?= 10

# Every path below is relative, so that a checkout in a folder whose name has spaces works too.
BIN := .venv/bin
CODE = $(wildcard src tests benchmarks examples)
RUN := $(BIN)/python -m

.PHONY: help demo demo-cluster test fuzz check fix bench bench-scheduling clean
.DELETE_ON_ERROR:

.DEFAULT_GOAL := help
help:
	@echo 'make demo    train a network on real digits, serve it, ask it, on this machine'
	@echo 'make demo-cluster  three machines become one, one dies, everything goes on (as root)'
	@echo 'make test    the whole test suite'
	@echo 'make fuzz    look for counterexamples to the properties, with other examples in each round'
	@echo 'make check   format, lint, types, import contracts and house rules'
	@echo 'make fix     format, mend what ruff can mend, and rewrite what documents take from the code'
	@echo 'make bench   every benchmark; writes docs/benchmarks.md'
	@echo 'make bench-scheduling  those of the scheduler alone, on public traces'
	@echo 'make clean   remove .venv and every cache'

demo: .venv/.ready-demo
	@$(BIN)/python examples/digits/demo.py

demo-cluster: .venv/.ready-cluster
	@$(BIN)/python examples/cluster/demo.py

test: .venv/.ready-dev
	@echo '== the test suite'
	@$(RUN) pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal --session-timeout 3600 $(ARGS) || { \
		[ $$? = 1 ] && echo '== some failed beside others; those again, one at a time (each is worth an issue, even if it passes now)' && \
		$(RUN) pytest -n 0 --last-failed --last-failed-no-failures none --session-timeout 1200; }

fuzz: .venv/.ready-dev
	@for round in $$(seq $(ROUNDS)); do echo "== round $$round"; \
		$(RUN) pytest -n $(WORKERS) --maxprocesses 8 -m hypothesis --hypothesis-profile fuzz $(ARGS) || exit 1; done

check: .venv/.ready-dev
	@echo '== format'
	@$(RUN) ruff format --check --quiet $(CODE)
	@echo '== lint'
	@$(RUN) ruff check --quiet $(CODE)
	@echo '== types'
	@$(RUN) mypy --strict $(CODE)
	@echo '== import contracts and house rules'
	@$(RUN) pytest tests/test_imports.py tests/test_tidy.py

fix: .venv/.ready-dev
	@$(RUN) ruff format --quiet $(CODE)
	@$(RUN) ruff check --quiet --fix $(CODE)
	@$(RUN) tests.tidy.codemap
	@$(RUN) tests.tidy.pages
	@$(RUN) tests.tidy.api_page

bench: .venv/.ready-dev
	@$(RUN) benchmarks

bench-scheduling: .venv/.ready-dev
	@$(RUN) benchmarks scheduling scheduling_events scheduling_traces scheduling_classes scheduling_simulation scheduling_control_plane

clean:
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .lepton-demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than pyproject.toml once everything that it names is installed; an interrupted run leaves none.
.venv/.ready-demo: pyproject.toml | $(BIN)/python
	@echo '== installing lepton-ai and what the demo needs into .venv (once; a few minutes)'
	@$(call install_torch)
	@$(call install,demo)
	@touch $@

.venv/.ready-cluster: pyproject.toml .venv/.ready-demo
	@echo '== installing what a cluster needs into .venv (once)'
	@$(call install,demo$(comma)cluster)
	@touch $@

.venv/.ready-dev: pyproject.toml .venv/.ready-demo
	@echo '== installing the tools of the tests into .venv (once)'
	@$(call install,demo$(comma)dev)
	@touch $@

comma := ,

# pip even where there is uv: uv does not read pip's configuration, where a machine may say where its torch comes from.
# -qq hides warnings and shows errors.
install_torch = $(RUN) pip install -qq --disable-pip-version-check \
	$(if $(TORCH_INDEX),--index-url '$(TORCH_INDEX)') "$$($(BIN)/python -c "$$FIND_TORCH")"

# uv where it exists, since it is several times faster; pip where there is no uv, or where uv fails.
install = if command -v uv >/dev/null 2>&1 && uv pip install --quiet --python $(BIN)/python --editable '.[$(1)]'; \
	then :; else $(RUN) pip install -qq --disable-pip-version-check --editable '.[$(1)]'; fi

# The version of torch is written in pyproject.toml alone.
define FIND_TORCH
import tomllib
extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']
print(next(line for line in extras['demo'] if line.startswith('torch==')))
endef
export FIND_TORCH

# Debian's python3 without python3-venv cannot put pip into a new environment; a pip >= 22.3 can from outside.
$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Lepton AI needs Python 3.11 or later, and none is on PATH.' \
		'Install one, or name it: make PYTHON=/path/to/python3.12' >&2; exit 2; }
	@echo '== making .venv with $(PYTHON)'
	@$(PYTHON) -m venv --clear .venv 2>/dev/null || { $(PYTHON) -m venv --clear --without-pip .venv \
		&& $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
