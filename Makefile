# Everything that a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Python keeps what it has compiled, also where the environment asks it not to: else each worker
# of the tests compiles all of their modules, and each program that they start all of ours.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE := env -u PIP_FIND_LINKS $(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe \
  --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
  --no-header --no-annotate

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: venv
venv: $(VENV)/.ready ## Make the virtual environment from the hashed lock

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Making a virtual environment from the hashed lock; this takes a minute, once."
	$(PYTHON) -m venv --clear $(VENV)
	@# The lock is whole, so pip resolves nothing: a release of tomorrow cannot get in its way.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

.PHONY: demo
demo: venv ## See the main job done: no cluster, root or GPU needed
	@$(BIN)/python -m tests.demo

.PHONY: test
test: venv ## Run all tests; what cannot run here is skipped, and says why (COVERAGE=1: a report, too)
	@$(BIN)/python -m tests.e2e.api_server.building || echo "The tests on a real API server will be skipped."
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest -n auto
	@$(if $(COVERAGE),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

.PHONY: e2e
e2e: venv ## Install it on a real node and try everything there (root, Debian; minutes)
	@$(BIN)/python -m tests.e2e.node test

.PHONY: cluster-tools
cluster-tools: venv ## Build what `make test` needs: etcd, kube-apiserver, kubectl, sops … (Go, once)
	@$(BIN)/python -m tests.e2e.api_server.building

.PHONY: e2e-cert-manager
e2e-cert-manager: venv ## Try the overlay for cert-manager with cert-manager itself (Go; minutes, once)
	@$(BIN)/python -m tests.e2e.api_server.building etcd kube-apiserver kubectl cert-manager
	MODEL_VALIDATION_E2E_CERT_MANAGER=1 $(BIN)/python -m pytest tests/e2e/api_server/cert_manager

.PHONY: e2e-sigstore
e2e-sigstore: venv ## Sign and verify with a real private Sigstore: Fulcio, Rekor v2 (Go; minutes, once)
	@$(BIN)/python -m tests.e2e.sigstore

.PHONY: e2e-vllm
e2e-vllm: venv ## Try the check inside vLLM in a real one, on the CPU (7 GB, once; minutes)
	@$(BIN)/python -m tests.e2e.stack.environments vllm
	MODEL_VALIDATION_E2E_VLLM=1 $(BIN)/python -m pytest -p no:randomly -m vllm tests/e2e/stack

.PHONY: e2e-stack
e2e-stack: venv ## Run the LLM stack for real and try it (root, Debian; 15 GB, most of an hour, once)
	@scripts/cluster_packages.sh chromium curl openssl
	@$(BIN)/python -m tests.e2e.stack test

.PHONY: e2e-guide
e2e-guide: venv ## Run the commands of docs/stack.md in the LLM stack, as they stand there (as e2e-stack)
	@scripts/cluster_packages.sh chromium curl openssl
	@$(BIN)/python -m tests.e2e.stack guide

.PHONY: e2e-tools
e2e-tools: venv ## Build all that `make e2e` needs (a quarter of an hour, once)
	@$(BIN)/python -m tests.e2e.node build

.PHONY: cluster-packages
cluster-packages: ## Install Debian's packages that the image and node tests need (root, once)
	@scripts/cluster_packages.sh

.PHONY: images
images: ## Build the images (REGISTRY=... TAG=... BASE=... BUILDER=... BUILD_FLAGS=...)
	@scripts/build_images.sh

# The kinds of our resources, by their plurals.
KINDS := modelvalidations clustermodelvalidations trustroots modelvalidationexemptions

.PHONY: lint
lint: venv ## Check style, types, import contracts and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@for plural in $(KINDS); do \
	  $(BIN)/python -m validator.policy.crd $$plural | diff - manifests/webhook/base/crd-$$plural.yaml || \
	  { echo "crd-$$plural.yaml is not what validator/policy says: run make generate" >&2; exit 1; }; done
	@$(BIN)/python scripts/generate_policy_docs.py | diff - docs/policy.md || \
	  { echo "docs/policy.md is not what validator/policy says: run make generate" >&2; exit 1; }

.PHONY: format
format: venv ## Format the code, and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: generate
generate: venv ## Write the generated files again
	@mkdir -p build
	for plural in $(KINDS); do $(BIN)/python -m validator.policy.crd $$plural > build/crd.yaml && \
	  mv build/crd.yaml manifests/webhook/base/crd-$$plural.yaml; done
	$(BIN)/python scripts/generate_policy_docs.py > build/policy.md
	@mv build/policy.md docs/policy.md
	$(BIN)/python scripts/generate_api_docs.py > build/api.md
	@mv build/api.md docs/api.md
	@$(MAKE) --no-print-directory chart

.PHONY: chart
chart: venv ## Write the Helm chart's templates again, from the kustomizations
	@$(BIN)/python -m tests.e2e.api_server.building kubectl
	$(BIN)/python scripts/generate_chart.py --kubectl "$$($(BIN)/python -c \
	  'from tests.e2e.api_server import building; print(building.find(["kubectl"])["kubectl"])')"

.PHONY: remove-steps
remove-steps: venv ## Take each refusal out once, and list those that no test misses (SINCE=REVISION MINUTES=...)
	$(BIN)/python scripts/remove_steps.py $(if $(SINCE),--since $(SINCE)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: oldest
oldest: venv ## Run the unit and integration tests with the oldest packages that pyproject.toml allows
	$(PYTHON) -m venv --clear build/oldest
	build/oldest/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	build/oldest/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/oldest.txt
	build/oldest/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	build/oldest/bin/python -m pytest -n auto tests/unit tests/integration

SECONDS_EACH ?= 60
.PHONY: fuzz
fuzz: venv ## Search for input that ends in anything but our own errors (SECONDS_EACH=60; CPython 3.11 to 3.13)
	@# atheris, which is libFuzzer for Python: nothing else needs it.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS_EACH)

.PHONY: bench
bench: venv ## Measure, side by side with the reference
	@mkdir -p build
	$(BIN)/python -m benchmarks.verification --json build/verification.json
	$(BIN)/python -m benchmarks.webhook_throughput --json build/webhook-throughput.json --plot
	$(BIN)/python -m benchmarks.webhook_start --plot
	$(BIN)/python -m benchmarks.webhook_pods --plot
	$(BIN)/python -m benchmarks.growth
	@$(MAKE) --no-print-directory plots
	@$(BIN)/python -m tests.e2e.api_server.building
	$(BIN)/python -m benchmarks.api_server --json build/api-server.json

.PHONY: bench-storage
bench-storage: venv ## Measure starts, slow storage, and little CPU (root, /dev/fuse, cgroups; minutes)
	@mkdir -p build
	$(BIN)/python -m benchmarks.granted_cpu --json build/granted-cpu.json
	$(BIN)/python -m benchmarks.storage --json build/storage.json
	$(BIN)/python -m benchmarks.start_cost --rate 1000 --json build/start-cost.json

.PHONY: plots
plots: venv ## Draw the plots of docs/performance.md from the figures that the benchmarks wrote
	$(BIN)/python -m benchmarks.plots

.PHONY: lock
lock: venv ## Resolve the locks again (with the oldest Python that is supported)
	$(COMPILE) --extra validator --extra blake3 --output-file requirements/validator.txt pyproject.toml
	$(COMPILE) --extra validator --extra blake3 --extra debug --output-file requirements/debug.txt pyproject.toml
	$(COMPILE) --extra webhook --extra certs --output-file requirements/webhook.txt pyproject.toml
	$(COMPILE) --build-deps-for wheel --only-build-deps --output-file requirements/build.txt pyproject.toml
	$(COMPILE) --extra validator --extra blake3 --extra webhook --extra dev \
	  --output-file requirements/dev.txt pyproject.toml
	$(BIN)/python scripts/oldest_versions.py | $(COMPILE) --output-file requirements/oldest.txt -
	echo atheris | $(COMPILE) --output-file requirements/fuzz.txt -
	echo rh-model-signing | $(COMPILE) --constraint requirements/dev.txt --output-file requirements/rh-model-signing.txt -

.PHONY: clean
clean: ## Remove what the targets made here (not the cache of built programs)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
