# Needs Python >= 3.11 with pip and venv; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# A plain `torch` may fetch a CUDA build of several gigabytes that the tests never
# use, and the tests are proven against this release.
TORCH := torch==2.13.0
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test diagnosis parity lint format clean

help:
	@echo 'make demo [BACKEND=tensorflow|jax|torch] [ARGS="--broken zero-init"]'
	@echo '                            train on real digits and write a report'
	@echo 'make test                   one suite on all three backends, then the wheel'
	@echo 'make test BACKEND=jax       the suite on one backend'
	@echo 'make diagnosis [BACKEND=jax] what is found in faulty and healthy programs'
	@echo 'make parity                 figures of TensorFlow Addons made anew, and compared'
	@echo 'make lint                   ruff and mypy'
	@echo 'make format                 let ruff repair what it can'
	@echo 'make clean                  remove .venv and everything that was built'

# The stamp is written last: an interrupted step is begun again from an empty folder.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) \
	  else f"Python >= 3.11 is needed, {sys.executable} is {v[0]}.{v[1]}. " \
	  "Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo-%: $(VENV)/.made setup.cfg pyproject.toml
	$(if $(filter torch,$*),$(PY) -m pip install '$(TORCH)')
	$(PY) -m pip install --editable '.[$*,report]'
	@touch $@

$(VENV)/.test: $(VENV)/.made setup.cfg pyproject.toml
	$(PY) -m pip install '$(TORCH)'
	$(PY) -m pip install --editable '.[tensorflow,jax,torch,search,report,tensorboard,test]'
	@touch $@

demo: BACKEND ?= tensorflow
demo: | $(VENV)/.made
	$(if $(filter tensorflow jax torch,$(BACKEND)),,\
	  $(error BACKEND must be tensorflow, jax or torch. Received: $(BACKEND)))
	@$(MAKE) --no-print-directory $(VENV)/.demo-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(PY) -m keras_practices demo $(ARGS)

test: $(VENV)/.test
	$(PY) tests/run_suite.py $(BACKEND)

diagnosis: BACKEND ?= tensorflow
diagnosis: $(VENV)/.test
	$(PY) tests/programs/score.py --backend $(BACKEND) $(ARGS)

# Addons needs TensorFlow 2.15, which needs Python 3.11: ADDONS_PYTHON=python3.11.
ADDONS_PYTHON ?= $(PYTHON)
parity: $(VENV)/.test
	$(ADDONS_PYTHON) -m venv $(VENV)-addons
	$(VENV)-addons/bin/python -m pip install 'tensorflow==2.15.1' \
	  'tensorflow-addons==0.23.0' 'numpy<2'
	$(VENV)-addons/bin/python tests/parity/addons_reference.py tests/parity/addons.json
	KERAS_BACKEND=tensorflow $(PY) -m pytest -q tests/parity

lint: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf $(VENV) $(VENV)-addons build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
