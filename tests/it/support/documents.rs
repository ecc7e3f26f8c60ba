//! Commands from the project's documents, run as a reader would run them.

use super::{files, forge::program};
use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// The lines of the blocks that are marked as shell.
pub(crate) fn shell_lines(document: &'static str) -> Vec<&'static str> {
    document
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| !line.is_empty())
        .collect()
}

/// A shell in which `scanwatch`, and `cargo run … --`, is the program under test.
pub(crate) fn shell(home: &Path, line: &str) -> Command {
    let bin = home.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let tested = env!("CARGO_BIN_EXE_scanwatch");
    for (name, before) in
        [("cargo", "while [ \"$1\" != -- ]; do shift; done\nshift\n"), ("scanwatch", "")]
    {
        let path = bin.join(name);
        files::write(&path, format!("#!/bin/sh\n{before}exec {tested} \"$@\"\n"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let mut command = program("sh");
    command.args(["-c", line]).env("PATH", format!("{}:{path}", bin.display()));
    command
}

/// Runs a command that must succeed; returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
