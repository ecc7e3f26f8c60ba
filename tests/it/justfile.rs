//! The justfile: everything that its recipes name exists, also without `just`.

use crate::support::files;
use std::{collections::BTreeMap, fs, path::Path};

const JUSTFILE: &str = include_str!("../../justfile");
const GUIDE: &str = include_str!("../../CONTRIBUTING.md");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const FUZZERS: &str = include_str!("../../fuzz/Cargo.toml");

#[derive(Default)]
struct Recipe {
    parameters: Vec<&'static str>,
    lines: Vec<&'static str>,
}

/// The recipes by name. A recipe is a line `name parameter…:`, and the indented lines after it.
fn recipes() -> BTreeMap<&'static str, Recipe> {
    let mut recipes: BTreeMap<_, Recipe> = BTreeMap::new();
    let mut current = "";
    for line in JUSTFILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(command) = line.strip_prefix("    ") {
            recipes.get_mut(current).expect("a recipe comes first").lines.push(command);
            continue;
        }
        let mut words = line.strip_suffix(':').expect(line).split(' ');
        current = words.next().unwrap();
        let parameter = |word: &'static str| word.split('=').next().unwrap().trim_matches('*');
        let recipe = Recipe { parameters: words.map(parameter).collect(), lines: Vec::new() };
        assert!(recipes.insert(current, recipe).is_none(), "two recipes `{current}`");
    }
    recipes
}

/// All sources and tests as one text.
pub(crate) fn code(folder: &str) -> String {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let text = |entry: fs::DirEntry| {
        if entry.path().is_dir() {
            code(&format!("{folder}/{}", entry.file_name().display()))
        } else {
            files::text(&entry.path())
        }
    };
    entries.map(|entry| text(entry.unwrap())).collect()
}

/// Breaks if a recipe runs a command, a file, a benchmark, a test or a variable that does not
/// exist, or uses a parameter that it does not have.
#[test]
fn recipes_name_existing_things() {
    let code = code("src") + &code("tests/it");
    for (name, recipe) in recipes() {
        assert!(!recipe.lines.is_empty(), "`{name}` does nothing");
        for line in recipe.lines {
            for part in line.split("{{").skip(1) {
                let parameter = part.split("}}").next().unwrap();
                assert!(recipe.parameters.contains(&parameter), "{line}: no {parameter}");
            }
            let words: Vec<_> = line.split_whitespace().collect();
            let is_variable = |word: &&&str| word.contains('=') && !word.starts_with('-');
            for variable in words.iter().take_while(is_variable) {
                let variable = variable.split('=').next().unwrap();
                let is_read = code.contains(&format!("\"{variable}\""));
                assert!(is_read || variable == "RUSTDOCFLAGS", "{line}: nothing reads {variable}");
            }
            let command: Vec<_> = words.iter().skip_while(|word| is_variable(word)).collect();
            match command[..] {
                [&"bash", script] => {
                    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                    assert!(root.join(script).is_file(), "{line}: no {script}");
                }
                [&"cargo", subcommand, ..] => {
                    let known = ["bench", "clippy", "doc", "fmt", "fuzz", "nextest", "test"];
                    assert!(known.contains(subcommand), "{line}: cargo {subcommand}");
                    // The last word of `cargo test` is the name of a test, or a part of one.
                    let test = command.last().unwrap().rsplit("::").next().unwrap();
                    let is_test = ["test", "nextest"].contains(subcommand) && !test.contains('{');
                    assert!(!is_test || code.contains(test), "{line}: no test {test}");
                }
                [&"@just", ..] => {}
                _ => panic!("`{name}` runs an unknown command: {line}"),
            }
        }
    }
}

/// Breaks if a document names a recipe, a benchmark or a fuzzer that does not exist.
#[test]
fn documents_name_existing_recipes() {
    let recipes = recipes();
    let named = |text: &'static str| {
        text.split("`just ").skip(1).map(|rest| rest.split('`').next().unwrap())
    };
    let mut found = Vec::new();
    for command in named(GUIDE).chain(named(JUSTFILE)) {
        let mut words = command.split(' ');
        let recipe = words.next().unwrap();
        assert!(recipes.contains_key(recipe), "there is no recipe `{recipe}`");
        let manifest = if recipe == "fuzz" { FUZZERS } else { MANIFEST };
        if let (true, Some(name)) = (["bench", "fuzz"].contains(&recipe), words.next()) {
            let is_placeholder = name.chars().all(|c| c.is_ascii_uppercase());
            let target = format!("name = \"{name}\"");
            assert!(is_placeholder || manifest.contains(&target), "`{command}`: no {name}");
        }
        found.push(recipe);
    }
    for recipe in ["lint", "test", "one", "bench", "fuzz", "bless"] {
        assert!(found.contains(&recipe), "CONTRIBUTING.md does not name `just {recipe}`");
    }
}
