PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s%s\n", $$1, $$2}' Makefile

venv: $(STAMP) ## create .venv and install the project in it

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "error: $(PYTHON) not found: install CPython 3.11 or newer, or set PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$("$(PYTHON)" --version 2>&1) is too old: set PYTHON to CPython 3.11 or newer" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[simulation,test]"
	@touch $@

demo: $(STAMP) ## run the demonstration and write its report
	$(VENV)/bin/python -m simulations.demo

test: $(STAMP) ## run the tests
	$(VENV)/bin/python -m pytest

lint: $(STAMP) ## check style, format and types
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy deepedge_flwr simulations

clean: ## remove .venv and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
