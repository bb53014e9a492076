# make run-alignment-all   set up .venv and play, record and analyse the two alignment scenarios
# make test                set up .venv and run the tests
# make help                everything else

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PARITY := .venv-parity
CUDA := .venv-cuda
RLLIB := .venv-rllib
TRL := .venv-trl
BENCH := .venv-bench
PEERS := swarm-safety==1.9.0 mpe2 vmas supersuit jaxmarl
SCENARIOS := alignment_waltz_targeted_feedback macpo_weak_to_strong
METRICS := toxicity_rate,toxicity_rate_all,quality_gap,spread,conditional_loss_initiator,conditional_loss_counterparty

# one compute thread: with a busy neighbour two are many times slower than one
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1

.PHONY: help setup test lint types check bench bench-metrics cuda-ptx incentives ppo-study macpo-study parity rllib test-ray trl golden study \
	clean \
	run-alignment-scenarios run-alignment-analyze run-alignment-all

help:
	@echo "run-alignment-all        run-alignment-scenarios, then run-alignment-analyze"
	@echo "run-alignment-scenarios  swarm run on the two alignment scenarios, into logs/"
	@echo "run-alignment-analyze    swarm analyze on what they left there"
	@echo "test                     the default test suite"
	@echo "lint, types, check       ruff; mypy --strict; both and the tests"
	@echo "bench                    us beside the peers, in $(BENCH), into benchmarks/results.json and docs/performance.md"
	@echo "bench-metrics            every metric over 10 million interactions: seconds and memory, into benchmarks/metrics.json"
	@echo "cuda-ptx                 compile the CUDA kernels, in $(CUDA) (about 1 GB); no GPU is needed"
	@echo "incentives               what each conduct earns under which levers, into docs/environment.md"
	@echo "ppo-study                what PPO learners do with the levers off and on, into docs/ and research/notes/"
	@echo "macpo-study              swarm reproduce macpo: MACPO, baselines and ablations over five seeds, into research/notes/"
	@echo "study                    swarm study on every annotation in research/annotations/, into research/notes/"
	@echo "parity                   run SWARM beside us, in $(PARITY), into docs/parity.md"
	@echo "rllib                    the RLlib and Gymnasium adapters' tests under Ray's older Gymnasium, in $(RLLIB)"
	@echo "test-ray                 the Ray engine, with workers and drivers that die, on a real cluster here, in $(RLLIB)"
	@echo "trl                      our DPO and SFT losses beside TRL's, in $(TRL) (about 1.7 GB)"
	@echo "golden                   rewrite the golden playthroughs (after a wanted change of behaviour)"

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

setup: $(READY)

run-alignment-scenarios: $(READY)
	@for id in $(SCENARIOS); do $(BIN)/python -m swarm_env run scenarios/$$id.yaml || exit 1; done

run-alignment-analyze: $(READY)
	@for id in $(SCENARIOS); do \
		test -f logs/$${id}_metrics.csv || { echo "logs/$${id}_metrics.csv: not there; make run-alignment-scenarios"; exit 1; }; \
		$(BIN)/python -m swarm_env analyze logs/$${id}_metrics.csv --metrics $(METRICS) || exit 1; done

run-alignment-all: run-alignment-scenarios
	@$(MAKE) --no-print-directory run-alignment-analyze

test: $(READY)
	$(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: test lint types

# peers come one by one, torch named each time (no resolver may take another); one that does not install is recorded
$(BENCH)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		torch==2.13.0 scipy --editable '.[sb3]'
	@for peer in $(PEERS); do \
		echo "$$peer"; \
		$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
			torch==2.13.0 $$peer || echo "$$peer does not install: its measurements will say so"; done
	@touch $@

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks.run

bench-metrics: $(READY)
	$(BIN)/python benchmarks/metrics_speed.py --out benchmarks/metrics.json

$(CUDA)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(CUDA)
	$(CUDA)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable . pytest hypothesis numba-cuda==0.30.4 nvidia-nvvm nvidia-cuda-nvcc nvidia-cuda-nvrtc
	@touch $@

cuda-ptx: $(CUDA)/.ready
	$(CUDA)/bin/python -m pytest tests/test_cuda.py -k compile

incentives: $(READY)
	$(BIN)/python benchmarks/incentives.py --write

golden: $(READY)
	$(BIN)/python -m tests.golden

$(PARITY)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check swarm-safety==1.9.0 scipy --editable '.[plot]'
	@touch $@

ppo-study: $(READY)
	$(BIN)/python research/ppo_incentives.py

macpo-study: $(READY)
	$(BIN)/python -m swarm_env reproduce macpo --seeds 5 --workers 2

study: $(READY)
	@for file in research/annotations/*.yaml; do $(BIN)/python -m swarm_env study $$file --resume || exit 1; done

parity: $(PARITY)/.ready
	$(PARITY)/bin/python -m tests.parity --write

# torch alone is held to constraints.txt: Ray pins an older Gymnasium than the rest of it
$(RLLIB)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(RLLIB)
	grep '^torch==' constraints.txt > $(RLLIB)/torch.txt
	$(RLLIB)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(RLLIB)/torch.txt \
		--editable '.[rllib,ray]' pytest hypothesis
	@touch $@

# the Ray engine on a real cluster of this machine: RLlib's environment has Ray, and its older Gymnasium does no harm
test-ray: $(RLLIB)/.ready
	$(RLLIB)/bin/python -m pytest tests/ray

rllib: $(RLLIB)/.ready
	$(RLLIB)/bin/python -m pytest tests/rllib tests/test_gymnasium.py tests/test_gymnasium_vector.py

# torch is held to constraints.txt, so that TRL takes the one that everything else is tested with
$(TRL)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(TRL)
	$(TRL)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[trl]' pytest hypothesis
	@touch $@

trl: $(TRL)/.ready
	$(TRL)/bin/python -m pytest tests/test_trl_losses.py tests/test_trl_macpo.py

clean:
	rm -rf $(VENV) $(PARITY) $(RLLIB) $(TRL) $(BENCH) $(CUDA) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
