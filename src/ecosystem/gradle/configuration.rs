//! The scopes of Gradle configurations by their names: those of the Java, Groovy, Android and Kotlin
//! plugins, and source sets that follow the same pattern.

use crate::model::scan_result::Scope;

/// The scope of a configuration; none if its name does not determine one.
pub(super) fn scope(configuration: &str) -> Option<Scope> {
    let name = configuration.to_ascii_lowercase();
    let ends = |all: &[&str]| all.iter().any(|suffix| name.ends_with(suffix));
    if name.contains("test") {
        return Some(Scope::Test);
    }
    // Needed to compile or run by the compiler; not shipped.
    if ends(&["compileonly", "compileonlyapi", "annotationprocessor", "providedcompile"])
        || ends(&["classpath", "provided", "providedruntime"])
        || ["kapt", "ksp"].iter().any(|prefix| name.starts_with(prefix))
    {
        return Some(Scope::Build);
    }
    if ends(&["developmentonly"]) || name.starts_with("debug") {
        return Some(Scope::Dev);
    }
    ends(&["implementation", "api", "compile", "runtime", "runtimeonly", "shadow"])
        .then_some(Scope::Runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_determine_the_scope() {
        for (name, expected) in [
            ("implementation", Some(Scope::Runtime)),
            ("commonMainApi", Some(Scope::Runtime)),
            ("releaseImplementation", Some(Scope::Runtime)),
            ("testImplementation", Some(Scope::Test)),
            ("androidTestImplementation", Some(Scope::Test)),
            ("integrationTestRuntimeOnly", Some(Scope::Test)),
            ("compileOnly", Some(Scope::Build)),
            ("annotationProcessor", Some(Scope::Build)),
            ("kapt", Some(Scope::Build)),
            ("kspJvm", Some(Scope::Build)),
            ("classpath", Some(Scope::Build)),
            ("debugImplementation", Some(Scope::Dev)),
            ("developmentOnly", Some(Scope::Dev)),
            ("checkstyle", None),
        ] {
            assert_eq!(scope(name), expected, "{name}");
        }
    }
}
