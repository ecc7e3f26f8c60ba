//! Resolves the sbt builds of a repository to packages.
//!
//! Input: the files of the builds, in any order. Output: the modules that each file requires, with the values of
//! the names that its build defines, and a warning for each name without a value. The file's own names come
//! first, then those of its build (`*.sbt` of the folder, `project/*.scala`), then those of the folders above.
//!
//! Invariants: the order of the files does not matter; a name with different values in files of one build has no
//! value; the work for a name is bounded by the depth of the folder.

use super::{
    home, is_in_project, is_of_build,
    modules::{Cross, Module},
    scope_of,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::{Budget, NODE},
    collect::{Collector, Declared},
    expression,
    facts::{Fact, Facts},
    path::{file_name, folder_of, upwards},
    script::{Constants, Definition, plain_name},
    step::Joining,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Package, Source},
};
use std::collections::{HashMap, HashSet};

/// The number of folders above a file that are searched.
const MAX_FOLDERS: usize = 32;

/// Bytes of an average entry.
const USUAL_ENTRY: usize = 256;

/// The standard libraries of Scala 3 and 2, whose versions are those of Scala.
const LIBRARIES: [&str; 2] = ["org.scala-lang:scala3-library_3", "org.scala-lang:scala-library"];

/// The contents of a file of an sbt build.
#[derive(Debug)]
pub(super) struct SbtFile {
    pub(super) file: String,
    pub(super) constants: Constants,
    /// The version of Scala, as written.
    pub(super) scala: Option<String>,
    pub(super) modules: Vec<Module>,
}

impl Fact for SbtFile {
    fn size(&self) -> usize {
        let modules = self.modules.iter().map(|module| module.text_len() + self.file.len());
        let constants = self.constants.iter();
        let names = constants.map(|(name, value)| name.len() + value.text().map_or(0, str::len));
        1 + modules.chain(names).map(|bytes| 1 + bytes / USUAL_ENTRY).sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|files: &mut Vec<Self>| files.push(*self));
    }
}

/// Resolves the builds of one repository.
pub(in crate::ecosystem) fn resolve_builds(joining: &mut Joining<'_>) {
    let files: Vec<SbtFile> = joining.facts.take();
    if !files.is_empty() {
        let found = resolve(files, &*joining.packages, joining.budget);
        joining.add(found);
    }
}

fn resolve(mut files: Vec<SbtFile>, packages: &[Package], budget: &Budget) -> Findings {
    files.sort_by(|a, b| a.file.cmp(&b.file));
    let builds = builds(&files, packages);
    let of_projects = files.iter().filter(|file| is_in_project(&file.file));
    let roots = of_projects.map(|file| folder_of(folder_of(&file.file))).collect();
    let mut all = Findings::default();
    for file in files.iter().filter(|file| !file.modules.is_empty()) {
        let source = SourceFile { path: &file.file, bytes: b"", budget };
        let around = folders(file, &roots).filter_map(|folder| builds.get(folder)).collect();
        let mut names = Names { own: &file.constants, around, scala: None, budget };
        names.scala = names.scala_version(file);
        let found = Collector::new(source, Ecosystem::Maven, Source::Manifest);
        let mut writer = Writer { names, found };
        for module in &file.modules {
            writer.add(module);
        }
        let findings = writer.found.finish();
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    all
}

/// The folders whose files define names for a file, up to the root of its build: the folder with `project/`. The
/// build of the build does not know the names of the build.
fn folders<'f>(file: &'f SbtFile, roots: &HashSet<&str>) -> impl Iterator<Item = &'f str> {
    let depth = if is_of_build(&file.file) { 1 } else { MAX_FOLDERS };
    let mut is_within = true;
    upwards(home(&file.file))
        .take(depth)
        .take_while(move |folder| std::mem::replace(&mut is_within, !roots.contains(folder)))
}

/// The definitions of the files of one build.
#[derive(Default)]
struct Build<'a> {
    names: HashMap<&'a str, Definition<'a>>,
    /// The versions of Scala of its files, as written; and that of its lock file.
    scala: Vec<&'a str>,
    locked: Option<&'a str>,
}

/// The builds by their folders.
fn builds<'a>(files: &'a [SbtFile], packages: &'a [Package]) -> HashMap<&'a str, Build<'a>> {
    let mut builds: HashMap<&str, Build<'_>> = HashMap::new();
    for file in files {
        let build = builds.entry(home(&file.file)).or_default();
        for (name, value) in file.constants.iter() {
            let known = build.names.entry(name).or_insert(value);
            if *known != value {
                *known = Definition::Ambiguous;
            }
        }
        build.scala.extend(file.scala.as_deref());
    }
    for package in packages.iter().filter(|package| file_name(&package.file) == "build.sbt.lock") {
        let Some(build) = builds.get_mut(folder_of(&package.file)) else { continue };
        let is_scala_3 = package.name == LIBRARIES[0];
        if is_scala_3 || (package.name == LIBRARIES[1] && build.locked.is_none()) {
            build.locked = package.version.as_deref();
        }
    }
    builds
}

/// The names that apply to one file.
struct Names<'b> {
    own: &'b Constants,
    /// The builds of the folder and of the folders above, the nearest first.
    around: Vec<&'b Build<'b>>,
    scala: Option<String>,
    /// Charged for the lookup of each name in each build.
    budget: &'b Budget,
}

impl Names<'_> {
    fn expand(&self, text: &str) -> Result<String, String> {
        expression::expand(text, &|name| self.get(name))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let lookups = NODE * (1 + self.around.len() as u64);
        if !self.budget.spend(lookups + name.len() as u64) {
            return None;
        }
        let name = plain_name(name);
        // The values of sbt's own keys.
        match (name.as_str(), &self.scala) {
            ("scalaOrganization.value", _) => return Some("org.scala-lang"),
            ("scalaVersion.value", Some(scala)) => return Some(scala),
            _ => {}
        }
        let around =
            || self.around.iter().find_map(|build| build.names.get(name.as_str()).copied());
        self.own.look_up(&name).or_else(around)?.text()
    }

    /// The version of Scala for the modules of a file.
    fn scala_version(&self, file: &SbtFile) -> Option<String> {
        let of_builds = self.around.iter().flat_map(|build| build.scala.iter().copied());
        let written = file.scala.as_deref().into_iter().chain(of_builds);
        let mut known = written.filter_map(|scala| self.expand(scala).ok());
        known
            .next()
            .or_else(|| self.around.iter().find_map(|build| build.locked).map(str::to_owned))
    }
}

struct Writer<'b, 'f> {
    names: Names<'b>,
    found: Collector<'f>,
}

impl Writer<'_, '_> {
    fn add(&mut self, module: &Module) {
        let line = module.line;
        let expand = |name: &str| self.names.expand(name);
        let (group, artifact) = match (expand(&module.group), expand(&module.artifact)) {
            (Ok(group), Ok(artifact)) => (group, artifact),
            (Err(unknown), _) | (_, Err(unknown)) => {
                let unknown = text::excerpt(&unknown);
                let message = format!("`{unknown}` has no single value here");
                return self.found.warn(line, message);
            }
        };
        let mut name = format!("{group}:{artifact}");
        if let Some(scala) = self.names.scala.as_deref().filter(|_| module.cross == Cross::Scala) {
            name.push('_');
            name.push_str(if module.is_full { scala } else { binary(scala) });
        }
        let version = expand(&module.version);
        if let Err(unknown) = &version {
            let (name, unknown) = (text::excerpt(&name), text::excerpt(unknown));
            let message = format!("`{name}`: `{unknown}` has no single value here");
            self.found.warn(line, message);
        }
        let range = |text: &str| text.contains(['[', '(', ',', '+']) || text.starts_with("latest.");
        let exact = version.as_deref().ok().filter(|text| !range(text));
        let specifier =
            exact.is_none().then(|| version.as_deref().unwrap_or(module.version.as_ref()));
        let scope = module.scope.unwrap_or_else(|| scope_of(module.configuration.as_deref()));
        self.found.add(Declared {
            name: &name,
            version: exact,
            specifier,
            line,
            direct: Some(true),
            scope: Some(scope),
        });
    }
}

/// The part of a Scala version that libraries are compiled for: `2.13`, `3`.
fn binary(version: &str) -> &str {
    let parts = if version.starts_with("2.") { 2 } else { 1 };
    let end = version.match_indices('.').nth(parts - 1).map(|(at, _)| at);
    version.get(..end.unwrap_or(version.len())).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::parser_for;

    #[test]
    fn binary_versions() {
        for (version, expected) in
            [("2.13.14", "2.13"), ("2.12", "2.12"), ("3.3.1", "3"), ("3", "3")]
        {
            assert_eq!(binary(version), expected);
        }
    }

    /// Compares the findings of these files together: `name version file`.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let (mut facts, mut packages): (Vec<SbtFile>, Vec<Package>) = (Vec::new(), Vec::new());
        for (path, text) in files {
            let findings =
                parser_for(path).unwrap().parse(SourceFile::alone(path, text.as_bytes()));
            if findings.fact.is_some() {
                facts.push(findings.into_fact());
            } else {
                packages.extend(findings.packages);
            }
        }
        let found = resolve(facts, &packages, Budget::alone(1 << 20));
        let shown = found.packages.iter().map(|package| {
            let version = package.version.as_deref().unwrap_or("-");
            format!("{} {version} {}", package.name, package.file)
        });
        let warnings = found.warnings.iter().map(|warning| warning.message.clone());
        assert_eq!(shown.chain(warnings).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_and_scala_versions_apply_to_the_whole_build() {
        let dependencies = "import sbt._\nobject Dependencies {\n  val scala2 = \"2.13.14\"\n  val Versions = new { val circe = \"0.14.7\" }\n\
                            val circe = \"io.circe\" %% \"circe-core\" % Versions.circe\n  val twice = \"1\"\n}\n";
        check(
            &[
                ("project/Dependencies.scala", dependencies),
                ("project/plugins.sbt", "libraryDependencies += \"g\" %% \"of-build\" % \"1.0\"\n"),
                (
                    "build.sbt",
                    "ThisBuild / scalaVersion := Dependencies.scala2\nval twice = \"2\"\n\
                     libraryDependencies += \"g\" %% \"a\" % Dependencies.Versions.circe\n",
                ),
                ("core/build.sbt", "libraryDependencies += \"g\" %% \"b\" % twice\n"),
                ("apart/project/plugins.sbt", ""),
                ("apart/build.sbt", "libraryDependencies += \"g\" %% \"apart\" % \"1.2\"\n"),
                (
                    "other/build.sbt",
                    "scalaVersion := \"3.3.1\"\nlibraryDependencies += \"g\" %% \"c\" % \"1.1\"\n",
                ),
            ],
            &[
                "g:apart 1.2 apart/build.sbt",
                "g:a_2.13 0.14.7 build.sbt",
                "g:b_2.13 - core/build.sbt",
                "g:c_3 1.1 other/build.sbt",
                "io.circe:circe-core_2.13 0.14.7 project/Dependencies.scala",
                "g:of-build 1.0 project/plugins.sbt",
                "`g:b_2.13`: `${twice}` has no single value here",
            ],
        );
    }

    #[test]
    fn a_lock_file_states_the_scala_version_that_the_build_does_not() {
        let lock = "{\"lockVersion\": 1, \"dependencies\": [{\"org\": \"org.scala-lang\", \"name\": \"scala-library\", \"version\": \"2.13.15\"}]}";
        check(
            &[
                ("build.sbt", "libraryDependencies += \"g\" %% \"a\" % \"1.0\"\n"),
                ("build.sbt.lock", lock),
            ],
            &["g:a_2.13 1.0 build.sbt"],
        );
    }
}
