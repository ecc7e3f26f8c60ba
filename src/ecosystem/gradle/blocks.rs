//! The kinds of blocks of a build script.
//!
//! Input: the words of the statement before a block, and the block around it. Output: what the block contains.
//! Invariants: only blocks of a project, of its source sets, suites and variants, and of the build itself require
//! modules. In a block of something unknown, as plugins define them, only statements with the name of a usual
//! configuration count.

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Block {
    /// A project, the build or the settings, or code in them.
    Project,
    /// Source sets, suites or variants, within which every `dependencies` block is the project's.
    Sets,
    /// Something unknown.
    Unknown,
    Dependencies,
    /// `dependencies` of something unknown.
    UsualDependencies,
    Constraints,
    /// `dependencyManagement` of Spring's plugin.
    Management,
    /// The BOMs that it imports.
    Imports,
    /// The versions that it sets.
    Managed,
    Plugins,
    /// The plugins that the project builds.
    OwnPlugins,
    /// A block whose contents are ignored.
    Ignored,
}

/// Blocks whose `dependencies` select or describe modules: filters of tasks, metadata of publications, reports.
const FOREIGN: [&str; 29] = [
    "tasks",
    "task",
    "publishing",
    "publications",
    "mavenPublication",
    "pom",
    "withXml",
    "dependencySubstitution",
    "resolutionStrategy",
    "configurations",
    "componentSelection",
    "components",
    "modules",
    "dependencyCheck",
    "dependencyUpdates",
    "dependencyAnalysis",
    "dependencyLicenseReport",
    "license",
    "licenses",
    "licensee",
    "licenseReport",
    "aboutLibraries",
    "jarJar",
    "relocate",
    "relocation",
    "minimize",
    "modrinth",
    "curseforge",
    "publishMods",
];

/// The extension of Spring's dependency management plugin, by its name and by its type.
const MANAGEMENT: [&str; 2] = ["dependencyManagement", "DependencyManagementExtension"];

/// Blocks of source sets, test suites and variants.
const SETS: [&str; 10] = [
    "sourceSets",
    "testing",
    "suites",
    "kotlin",
    "android",
    "androidComponents",
    "buildTypes",
    "productFlavors",
    "targets",
    "compilations",
];

/// Blocks and methods that run their closure for a project, the build or the settings.
const PROJECT: [&str; 32] = [
    "allprojects",
    "subprojects",
    "project",
    "projects",
    "rootProject",
    "configure",
    "buildscript",
    "initscript",
    "pluginManagement",
    "dependencyResolutionManagement",
    "settings",
    "gradle",
    "afterEvaluate",
    "beforeEvaluate",
    "projectsEvaluated",
    "projectsLoaded",
    "settingsEvaluated",
    "beforeProject",
    "afterProject",
    "withId",
    "withPlugin",
    "plugins",
    "pluginManager",
    "extensions",
    "library",
    "application",
    "fun",
    "def",
    "val",
    "class",
    "object",
    "void",
];

/// Methods that run their closure for each element, or for the object itself.
const SCOPES: [&str; 12] = [
    "each",
    "forEach",
    "onEach",
    "eachWithIndex",
    "all",
    "configureEach",
    "run",
    "apply",
    "also",
    "let",
    "with",
    "tap",
];

/// Blocks that describe the plugins that the project builds.
const OWN_PLUGINS: [&str; 3] = ["gradlePlugin", "GradlePluginDevelopmentExtension", "pluginBundle"];

/// Conditions and loops.
const CONTROL: [&str; 9] =
    ["if", "else", "for", "while", "when", "switch", "try", "catch", "finally"];

impl Block {
    /// The kind of a block within this one. `name` is the word before its bracket, `words` are the words and texts
    /// of the statement, including the name.
    pub(super) fn inside(self, name: Option<&str>, words: &[&str]) -> Self {
        match (self, name) {
            // Without a name it is the block of a loop or a condition, after its bracket.
            (Self::Ignored | Self::OwnPlugins | Self::Plugins | Self::Constraints, _)
            | (
                Self::Dependencies | Self::UsualDependencies | Self::Imports | Self::Managed,
                None,
            ) => self,
            (Self::Imports | Self::Managed, Some(_)) => Self::Ignored,
            (Self::Management, _) => Self::of_management(name),
            _ if words.iter().any(|word| MANAGEMENT.contains(word)) => match name {
                Some("imports" | "dependencies") => Self::of_management(name),
                _ => Self::Management,
            },
            (Self::Dependencies | Self::UsualDependencies, Some("constraints")) => {
                Self::Constraints
            }
            (Self::Dependencies | Self::UsualDependencies, Some(name)) => {
                let is_code = SCOPES.contains(&name) || CONTROL.contains(&name);
                if is_code { self } else { Self::Ignored }
            }
            _ if words.iter().any(|word| OWN_PLUGINS.contains(word)) => Self::OwnPlugins,
            (Self::Project, Some("plugins")) => Self::Plugins,
            (_, Some("dependencies")) => {
                let owner = words.split_last().map_or(words, |(_, owner)| owner);
                match self.of_statement(owner) {
                    Self::Ignored => Self::Ignored,
                    Self::Unknown => Self::UsualDependencies,
                    _ => Self::Dependencies,
                }
            }
            _ => self.of_statement(words),
        }
    }

    /// The kind of a block in `dependencyManagement`.
    fn of_management(name: Option<&str>) -> Self {
        match name {
            Some("imports") => Self::Imports,
            Some("dependencies") => Self::Managed,
            _ => Self::Ignored,
        }
    }

    /// The kind of a block that is not named `dependencies` or `plugins`.
    fn of_statement(self, words: &[&str]) -> Self {
        let has = |known: &[&str]| words.iter().any(|word| known.contains(word));
        let is_shadow = words.iter().any(|word| word.eq_ignore_ascii_case("shadowJar"));
        if words.is_empty() || has(&CONTROL) {
            self
        } else if has(&FOREIGN) || is_shadow {
            Self::Ignored
        } else if self == Self::Sets || has(&SETS) {
            Self::Sets
        } else if has(&PROJECT) || has(&SCOPES) {
            self
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &[&str], expected: Block) {
        let block = path.iter().fold(Block::Project, |outer, statement| {
            let words: Vec<_> = statement.split_whitespace().collect();
            outer.inside(words.last().copied(), &words)
        });
        assert_eq!(block, expected, "{path:?}");
    }

    #[test]
    fn blocks_of_the_project_require_modules() {
        for path in [
            &["dependencies"][..],
            &["buildscript", "dependencies"],
            &["allprojects", "dependencies"],
            &["project :core", "dependencies"],
            &["rootProject dependencies"],
            &["plugins withId java", "dependencies"],
            &["kotlin", "sourceSets", "commonMain", "dependencies"],
            &["sourceSets commonMain dependencies"],
            &["testing", "suites", "register it JvmTestSuite", "dependencies"],
            &["android", "x", "dependencies"],
            &["if project hasProperty", "dependencies", "listOf forEach"],
        ] {
            check(path, Block::Dependencies);
        }
        check(&["dependencies", "constraints"], Block::Constraints);
        check(&["pluginManagement", "plugins"], Block::Plugins);
    }

    #[test]
    fn blocks_of_plugins_do_not() {
        for path in [
            &["tasks", "shadowJar", "dependencies"][..],
            &["tasks named x ShadowJar", "dependencies"],
            &["shadowJar dependencies"],
            &["publishing", "publications", "dependencies"],
            &["subprojects", "jarJar", "dependencies"],
            &["dependencies", "components"],
            &["dependencies", "intellijPlatform"],
            &["dependencyManagement", "generatedPomCustomization"],
        ] {
            check(path, Block::Ignored);
        }
        check(&["somePlugin", "dependencies"], Block::UsualDependencies);
        check(&["subprojects", "dependencyManagement", "imports"], Block::Imports);
        check(&["configure DependencyManagementExtension", "imports"], Block::Imports);
        check(&["dependencyManagement", "dependencies"], Block::Managed);
        check(&["dependencyManagement imports"], Block::Imports);
        check(&["somePlugin", "project all", "dependencies"], Block::UsualDependencies);
        check(&["gradlePlugin", "plugins", "create x"], Block::OwnPlugins);
        check(&["gradlePlugin plugins register x"], Block::OwnPlugins);
    }
}
