# The two commands: `make serve` and `make test`. `make help` lists the rest.

ORT_VERSION := 1.31.1
ORT_LIB := .onnxruntime/libonnxruntime.so.$(ORT_VERSION)
MODEL ?= models/ridge
ARGS ?=

export SCORIA_ORT_LIB ?= $(CURDIR)/$(ORT_LIB)

.DEFAULT_GOAL := help
.PHONY: help build serve test test-real lint fuzz reference swagger-ui

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

$(ORT_LIB): deploy/onnxruntime/fetch.sh deploy/onnxruntime/requirements.txt
	deploy/onnxruntime/fetch.sh $(@D)
	@touch $@

build: $(ORT_LIB) ## Build the server and fetch the pinned ONNX Runtime
	cargo build --release --locked

serve: build ## Serve a bundled model with keys on (MODEL=path, ARGS="--flags")
	target/release/scoria serve $(MODEL) --state-dir .scoria $(ARGS)

test: $(ORT_LIB) ## Run all tests, on both engines
	cargo test --release --locked --workspace

test-real: $(ORT_LIB) ## Add the tests that need real programs, installing them
	tests/real/run.sh

lint: ## Check format and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings

FUZZ_TARGETS := json npy npz raw safetensors query media_type
FUZZ_SECONDS ?= 60

fuzz: ## Fuzz each decoder for FUZZ_SECONDS (60): no crash, nothing over 1 s, at most 2 GB
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	set -e; for target in $(FUZZ_TARGETS); do \
	    mkdir -p fuzz/corpus/$$target; \
	    cargo fuzz run --release --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=65538 -timeout=1 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1; \
	done

reference: ## Rewrite the generated documents
	cargo run --release --quiet -- config reference > docs/configuration.md
	cargo run --release --quiet --example goldens

swagger-ui: ## Fetch the pinned Swagger UI again, checked by digest
	assets/swagger-ui/fetch.sh
