# Two commands matter: `make demo` and `make test`. Each sets up what is missing, says so, and needs no network after that.
.PHONY: help demo test test-slow test-container chaos eval fuzz lint bench bench-drift bench-formats bench-latency bench-selection schema kafka

help:
	@echo 'make demo             a stream of real digits through the whole service, in the terminal    (ARGS="--for 60s --summary json")'
	@echo 'make test             every test but the slow ones, on a real Apache Kafka'
	@echo 'make test-slow        lost nodes, drains, failpoints, outages of Kafka and registry, a long replay, 200,000 schedules'
	@echo 'make test-container   the image, built and run; the chart, the compose file, the systemd unit    (PROFILE=release: as published)'
	@echo 'make chaos            kills, zombies, broker faults and outages under a checker             (ARGS="--minutes 10 --seed 7")'
	@echo 'make fuzz             every decoder and parser under cargo-fuzz, with its kept corpus       (ARGS="--minutes 30 json")'
	@echo 'make lint             format, clippy, documentation, licences and sources of crates'
	@echo 'make schema           writes the generated references again'
	@echo 'make kafka            a Kafka on 127.0.0.1:9092, for trying things out'
	@echo 'make eval             what selection is worth and how well drift is told, as tables         (ARGS="--only budgets")'
	@echo 'make bench            processor time of the service against its bare parts'
	@echo 'make bench-drift      what counting for drift costs in processor time'
	@echo 'make bench-formats    what each format of events costs, end to end'
	@echo 'make bench-latency    what a checkpoint interval costs in processor time and buys in latency'
	@echo 'make bench-selection  what signals and selection cost in processor time'

demo:
	@tests/setup/native
	@tests/setup/onnxruntime
	@cargo build --profile $(or $(PROFILE),release) --locked $(if $(PROFILE),--workspace --bin eddy,-p eddy)
	@target/$(if $(filter dev,$(PROFILE)),debug,$(or $(PROFILE),release))/eddy demo $(ARGS)

test:
	@tests/setup/all
	cargo test --locked --workspace $(ARGS)

test-slow:
	@tests/setup/all
	EDDY_SCHEDULES=50000 cargo test --locked --workspace --test schedules
	cargo test --locked --workspace --features eddy-tests/slow --test cluster --test drain --test failpoints --test outage \
		-- --nocapture $(ARGS)
	cargo test --locked --workspace --features eddy-tests/slow --test registry -- --nocapture away $(ARGS)
	cargo test --locked --workspace --features eddy-tests/slow --test service -- --nocapture recall::replay $(ARGS)

test-container:
	@tests/setup/all
	@tests/setup/docker
	@tests/setup/manifests
	cargo test --locked --workspace --features eddy-tests/slow --test container -- --nocapture --test-threads 1 $(ARGS)

chaos:
	@tests/setup/all
	@cargo build --locked --workspace --bin chaos --bin eddy-under-test
	@target/debug/chaos $(ARGS)

eval:
	@tests/setup/native
	@tests/setup/eval
	@cargo build --locked --workspace --bin eval
	@target/debug/eval $(ARGS)

fuzz:
	@tests/setup/fuzz
	@tests/fuzz/run $(ARGS)

lint:
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --features eddy-tests/slow -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
	@tests/setup/lint

bench:
	@tests/setup/native
	@tests/setup/onnxruntime
	cargo bench --locked -p eddy-tests --bench parts -- $(ARGS)

bench-latency:
	@tests/setup/native
	@tests/setup/onnxruntime
	@tests/setup/kafka
	cargo bench --locked -p eddy-tests --bench latency -- $(ARGS)

bench-drift:
	@tests/setup/native
	@tests/setup/onnxruntime
	@tests/setup/kafka
	cargo bench --locked -p eddy-tests --bench drift -- $(ARGS)

bench-formats:
	@tests/setup/native
	@tests/setup/onnxruntime
	@tests/setup/kafka
	cargo bench --locked -p eddy-tests --bench formats -- $(ARGS)

bench-selection:
	@tests/setup/native
	@tests/setup/onnxruntime
	@tests/setup/kafka
	cargo bench --locked -p eddy-tests --bench selection -- $(ARGS)

schema:
	UPDATE_REFERENCE=1 cargo test --locked --workspace --test reference

kafka:
	@tests/setup/kafka-run
