//! The program as users run it, under a name of its own, so that Cargo builds it with the tests.

fn main() -> std::process::ExitCode {
    eddy::program::main()
}
