# Everything runs in .venv, made on first use and kept. Choose the interpreter with PYTHON=...

PYTHON ?= python3
# Added to the demo's command line; for example DEMO_FLAGS=--config.seed=1
DEMO_FLAGS ?=

INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check

# Most of a test is one processor tracing graphs. Files stay together: their fixtures are expensive.
PARALLEL = --numprocesses=auto --maxprocesses=4 --dist=loadfile

.DEFAULT_GOAL := help
.PHONY: help demo wheel docs test test-full test-extras test-slow lint format clean
.NOTPARALLEL:

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed  ## Distil the embedded teacher into runs/demo (6 minutes, 2 CPU cores)
	.venv/bin/tinygan demo $(DEMO_FLAGS)

wheel: .venv/installed  ## Build the wheel, which has all that the demo needs, in dist/
	rm -rf build dist
	.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir=dist .

docs: .venv/installed-dev  ## Build the documentation in site/; a broken link or an undocumented public name fails
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

test: .venv/installed-dev  ## Run the tests, without the slowest
	.venv/bin/python -m pytest -q --durations=10 $(PARALLEL)

test-full: .venv/installed-dev  ## Run every test that needs nothing but this machine
	.venv/bin/python -m pytest -q --durations=10 $(PARALLEL) \
	  -m "not network and not slow and not tf_serving and not torch and not beam and not tfds and not edge and not keras_hub and not trackers and not browser"

BROWSER = $(shell command -v chromedriver > /dev/null && echo " or browser")
test-extras: .venv/installed-extras  ## Run the tests that need PyTorch, Beam, TFDS, edge runtimes or a browser
	@test -n "$(BROWSER)" || echo "Left out: the page in a browser. It needs: apt install chromium chromium-driver"
	.venv/bin/python -m pytest -q --durations=10 -m "(torch or beam or tfds or edge or keras_hub or trackers$(BROWSER)) and not slow"

test-slow: .venv/installed-extras  ## Run the tests that take minutes each
	.venv/bin/python -m pytest -q --durations=10 -m slow

lint: .venv/installed-dev  ## Check style and formatting
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: .venv/installed-dev  ## Mend what lint can mend by itself
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:  ## Remove the environment, caches and builds; runs/ stays
	rm -rf .venv .pytest_cache .ruff_cache build dist site *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The demo needs no linter and no notebook, so it has a stamp of its own.
# The larger set includes it.
.venv/installed: requirements.txt pyproject.toml setup.py | .venv/bin/pip
	@echo "Installing into .venv (TensorFlow is large: a minute or two)"
	@$(INSTALL) -e .
	@touch $@

.venv/installed-dev: requirements.txt pyproject.toml setup.py | .venv/bin/pip
	@echo "Installing into .venv (TensorFlow is large: a minute or two)"
	@$(INSTALL) -e '.[dev]'
	@touch .venv/installed $@

.venv/installed-extras: requirements.txt pyproject.toml setup.py | .venv/bin/pip
	@echo "Installing into .venv, with PyTorch, Apache Beam, TensorFlow Datasets and runtimes (minutes)"
	@$(INSTALL) -e '.[dev,tfds,beam,torch,keras-hub,litert,onnx,openvino,wandb,mlflow,browser]'
	@touch .venv/installed .venv/installed-dev $@

# TensorFlow 2.21 has wheels for Python 3.11 to 3.13. Debian packs venv apart from Python;
# virtualenv will do too.
.venv/bin/pip:
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
	case "$$version" in 3.11|3.12|3.13) ;; *) \
	  echo "Got $(PYTHON) = Python $${version:-(not found)}. Expected Python 3.11, 3.12 or 3.13." >&2; \
	  echo "Name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1;; \
	esac
	@$(PYTHON) -m venv --clear .venv >/dev/null 2>&1 \
	  || $(PYTHON) -m virtualenv --quiet --clear .venv 2>/dev/null \
	  || { rm -rf .venv; \
	       echo "$(PYTHON) can't make a virtual environment: its venv module or pip is missing." >&2; \
	       echo "Install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2; exit 1; }
