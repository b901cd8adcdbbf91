# The two commands: `make serve` and `make test`. `make help` lists the rest.

ORT_VERSION := 1.31.1
ORT_LIB_cpu := .onnxruntime/libonnxruntime.so.$(ORT_VERSION)
ORT_LIB_gpu := .onnxruntime/gpu/libonnxruntime.so.$(ORT_VERSION)
# What `make gpu` has fetched is used from then on; it has the processor too. ORT=cpu takes the other one.
ORT ?= $(if $(wildcard $(ORT_LIB_gpu)),gpu,cpu)
ORT_LIB := $(ORT_LIB_$(ORT))
MODEL ?= models/ridge
ARGS ?=

export SCORIA_ORT_LIB ?= $(CURDIR)/$(ORT_LIB)

.DEFAULT_GOAL := help
.PHONY: help build gpu serve loadtest test test-real rows mix compare lint bench fuzz fuzz-keep audit image reference swagger-ui

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(ORT_LIB_cpu): deploy/onnxruntime/fetch.sh deploy/onnxruntime/cpu.txt
	deploy/onnxruntime/fetch.sh $(@D)
	@touch $@

$(ORT_LIB_gpu): deploy/onnxruntime/fetch.sh deploy/onnxruntime/gpu.txt
	deploy/onnxruntime/fetch.sh $(@D) gpu
	@touch $@

build: $(ORT_LIB) ## Build the server and fetch the pinned ONNX Runtime
	cargo build --release --locked

gpu: $(ORT_LIB_gpu) ## Fetch the ONNX Runtime with CUDA and TensorRT, and say what else they need (docs/gpu.md)
	@deploy/onnxruntime/cuda.py

serve: build ## Serve a bundled model with keys on (MODEL=path, ARGS="--flags")
	target/release/scoria serve $(MODEL) --state-dir .scoria $(ARGS)

loadtest: ## Build the load generator and the bare server (loadtest/README.md)
	cargo build --release --locked -p scoria-loadtest

image: ## Build the container image `scoria`, with ONNX Runtime on the processor
	docker build --tag scoria .

test: $(ORT_LIB) ## Run all tests, on both engines
	cargo test --release --locked
	@# By itself: together with it, the server would be built with its features as well.
	cargo test --release --locked -p scoria-loadtest

test-real: $(ORT_LIB) ## Add the tests that need real programs, installing them
	tests/real/run.sh

ROWS ?= 30000

rows: $(ORT_LIB) ## Hold what is proven of a graph's rows against the runtime, on ROWS random graphs (30000)
	SCORIA_ROW_WISE_GRAPHS=$(ROWS) cargo test --release --locked --test row_wise -- --nocapture --test-threads=1

MIX ?= 2000

mix: $(ORT_LIB) ## Mix the traffic of 24 clients on all wires, MIX requests each (2000), and compare each answer
	SCORIA_MIX_REQUESTS=$(MIX) tests/real/mix.sh

compare: $(ORT_LIB) ## Measure beside other servers, installing them (ARGS="--models ridge --peers mosec --rounds 10")
	loadtest/compare/run.sh $(ARGS)

lint: ## Check format and lints
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked -p scoria-loadtest --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	@# Nothing is linked, so that the fuzzer, which is C++, need not be built.
	CUSTOM_LIBFUZZER_PATH=unused/libfuzzer.a cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --locked -- -D warnings

bench: $(ORT_LIB) ## Time the codecs and the engines (docs/benchmarks.md)
	cargo bench --locked

FUZZ_SECONDS ?= 60

fuzz: ## Fuzz each target for FUZZ_SECONDS (60): no crash, bounded memory, nothing over 1 s
	fuzz/run.sh $(FUZZ_SECONDS)

fuzz-keep: ## Keep the least of what fuzzing found, to be committed
	fuzz/keep.sh

audit: ## Check dependencies: licences, sources, duplicates, known vulnerabilities (needs the network)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check
	cd fuzz && cargo deny --locked --config ../deny.toml check

reference: ## Rewrite the generated documents
	cargo run --release --quiet -- config reference > docs/configuration.md
	cargo run --release --quiet --example goldens

swagger-ui: ## Fetch the pinned Swagger UI again, checked by digest
	assets/swagger-ui/fetch.sh
