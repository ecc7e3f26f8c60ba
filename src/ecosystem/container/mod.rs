//! Container images: Dockerfiles, compose files, Kubernetes manifests, Helm charts, devfiles.
//!
//! Input: files that name images, most of them YAML. Output: each image that a file names, once, with the
//! line of its first mention, and the charts that a chart depends on.
//!
//! Invariants: an image with a variable in its name is not a package, because its name is incomplete.

mod compose;
mod devfile;
mod dockerfile;
mod helm;
mod instructions;
mod kubernetes;
mod values;

pub(super) use compose::ComposeFile;
pub(super) use devfile::Devfile;
pub(super) use dockerfile::Dockerfile;
pub(super) use helm::HelmChart;
pub(super) use kubernetes::KubernetesManifest;
pub(super) use values::HelmValues;

use super::path::file_name;

/// The name of a YAML file without its extension, in lower case.
pub(super) fn yaml_stem(path: &str) -> Option<String> {
    let file = file_name(path).to_ascii_lowercase();
    let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))?;
    Some(stem.to_owned())
}
