# The developer's verbs. `make` alone lists them.
.DEFAULT_GOAL := help
CARGO ?= cargo
CLUSTER = tests/cluster/run

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

build: ## the optimised binaries, in target/release
	$(CARGO) build --release --locked $(patsubst plugins/%,--package %,$(wildcard plugins/*))

dist: build ## what a user installs: an archive and a krew manifest per plugin
	@$(CARGO) run --quiet --locked --package dist

test: dist ## every test, on the real node (installs and builds what it needs)
	@CARGO="$(CARGO)" tests/run

soak: build ## the scenarios ten times beside a load on every core, once in their long form (two hours)
	@CARGO="$(CARGO)" tests/soak

demo: build ## the main job on the real node, command by command (three minutes)
	@$(CLUSTER) up --with ingress
	@$(CARGO) run --quiet --locked --package e2e --bin demo

bench: build ## measurements beside kubectl, as ratios
	@$(CLUSTER) up --with ingress
	@$(CARGO) run --quiet --locked --package bench

cluster: ## a real Kubernetes node on this machine, and how to use it
	@$(CLUSTER) up

cluster-down: ## take the node and the control plane down
	@$(CLUSTER) down
	@$(CLUSTER) --node 250 down

control-plane: ## API server and controllers alone, for `cargo test -p cli-tests`
	@$(CLUSTER) --node 250 up --control-plane

.PHONY: help build dist test soak demo bench cluster cluster-down control-plane
