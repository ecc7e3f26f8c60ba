//! The modules of one folder use each other without cycles, so that each can be read with what it
//! uses, and nothing else.

use crate::layers::{product_text, sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A module by its path below the crate, such as `["live", "watcher", "reader"]`.
type Module = Vec<String>;

/// Which modules each module uses.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// The words of a path: the text up to the first character that is not of one.
fn words(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let path = &text[..end.unwrap_or(text.len())];
    path.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// All paths of a `use` tree such as `a::{b, c::{self, d}}`.
fn expand(prefix: &[String], tree: &str, paths: &mut Vec<Module>) {
    let tree = tree.trim();
    let mut path = prefix.to_vec();
    let Some((before, braces)) = tree.split_once('{') else {
        path.extend(words(tree));
        paths.push(path);
        return;
    };
    path.extend(words(before));
    // A text that only starts like a `use` is none.
    let Some(inner) = braces.strip_suffix('}') else { return };
    let (mut depth, mut start) = (0, 0);
    for (position, c) in inner.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 && c == ',' {
            expand(&path, &inner[start..position], paths);
            start = position + 1;
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&path, &inner[start..], paths);
    }
}

/// All paths that a text uses: of `use` items, and after `crate::` and `super::` elsewhere.
fn used_paths(text: &str) -> Vec<Module> {
    let code: Vec<_> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut paths = Vec::new();
    let mut rest = code.as_str();
    while let Some(position) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let word_end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        rest = &rest[position..];
        if let Some(tree) = rest.strip_prefix("use ") {
            let (tree, after) = tree.split_once(';').unwrap_or((tree, ""));
            expand(&[], tree, &mut paths);
            rest = after;
        } else if rest.starts_with("crate::") || rest.starts_with("super::") {
            paths.push(words(rest));
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_:".contains(c));
        } else {
            rest = &rest[word_end(rest).unwrap_or(rest.len())..];
        }
    }
    paths
}

/// The module that a path names: the longest one that exists.
fn resolve(from: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let mut full = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [from, &path[1..]].concat(),
        "super" => {
            let ups = path.iter().take_while(|word| *word == "super").count();
            let above = from.len().checked_sub(ups)?;
            [&from[..above], &path[ups..]].concat()
        }
        _ => {
            let child = [from, &path[..1]].concat();
            modules.contains(&child).then_some(())?;
            [from, path].concat()
        }
    };
    while !full.is_empty() && !modules.contains(&full) {
        full.pop();
    }
    (!full.is_empty() && full != *from).then_some(full)
}

/// The uses between the modules of one folder, as far as they are in a cycle.
fn cycle(uses: &Uses, folder: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let at = folder.len();
    let mut edges = BTreeMap::<String, BTreeSet<String>>::new();
    for (from, to) in uses.iter().filter(|(from, _)| from.len() > at && from.starts_with(folder)) {
        for to in to.iter().filter(|to| to.len() > at && to.starts_with(folder)) {
            if from[at] != to[at] {
                edges.entry(from[at].clone()).or_default().insert(to[at].clone());
            }
        }
    }
    // What uses nothing, or is used by nothing, is in no cycle.
    loop {
        let before: usize = edges.values().map(BTreeSet::len).sum();
        let starts: BTreeSet<_> = edges.keys().cloned().collect();
        for ends in edges.values_mut() {
            ends.retain(|name| starts.contains(name));
        }
        let ends: BTreeSet<_> = edges.values().flatten().cloned().collect();
        edges.retain(|name, uses| !uses.is_empty() && ends.contains(name));
        if edges.values().map(BTreeSet::len).sum::<usize>() == before {
            return edges;
        }
    }
}

/// What modules of these names and texts use.
fn uses_of(texts: &BTreeMap<Module, String>) -> Uses {
    let modules: BTreeSet<_> = texts.keys().cloned().collect();
    let used = |(module, text): (&Module, &String)| {
        let paths = used_paths(text);
        let used = paths.iter().filter_map(|path| resolve(module, path, &modules)).collect();
        (module.clone(), used)
    };
    texts.iter().map(used).collect()
}

/// Breaks if two modules of one folder use each other, directly or through others.
#[test]
fn modules_of_a_folder_use_each_other_without_cycles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut texts = BTreeMap::new();
    for path in files {
        let below = path.strip_prefix(&root).unwrap();
        let Some(text) = product_text(&root, below) else { continue };
        let name = below.with_extension("");
        let mut module: Module =
            name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        // The fuzz targets know what they test, and only tests know them.
        if ["fuzz", "fuzzing", "lib", "main"].iter().any(|name| module.contains(&(*name).into())) {
            continue;
        }
        module.pop_if(|last| last == "mod");
        texts.insert(module, text);
    }
    let uses = uses_of(&texts);
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 500, "the uses were not found");
    let folders: BTreeSet<_> =
        texts.keys().flat_map(|module| (0..module.len()).map(|n| module[..n].to_vec())).collect();
    let wrong: Vec<_> = folders
        .iter()
        .map(|folder| (folder, cycle(&uses, folder)))
        .filter(|(_, cycle)| !cycle.is_empty())
        .map(|(folder, cycle)| format!("{}: {cycle:?}", folder.join("/")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Breaks if the test above does not see a use in one of its forms.
#[test]
fn cycles_are_seen_in_each_form() {
    let cycles = |a: &str, b: &str| {
        let module = |path: &str| path.split('/').map(str::to_owned).collect::<Module>();
        let texts = [("x", ""), ("x/a", a), ("x/b", b), ("x/b/c", ""), ("x/c", "use super::a;")];
        let texts = texts.into_iter().map(|(name, text)| (module(name), text.to_owned())).collect();
        !cycle(&uses_of(&texts), &module("x")).is_empty()
    };
    for b in [
        "use super::a;",
        "use super::{a::{self, B}, c};",
        "use crate::x::{\n    a::B,\n};",
        "pub(super) use super::a::B as C;",
        "fn f() { super::a::f() }",
        "fn f() -> crate::x::a::B { g() }",
    ] {
        assert!(cycles("use super::b::c::D;", b), "{b}");
        assert!(!cycles("use std::fmt;", b), "{b}");
    }
    assert!(!cycles("use super::b;", "// see super::a\nuse crate::y::a;\nuse self::c;"));
    assert!(cycles("use super::b;", "use super::c;"), "through a third module");
}
