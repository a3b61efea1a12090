# `make train` and `make test` need Python 3.10 to 3.13 and nothing else.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= test

.PHONY: train test quick docs clean

train: $(VENV)/installed-train
	$(VENV)/bin/python train.py

test: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/python -m pytest -q --durations=10

quick: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/python -m pytest -q -m "not slow"

# The documentation site, in site/; a warning is an error.
docs: $(VENV)/installed-docs
	$(VENV)/bin/python -m mkdocs build --strict

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: setup.cfg $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
