# make serve: the server with sample cases · make test: the tests against the installed wheel · make demo: one report

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.SUFFIXES:

PYTHON ?= python3
STUDIES ?= studies
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
SOURCES := $(shell find models apps -type f -not -name '*.pyc') setup.py pyproject.toml LICENSE
# The tests import the wheel, never the tree.
# ITK's types warn when the interpreter ends, after pytest's last line.
QUIET_ITK := PYTHONWARNINGS="ignore:builtin type:DeprecationWarning"
# Servers and the processes that train share the cores: torch's threads would wait for each other.
ALONE := env -u PYTHONPATH $(QUIET_ITK) OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} LIVERLABEL_TEST_WHEEL=1 $(BIN)/python -m pytest
# Programs of Debian are expected where the public cases are.
MARKS ?= not slow and not gpu$(if $(LIVERLABEL_DATA),, and not system)

# 3D Slicer's scene without its windows needs the Python that 3D Slicer has.
PYTHON_SLICER ?= $(shell for p in python3.12 "$$HOME"/.pyenv/versions/3.12*/bin/python; do \
  if "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2> /dev/null; then echo "$$p"; break; fi; done)
SLICER_VERSION := $(patsubst slicer-core==%,%,$(shell grep ^slicer-core== requirements-slicer.lock))
OTHER_SLICERS := 5.11.0.6 5.13.31053.0
SLICER_TESTS := -m pytest tests/slicer_mrml --confcutdir=tests/slicer_mrml

.PHONY: help env wheel serve test test-scene test-slicer test-slow test-real test-system test-gpu demo bench docs lint clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

env: $(STAMPS)/env ## the environment of requirements.lock in .venv

$(STAMPS)/env: requirements.lock requirements-no-deps.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"LiverLabel needs Python 3.11 or 3.12; $(PYTHON) is {v[0]}.{v[1]}. Run: make PYTHON=python3.11 …")'
	@mkdir -p $(STAMPS)
	@test -x $(BIN)/python || { echo "Making the environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing $$(grep -c == requirements.lock) packages, about three minutes the first time (log: $(STAMPS)/pip.log)"
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock 2>&1 | tee $(STAMPS)/pip.log \
	  | awk '/^(Collecting|Requirement already)/ {n++; name = /^Coll/ ? $$2 : $$4; printf "\r  %3d  %-50s", n, substr(name, 1, 50); fflush()} \
	         /^Installing collected/ {printf "\r  unpacking them, the longest part%30s", ""; fflush()} END {print ""}' \
	  || { tail -20 $(STAMPS)/pip.log; echo "The packages could not be installed; see $(STAMPS)/pip.log."; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-no-deps.lock
	@touch $@

wheel: $(STAMPS)/wheel ## our package, built and installed

$(STAMPS)/wheel: $(STAMPS)/env $(SOURCES)
	@echo "Building and installing LiverLabel"
	@rm -rf build $(STAMPS)/dist && mkdir -p $(STAMPS)/dist
	@$(BIN)/python -m pip wheel --disable-pip-version-check -q --no-deps --no-build-isolation -w $(STAMPS)/dist .
	@rm -rf build liverlabel.egg-info
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --force-reinstall $(STAMPS)/dist/*.whl
	@touch $@

serve: wheel ## make sample cases if there are none, and start the server
	@exec env -u PYTHONPATH $(BIN)/liverlabel serve --studies $(STUDIES) --host $(HOST) --port $(PORT)

test: wheel ## the tests; with LIVERLABEL_DATA set also those on public cases and with Debian's programs
	@echo "Testing the installed wheel ($(MARKS))"
	@$(ALONE) -m "$(MARKS)"
	@$(MAKE) test-scene

test-scene: ## the part of make test that uses the scene of 3D Slicer 5.12; PYTHON_SLICER=… names a Python 3.12
	@if [[ -z "$(PYTHON_SLICER)" ]]; then \
	  echo "No Python 3.12 found, so the tests in 3D Slicer's scene are left out; name one with PYTHON_SLICER=…"; \
	else $(MAKE) $(STAMPS)/slicer-$(SLICER_VERSION) PYTHON_SLICER="$(PYTHON_SLICER)" && \
	  echo "Testing in the scene of slicer-core $(SLICER_VERSION)" && \
	  env -u PYTHONPATH LIVERLABEL_SERVER_PYTHON="$(abspath $(BIN)/python)" .venv-slicer/bin/python $(SLICER_TESTS); fi

test-slicer: ## the tests in the scenes of 3D Slicer 5.10 and of the preview
	@[[ -n "$(PYTHON_SLICER)" ]] || { echo "No Python 3.12 found; name one with PYTHON_SLICER=…"; exit 1; }
	@for version in $(OTHER_SLICERS); do $(MAKE) $(STAMPS)/slicer-$$version PYTHON_SLICER="$(PYTHON_SLICER)"; \
	  echo "Testing in the scene of slicer-core $$version"; \
	  env -u PYTHONPATH .venv-slicer-$$version/bin/python $(SLICER_TESTS); done

# The other versions bring their own VTK.
$(STAMPS)/slicer-%: requirements-slicer.lock
	@mkdir -p $(STAMPS)
	@venv=.venv-slicer$(if $(filter $(SLICER_VERSION),$*),,-$*); \
	echo "Making the environment of slicer-core $* in $$venv (log: $@.log)"; \
	"$(PYTHON_SLICER)" -m venv --clear $$venv; \
	if [[ $* == $(SLICER_VERSION) ]]; then cp $< $@.txt; \
	else { grep -vE '^(slicer-core|vtk)==' $<; echo "slicer-core==$*"; } > $@.txt; fi; \
	$$venv/bin/python -m pip install --disable-pip-version-check -r $@.txt > $@.log 2>&1 \
	  || { tail -20 $@.log; echo "The packages could not be installed; see $@.log."; exit 1; }
	@touch $@

test-slow: wheel ## the tests that take long
	@$(ALONE) -m slow

test-real: wheel ## the tests on public cases; needs LIVERLABEL_DATA
	@$(ALONE) -m real

test-system: wheel ## the tests that need dcm2niix, Chromium or Orthanc
	@$(ALONE) -m system

test-gpu: wheel ## the tests that need a CUDA device
	@$(ALONE) -m gpu

demo: wheel ## simulate a liver, measure it, write demo/report.html
	@env -u PYTHONPATH $(BIN)/liverlabel demo --out demo

bench: wheel ## every benchmark, as JSON in benchmarks/results (some hours; benchmarks/nash.py alone takes half of one)
	@for script in $$(grep -l __main__ benchmarks/*.py); do \
	  if [[ -z "$$LIVERLABEL_DATA" ]] && grep -q LIVERLABEL_DATA $$script; then \
	    echo "$$script left out: it needs LIVERLABEL_DATA"; continue; fi; \
	  echo "$$script"; env -u PYTHONPATH LIVERLABEL_BENCH_OUT=benchmarks/results $(BIN)/python $$script > /dev/null; done

docs: wheel ## the pictures of the README and docs; needs Chromium
	@rm -rf $(STAMPS)/demo && env -u PYTHONPATH $(BIN)/liverlabel demo --out $(STAMPS)/demo > /dev/null
	@mkdir -p docs/pictures
	@chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1150,1335 --user-data-dir=$(STAMPS)/chromium \
	  --screenshot=docs/pictures/report-of-a-simulated-liver.png file://$(CURDIR)/$(STAMPS)/demo/report.html 2> /dev/null
	@env -u PYTHONPATH $(BIN)/python benchmarks/time_and_memory.py --plot docs/pictures/time-and-memory.png
	@$(MAKE) $(STAMPS)/slicer-$(SLICER_VERSION) PYTHON_SLICER="$(PYTHON_SLICER)"
	@env -u PYTHONPATH LIVERLABEL_SERVER_PYTHON="$(abspath $(BIN)/python)" LIVERLABEL_PICTURES=docs/pictures \
	  .venv-slicer/bin/python $(SLICER_TESTS) -q -k circle

lint: $(STAMPS)/env ## style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean: ## remove the environment and what was built; cases stay
	rm -rf $(VENV) .venv-slicer* $(STAMPS) build liverlabel.egg-info demo
