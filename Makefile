# STACK=onedl (default) or openmmlab chooses the distribution of the OpenMMLab libraries; each has
# an environment of its own. PYTHON names the interpreter to build it on.
STACK ?= onedl
VENV := $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
RUN := $(VENV)/bin/python
# A file's tests stay together, since they share what they make; in their order, since files of few and
# long tests would else be left to the end. More processes need 2.5 GB each.
PROCESSES ?= 2
PYTEST := $(RUN) -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: help env demo test test-long mutants lint clean

help:
	@echo 'make env        the environment of the stack, in $(VENV) (10 minutes once, then seconds)'
	@echo 'make demo       data, training, fine-tuning and pictures, in work_dirs/demo (11 to 15 minutes)'
	@echo 'make test       the tests (11 to 15 minutes); make test-long adds the slow ones'
	@echo 'make mutants    changes the core in 400 places and lists what no test notices (1 hour)'
	@echo 'make lint       ruff and codespell'
	@echo 'make clean      what runs and builds left behind, but not the environments'
	@echo 'STACK=onedl (default) or STACK=openmmlab chooses the OpenMMLab distribution.'

env:
	@tools/misc/setup_env.sh '$(STACK)'

demo: env
	$(RUN) tools/misc/demo.py

test: env
	@echo 'running the tests: 11 to 15 minutes on 2 processors'
	$(PYTEST) -m 'not long' tests

test-long: env
	@echo 'running all tests, the long ones too'
	$(PYTEST) tests

mutants: env
	@echo 'trying the tests on 400 mutants: up to 1 hour on 2 processors; goes on where it was stopped'
	$(RUN) tests/mutants.py

lint: env
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/codespell

clean:
	rm -rf build dist projects/*.egg-info projects/mmtoken/.mim .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
