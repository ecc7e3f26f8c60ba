# The commands of daily work. `just` lists them; each also works when it is typed without just.

# Lists the recipes.
default:
    @just --list

# Checks the format, the lints and the documentation.
lint:
    cargo fmt --all -- --check
    cargo clippy --locked --all-features --all-targets -- -D warnings
    RUSTDOCFLAGS=-Dwarnings cargo doc --locked --all-features --no-deps --quiet

# Runs everything that CI runs: the checks of `lint`, and all tests.
test:
    bash tests/run.sh

# Runs the tests whose names contain a word: `just one scheduler`.
one word:
    cargo nextest run --locked --all-features {{word}}

# Runs a benchmark, or some of its rows: `just bench serving lists`.
bench name *rows:
    cargo bench --locked --bench {{name}} -- {{rows}}

# Runs a fuzzer; fuzz/README.md lists the targets.
fuzz target seconds="600":
    cargo fuzz run --sanitizer none {{target}} -- -max_total_time={{seconds}} -max_len=4096 -timeout=10

# Writes the seed corpora of the fuzzers from the test fixtures.
corpus:
    SCANWATCH_CORPUS="$PWD/fuzz/corpus" cargo test --locked --lib fuzzing::tests::every_target_accepts_real_input

# Writes the expected results of the parsers' fixtures; check each changed line.
bless:
    UPDATE_EXPECT=1 cargo test --locked --lib every_file_gives

# Runs the tests of which `test` runs a part, with all rounds and full sizes; takes hours.
whole:
    SCANWATCH_BOMBS=whole cargo nextest run --locked --release --no-capture bombs::
    SCANWATCH_LARGE=whole cargo nextest run --locked --release --no-capture large_answers::
    SCANWATCH_EVERY=1 cargo nextest run --locked --no-capture chaos::calls
    SCANWATCH_ROUNDS=100 cargo nextest run --locked --no-capture chaos::rounds power_cut
    SCANWATCH_ROUNDS=1000 cargo nextest run --locked --no-capture disconnects reconnects security::rebinding
    SCANWATCH_ROUNDS=300000 cargo nextest run --locked --no-capture ownership::the_removal_of_a_large_job
    PROPTEST_CASES=100000 cargo test --locked --lib fuzzing

# Builds the documentation of the code, and opens it.
docs:
    cargo doc --locked --no-deps --document-private-items --open
