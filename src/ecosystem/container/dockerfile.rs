//! Dockerfiles, by the "Dockerfile reference" of Docker's manual.
//!
//! Input: `FROM`, `ARG`, `COPY --from=` and `RUN --mount=…,from=`. Output: the images that the build starts
//! from or copies from. Decisions: the base image of the last stage has the scope `runtime`, all others
//! `build`; an `ARG` has its default value.
//!
//! Invariants: a stage of the file, by name or number, and `scratch` are not images.

use super::instructions::{self, Instruction};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::Collector,
    image::{Images, expand},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads Dockerfiles, whatever their file name.
#[derive(Debug)]
pub(in crate::ecosystem) struct Dockerfile;

impl Parser for Dockerfile {
    fn name(&self) -> &'static str {
        "dockerfile"
    }

    fn wants(&self, path: &str) -> bool {
        const NAMES: [&str; 2] = ["dockerfile", "containerfile"];
        const OTHERS: [&str; 4] = [".dockerignore", ".md", ".txt", ".sh"];
        let file = file_name(path).to_ascii_lowercase();
        let is_named = NAMES.iter().any(|name| {
            file.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
                || file.strip_suffix(name).is_some_and(|rest| rest.ends_with(['.', '-', '_']))
        });
        is_named && !OTHERS.iter().any(|suffix| file.ends_with(suffix))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        let text = text::decode(file.bytes);
        let build = Build::of(&text, found.budget());
        if build.stages.is_empty() {
            if !text.trim().is_empty() {
                found.warn(1, "no `FROM` instruction");
                return found.unreadable();
            }
            return found.finish();
        }
        build.list(0, &mut Images::default(), &mut found);
        found.finish()
    }
}

/// Reads a Dockerfile inside another file; `line` is the line of its key.
pub(super) fn read_inline(text: &str, line: u32, images: &mut Images, found: &mut Collector<'_>) {
    Build::of(text, found.budget()).list(line, images, found);
}

/// A longer `ARG` value is dropped: no image reference is that long, and a value that many others name
/// would be copied for each of them.
const LONGEST_VALUE: usize = 256;

/// Limit of stages, of images that are copied from, and of arguments; this bounds the memory.
const MAX_ITEMS: usize = 10_000;

/// The base of a stage.
#[derive(Debug)]
enum Base {
    Scratch,
    Stage(usize),
    Image { reference: String, line: u32 },
}

#[derive(Debug)]
struct Build<'b> {
    /// Charged for expanded variables; once it is used up, nothing more is read.
    budget: &'b Budget,
    /// The `ARG`s before the first stage, which are the ones that `FROM` can use.
    arguments: HashMap<String, String>,
    /// In the order of the file.
    stages: Vec<Base>,
    /// The last stage of each name, in lower case.
    names: HashMap<String, usize>,
    /// Images that are copied from or mounted, with their lines.
    others: Vec<(String, u32)>,
    is_cut_short: bool,
}

impl<'b> Build<'b> {
    fn of(text: &str, budget: &'b Budget) -> Self {
        let (arguments, names) = (HashMap::new(), HashMap::new());
        let (stages, others) = (Vec::new(), Vec::new());
        let mut build = Self { budget, arguments, stages, names, others, is_cut_short: false };
        for instruction in instructions::read(text).take_while(|_| budget.visit()) {
            build.read(&instruction);
        }
        budget.allow_listing();
        build
    }

    fn read(&mut self, instruction: &Instruction<'_>) {
        let (mut keyword, mut rest) = instruction.split();
        // An `ONBUILD` instruction runs in derived builds; it cannot be `FROM`.
        if keyword == "ONBUILD" {
            (keyword, rest) = instructions::split(rest);
        }
        match keyword.as_str() {
            "ARG" if self.stages.is_empty() => self.arguments(rest),
            "FROM" => self.stage(rest, instruction.line),
            "COPY" => {
                let options = rest.split_whitespace().take_while(|word| word.starts_with("--"));
                options.filter_map(|option| option.strip_prefix("--from=")).for_each(|from| {
                    self.other(from, instruction.line);
                });
            }
            "RUN" => {
                let options = rest.split_whitespace().take_while(|word| word.starts_with("--"));
                let mounts = options.filter_map(|option| option.strip_prefix("--mount="));
                let from = mounts
                    .flat_map(|mount| mount.split(','))
                    .filter_map(|option| option.strip_prefix("from="));
                from.for_each(|from| self.other(from, instruction.line));
            }
            _ => {}
        }
    }

    /// `ARG A=1 B="2"`
    fn arguments(&mut self, rest: &str) {
        for word in instructions::words(rest) {
            if let Some((name, value)) = word.split_once('=') {
                let value = self.expand(unquoted(value));
                if !self.budget.copy(value.len()) {
                    return;
                }
                let has_room =
                    self.arguments.len() < MAX_ITEMS || self.arguments.contains_key(name);
                if value.len() <= LONGEST_VALUE && has_room {
                    self.arguments.insert(name.to_owned(), value);
                } else {
                    self.arguments.remove(name);
                }
            }
        }
    }

    fn expand(&self, text: &str) -> String {
        expand(text, |name| self.arguments.get(name).map(String::as_str))
    }

    /// `FROM --platform=… image AS name`
    fn stage(&mut self, rest: &str, line: u32) {
        let mut words = instructions::words(rest).skip_while(|word| word.starts_with("--"));
        let reference = self.expand(unquoted(words.next().unwrap_or_default()));
        self.is_cut_short |= self.stages.len() >= MAX_ITEMS;
        if self.is_cut_short || !self.budget.copy(reference.len()) {
            return;
        }
        let is_as = words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
        let name = words.next().filter(|_| is_as).map(str::to_ascii_lowercase);
        let base = if reference.eq_ignore_ascii_case("scratch") {
            Base::Scratch
        } else if let Some(stage) = self.stage_of(&reference) {
            Base::Stage(stage)
        } else {
            Base::Image { reference, line }
        };
        self.names.extend(name.map(|name| (name, self.stages.len())));
        self.stages.push(base);
    }

    /// The last stage of this name so far.
    fn stage_of(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    fn other(&mut self, from: &str, line: u32) {
        let from = self.expand(unquoted(from));
        self.is_cut_short |= self.others.len() >= MAX_ITEMS;
        if self.is_cut_short || !self.budget.copy(from.len()) {
            return;
        }
        let is_number = !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number && !from.eq_ignore_ascii_case("scratch") && self.stage_of(&from).is_none() {
            self.others.push((from, line));
        }
    }

    /// Adds all images. `above` is the number of lines before the first one.
    fn list(&self, above: u32, images: &mut Images, found: &mut Collector<'_>) {
        let mut add = |reference: &str, line: u32, scope, found: &mut Collector<'_>| {
            let line = line.saturating_add(above);
            if !images.add(reference, line, scope, found) {
                let reference = text::excerpt(reference);
                found.warn(line, format!("`{reference}` is not a complete image name"));
            }
        };
        let mut last = self.stages.len().checked_sub(1);
        while let Some(base) = last.and_then(|stage| self.stages.get(stage)) {
            // A stage starts from an earlier one, so this ends.
            last = if let Base::Stage(above) = base { Some(*above) } else { None };
            if let Base::Image { reference, line } = base {
                add(reference, *line, Scope::Runtime, found);
            }
        }
        for base in &self.stages {
            if let Base::Image { reference, line } = base {
                add(reference, *line, Scope::Build, found);
            }
        }
        for (reference, line) in &self.others {
            add(reference, *line, Scope::Build, found);
        }
        if self.is_cut_short {
            let message = format!("more than {MAX_ITEMS} stages or images; the rest is skipped");
            found.warn(above.saturating_add(1), message);
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}
