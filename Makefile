# Each target sets up what it needs on a machine that has Python >= 3.11 and make: a .venv of its own, nothing system-wide.
PYTHON ?= python3
CONSTRAINTS ?= $(if $(CI),--constraint constraints.txt)
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)
BIN = .venv/bin

.PHONY: help demo install peers test check bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

demo: .venv/demo  ## train a GPT on 249 presidential messages, in about six minutes
	$(BIN)/gpt demo

install: .venv/dev  ## everything that tests and benches need, into .venv

peers: .venv/peers  ## build llama.cpp's Python binding for its tests; needs a C++ compiler, about ten minutes once

test: .venv/dev .venv/wheels  ## every test, offline, on the CPU
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: .venv/dev  ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py

bench: .venv/dev  ## training speed beside its peers, and start-up time
	$(BIN)/python -m bench

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gptrilogy needs Python >= 3.11, this is " + sys.version.split()[0] + "; say PYTHON=python3.12 or another")'
	$(PYTHON) -m venv .venv

.venv/demo .venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing gptrilogy[$(@F)] into .venv (a minute or two)"
	$(PIP) --editable '.[$(@F)]'
	@touch $@

# A real crawl that the tests read out of the wheel; pywb itself is not installed.
.venv/wheels: .venv/bin/python
	.venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $@ pywb==2.10.0
	@touch $@

.venv/peers: .venv/dev
	@echo "building llama.cpp's Python binding into .venv (about ten minutes, once)"
	$(PIP) 'llama-cpp-python>=0.3.16,<0.4'
	@touch $@
