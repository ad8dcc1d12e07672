//! Prints the JSON Schema of `pack.toml`; `pack.schema.json` is what it prints.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    println!("{:#}", legwork_pack::pack_schema());
}
