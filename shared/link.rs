//! How the optimised plugins are linked on Linux, so that a start costs little: at a fixed address, as kubectl is (thirteen
//! thousand relocations less), with the few functions of libgcc inside (a library less to look for), and without the tables
//! for unwinding.
//! `make bench` measures it. The code is memory-safe throughout: `unsafe` is forbidden.

#![expect(clippy::print_stdout, reason = "this is how cargo is told")]

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=../../shared/link.rs");
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|is| is == value);
    if !(is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release"))
    {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let Some(directory) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    // The linker takes this script for the library, since it looks here first.
    if std::fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)").is_ok() {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
    // A panic ends the process where it is; the tables for unwinding, a tenth of the program, are never read.
    let script = directory.join("no-unwinding.ld");
    let discard = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;";
    if std::fs::write(&script, discard).is_ok() {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
}
