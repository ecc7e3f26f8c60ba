//! Dockerfiles, by the "Dockerfile reference" of Docker's manual.
//!
//! What flows in: `FROM`, `ARG`, `COPY --from=` and `RUN --mount=…,from=`. What flows out: the images
//! that a build starts from or copies of. Decisions: the image below the last stage is what runs, all
//! others are there to build; an `ARG` has its default.
//!
//! What must stay true: a stage of the file, by name or number, and `scratch` are no images.

use super::{
    image::Images,
    instructions::{self, Instruction},
    variables::expand,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile, budget::Budget, collect::Collector, purl::Ecosystem,
    source::file_name, text,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashMap;

/// Reads Dockerfiles, whatever they are called.
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
                .is_some_and(|it| it.is_empty() || it.starts_with(['.', '-', '_']))
                || file.strip_suffix(name).is_some_and(|it| it.ends_with(['.', '-', '_']))
        });
        is_named && !OTHERS.iter().any(|it| file.ends_with(it))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        let text = text::decode(file.bytes);
        let build = Build::of(&text, found.budget());
        if build.stages.is_empty() {
            if !text.trim().is_empty() {
                found.warn(1, "no `FROM`: nothing is built");
                return found.unreadable();
            }
            return found.finish();
        }
        build.list(0, &mut Images::default(), &mut found);
        found.finish()
    }
}

/// Reads a Dockerfile that stands in another file, below the line of its key.
pub(super) fn read_inline(text: &str, line: u32, images: &mut Images, found: &mut Collector<'_>) {
    Build::of(text, found.budget()).list(line, images, found);
}

/// A value of an `ARG` that is longer, in bytes, is none: no reference of an image is, and one that
/// is named by many others would be copied for each.
const LONGEST_VALUE: usize = 256;

/// No file has more stages, more images that are copied from, or more arguments; it bounds the memory.
const MOST: usize = 10_000;

/// What a stage starts from.
#[derive(Debug)]
enum Base {
    Scratch,
    Stage(usize),
    Image { reference: String, line: u32 },
}

#[derive(Debug)]
struct Build<'b> {
    /// What variables come to is charged to it; once it is used up, nothing more is read.
    budget: &'b Budget,
    /// The `ARG`s before the first stage, which are those that a `FROM` knows.
    arguments: HashMap<String, String>,
    /// In their order.
    stages: Vec<Base>,
    /// The last stage of each name, in lower case.
    names: HashMap<String, usize>,
    /// What is copied or mounted of other images.
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
        // What an image has its heirs do; it cannot be `FROM`.
        if keyword == "ONBUILD" {
            (keyword, rest) = instructions::split(rest);
        }
        match keyword.as_str() {
            "ARG" if self.stages.is_empty() => self.arguments(rest),
            "FROM" => self.stage(rest, instruction.line),
            "COPY" => {
                let options = rest.split_whitespace().take_while(|it| it.starts_with("--"));
                options.filter_map(|it| it.strip_prefix("--from=")).for_each(|it| {
                    self.other(it, instruction.line);
                });
            }
            "RUN" => {
                let options = rest.split_whitespace().take_while(|it| it.starts_with("--"));
                let mounts = options.filter_map(|it| it.strip_prefix("--mount="));
                let from =
                    mounts.flat_map(|it| it.split(',')).filter_map(|it| it.strip_prefix("from="));
                from.for_each(|it| self.other(it, instruction.line));
            }
            _ => {}
        }
    }

    /// `ARG A=1 B="2"`
    fn arguments(&mut self, rest: &str) {
        for word in rest.split_whitespace() {
            if let Some((name, value)) = word.split_once('=') {
                let value = self.expand(unquoted(value));
                if !self.budget.copy(value.len()) {
                    return;
                }
                let has_room = self.arguments.len() < MOST || self.arguments.contains_key(name);
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
        let mut words = rest.split_whitespace().skip_while(|it| it.starts_with("--"));
        let reference = self.expand(unquoted(words.next().unwrap_or_default()));
        self.is_cut_short |= self.stages.len() >= MOST;
        if self.is_cut_short || !self.budget.copy(reference.len()) {
            return;
        }
        let is_as = words.next().is_some_and(|it| it.eq_ignore_ascii_case("as"));
        let name = words.next().filter(|_| is_as).map(str::to_ascii_lowercase);
        let base = if reference.eq_ignore_ascii_case("scratch") {
            Base::Scratch
        } else if let Some(stage) = self.stage_of(&reference) {
            Base::Stage(stage)
        } else {
            Base::Image { reference, line }
        };
        self.names.extend(name.map(|it| (it, self.stages.len())));
        self.stages.push(base);
    }

    /// The stage of a name above, of several the last.
    fn stage_of(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    fn other(&mut self, from: &str, line: u32) {
        let from = self.expand(unquoted(from));
        self.is_cut_short |= self.others.len() >= MOST;
        if self.is_cut_short || !self.budget.copy(from.len()) {
            return;
        }
        let is_number = !from.is_empty() && from.bytes().all(|it| it.is_ascii_digit());
        if !is_number && !from.eq_ignore_ascii_case("scratch") && self.stage_of(&from).is_none() {
            self.others.push((from, line));
        }
    }

    /// `above` is how many lines stand above the first.
    fn list(&self, above: u32, images: &mut Images, found: &mut Collector<'_>) {
        let mut add = |reference: &str, line: u32, scope, found: &mut Collector<'_>| {
            let line = line.saturating_add(above);
            if !images.add(reference, line, scope, found) {
                let reference = text::excerpt(reference);
                found
                    .warn(line, format!("`{reference}` is the name of no image, or not all of it"));
            }
        };
        let mut last = self.stages.len().checked_sub(1);
        while let Some(base) = last.and_then(|it| self.stages.get(it)) {
            // A stage starts from one above it, so that this ends.
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
            let message =
                format!("more than {MOST} stages or images: the rest of them is not read");
            found.warn(above.saturating_add(1), message);
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}
