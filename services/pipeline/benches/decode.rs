//! What decoding one event costs, beside what the bare parsers cost.

fn main() {}
