//! `Jenkinsfile`, by "Using Docker with Pipeline", "Pipeline Syntax" and "Extending with Shared Libraries" of
//! Jenkins' handbook, and the steps of its Docker and Kubernetes plugins.
//!
//! Input: a pipeline, declarative or scripted, which is never run. Output: the images of `agent { docker … }`,
//! `docker.image(…)`, `containerTemplate(…)` and of the pods in `yaml '''…'''`; and the shared libraries whose
//! version the pipeline names.
//!
//! Decisions. A name has the value that the file defines. An image inside `docker.withRegistry('https://…')` and
//! beside `registryUrl` belongs to that registry, unless it names one. A library is `generic`, because the
//! purl specification has no type for libraries of Jenkins; a branch is a specifier.
//!
//! Invariants: what `docker.build` builds is not a package; comments and shell scripts name nothing.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    container, git_reference,
    image::Images,
    path::file_name,
    script::{self, Constants, Dialect, Tokens, value},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Longest reference in bytes that is expanded.
const MAX_LENGTH: usize = 1000;

/// Tokens of a block, and of a line, in which an option is searched.
const MAX_BLOCK: usize = 400;
const MAX_LINE: usize = 80;

/// Reads `Jenkinsfile` and similar names.
#[derive(Debug)]
pub(in crate::ecosystem) struct Jenkinsfile;

impl Parser for Jenkinsfile {
    fn name(&self) -> &'static str {
        "jenkinsfile"
    }

    fn wants(&self, path: &str) -> bool {
        const OTHERS: [&str; 5] = [".md", ".txt", ".sh", ".yaml", ".yml"];
        let file = file_name(path).to_ascii_lowercase();
        let is_named = file
            .strip_prefix("jenkinsfile")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
            || file.strip_suffix("jenkinsfile").is_some_and(|rest| rest.ends_with(['.', '-', '_']));
        is_named && !OTHERS.iter().any(|end| file.ends_with(end))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Docker, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Groovy);
        tokens.warn(&mut found);
        let constants = Constants::of(&tokens);
        let (built, libraries) = (HashSet::new(), HashSet::new());
        let (tokens, images) = (&tokens, Images::default());
        let mut pipeline =
            Pipeline { tokens, constants, built, images, libraries, found: &mut found };
        pipeline.find_built();
        pipeline.read();
        found.finish()
    }
}

struct Pipeline<'p, 'f, 'a> {
    tokens: &'p Tokens<'a>,
    constants: Constants,
    /// The names of the images that are built here, without tag.
    built: HashSet<String>,
    images: Images,
    libraries: HashSet<String>,
    found: &'p mut Collector<'f>,
}

impl Pipeline<'_, '_, '_> {
    /// `docker.build('name')`: the name is that of the result.
    fn find_built(&mut self) {
        for at in 0..self.tokens.len() {
            if self.is_call_of_docker(at, "build")
                && let Some(reference) = self.text(at + 4)
            {
                self.built.insert(without_tag(&reference).to_owned());
            }
        }
    }

    fn read(&mut self) {
        let tokens = self.tokens;
        // The registries around this place, with the ends of their blocks.
        let mut registries: Vec<(usize, String)> = Vec::new();
        for at in 0..tokens.len() {
            if !self.found.budget().visit() {
                return;
            }
            while registries.last().is_some_and(|(end, _)| *end <= at) {
                registries.pop();
            }
            let is_member = at > 0 && tokens.is_mark(at - 1, '.');
            match tokens.word(at) {
                Some("docker") if self.is_call_of_docker(at, "image") => {
                    let registry = registries.last().map(|(_, host)| host.as_str());
                    self.image(at + 4, registry);
                }
                Some("docker") if self.is_call_of_docker(at, "withRegistry") => {
                    let block = tokens.skip_lines(tokens.behind_bracket(at + 3));
                    let host = self.text(at + 4).map(|address| host_of(&address).to_owned());
                    if let (true, Some(host)) = (tokens.is_mark(block, '{'), host) {
                        registries.push((tokens.behind_bracket(block), host));
                    }
                }
                Some("docker" | "containerTemplate") if !is_member => self.container(at + 1),
                Some("yaml") if !is_member => self.pod(at + 1),
                Some("Library") if at > 0 && tokens.is_mark(at - 1, '@') => {
                    for element in tokens.elements(at + 1) {
                        self.each_library(element.start);
                    }
                }
                Some("library") if !is_member => {
                    let named = self.argument(at + 1, "identifier").unwrap_or(at + 1);
                    self.library(if tokens.is_mark(named, '(') { named + 1 } else { named });
                }
                _ => {}
            }
        }
    }

    /// Whether `docker.name(` begins here.
    fn is_call_of_docker(&self, at: usize, name: &str) -> bool {
        let tokens = self.tokens;
        tokens.word(at) == Some("docker")
            && tokens.is_mark(at + 1, '.')
            && tokens.word(at + 2) == Some(name)
            && tokens.is_mark(at + 3, '(')
    }

    /// Behind `docker`: `'a/b:1'`, `('a/b:1')`, `{ image 'a/b:1' }`, `(image: 'a/b:1')`, `image: 'a/b:1'`.
    fn container(&mut self, at: usize) {
        let tokens = self.tokens;
        match tokens.mark(at) {
            Some('{') => {
                let Some(image) = self.option(at, "image") else { return };
                let registry = self.option(at, "registryUrl").and_then(|at| self.text(at));
                self.image(image, registry.as_deref().map(host_of));
            }
            Some('(') => self.image(self.argument(at, "image").unwrap_or(at + 1), None),
            None if tokens.text(at).is_some() => self.image(at, None),
            None if tokens.word(at).is_some() && tokens.is_mark(at + 1, ':') => {
                if let Some(image) = self.argument(at, "image") {
                    self.image(image, None);
                }
            }
            _ => {}
        }
    }

    /// The place of the value of an option in the block that begins here. An option stands at the beginning of
    /// a line, or behind the brace or a `;`.
    fn option(&self, at: usize, name: &str) -> Option<usize> {
        let tokens = self.tokens;
        let end = tokens.behind_bracket(at).min(at + MAX_BLOCK);
        let mut places = at + 1..end;
        let option = places.find(|place| {
            tokens.word(*place) == Some(name)
                && (tokens.ends_line(place - 1)
                    || matches!(tokens.mark(place - 1), Some('{' | ';')))
        })?;
        Some(option + 1)
    }

    /// The place of the value of a named argument: in the brackets that begin here, or on this line.
    fn argument(&self, at: usize, name: &str) -> Option<usize> {
        let tokens = self.tokens;
        let is_named =
            |place: &usize| tokens.word(*place) == Some(name) && tokens.is_mark(place + 1, ':');
        let named = if tokens.is_mark(at, '(') {
            tokens.elements(at).into_iter().map(|element| element.start).find(is_named)
        } else {
            let is_on_line =
                |place: &usize| !(tokens.ends_line(*place) || tokens.is_mark(*place, '}'));
            (at..at + MAX_LINE).take_while(is_on_line).find(is_named)
        };
        named.map(|place| place + 2)
    }

    /// The text here, with the names that the file defines. An unknown name stays `${name}`.
    fn text(&self, at: usize) -> Option<String> {
        let (written, _) = value(self.tokens, at)?;
        if written.len() > MAX_LENGTH {
            return None;
        }
        // `env.NAME` is what an `environment` block defines.
        let bare = written.replace("${env.", "${");
        Some(self.constants.expand(&bare).unwrap_or(written))
    }

    fn image(&mut self, at: usize, registry: Option<&str>) {
        let Some(reference) = self.text(at) else { return };
        if self.built.contains(without_tag(&reference)) {
            return;
        }
        let reference = match registry.filter(|host| !host.is_empty()) {
            Some(host) if !has_registry(&reference) => format!("{host}/{reference}"),
            _ => reference,
        };
        if self.found.budget().copy(reference.len()) {
            let line = self.tokens.line(at);
            self.images.add_or_warn(&reference, line, Scope::Build, self.found);
        }
    }

    /// Behind `yaml`: `'''…'''`, `: '''…'''`, `('''…''')`.
    fn pod(&mut self, at: usize) {
        let tokens = self.tokens;
        let at = if matches!(tokens.mark(at), Some(':' | '(')) { at + 1 } else { at };
        if let Some(text) = tokens.text(at) {
            // The first line of the text is that of its quotes.
            let above = tokens.line(at).saturating_sub(1);
            container::read_pod(text, above, &mut self.images, self.found);
        }
    }

    /// `'name@1.0'`, a list of those, or either behind `value =`.
    fn each_library(&mut self, at: usize) {
        let tokens = self.tokens;
        let at = if tokens.is_mark(at + 1, '=') { at + 2 } else { at };
        if tokens.is_mark(at, '[') {
            for element in tokens.elements(at) {
                self.library(element.start);
            }
        } else {
            self.library(at);
        }
    }

    fn library(&mut self, at: usize) {
        let tokens = self.tokens;
        // Without a version, the settings of Jenkins select one.
        let Some((name, wanted)) = tokens.text(at).and_then(|text| text.split_once('@')) else {
            return;
        };
        let is_name = !name.is_empty() && !name.contains(['$', ' ', ':']);
        if is_name && !wanted.is_empty() && self.libraries.insert(format!("{name}@{wanted}")) {
            let (version, specifier) = git_reference::split(wanted);
            let (line, direct, scope) = (tokens.line(at), Some(true), Some(Scope::Build));
            let declared = Declared { name, version, specifier, line, direct, scope };
            self.found.add_of(Ecosystem::Generic, declared);
        }
    }
}

/// The reference without tag and digest.
fn without_tag(reference: &str) -> &str {
    let path = reference.rfind('/').map_or(0, |slash| slash + 1);
    let last = reference.get(path..).unwrap_or_default();
    let end = last.find([':', '@']).unwrap_or(last.len());
    reference.get(..path + end).unwrap_or(reference)
}

/// The host of the address of a registry; empty for Docker Hub.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    let is_hub = matches!(host, "index.docker.io" | "docker.io" | "registry.hub.docker.com")
        || host == "registry-1.docker.io";
    if is_hub || host.contains(['$', '@']) { "" } else { host }
}

/// Whether a reference names its registry, or begins with a variable that may be one.
fn has_registry(reference: &str) -> bool {
    let first = reference.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
        || reference.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_wanted() {
        for path in ["Jenkinsfile", "ci/Jenkinsfile.release", "kite.jenkinsfile", "a/jenkinsfile"] {
            assert!(Jenkinsfile.wants(path), "{path}");
        }
        for path in ["Jenkinsfiles", "Jenkinsfile.md", "jenkins.yaml", "Jenkinsfile-pod.yaml"] {
            assert!(!Jenkinsfile.wants(path), "{path}");
        }
    }

    #[test]
    fn a_name_has_no_tag() {
        for reference in ["h.example:5000/a/b", "h.example:5000/a/b:1", "h.example:5000/a/b@x:1"] {
            assert_eq!(without_tag(reference), "h.example:5000/a/b");
        }
    }

    #[test]
    fn docker_hub_is_no_registry_of_its_own() {
        assert_eq!(host_of("https://h.example:5000/v2/"), "h.example:5000");
        for hub in ["https://index.docker.io/v1/", "", "h.example", "https://${HOST}"] {
            assert_eq!(host_of(hub), "", "{hub}");
        }
    }
}
