//! Container images: Dockerfiles, compose files, manifests of Kubernetes, charts of Helm, devfiles.
//!
//! What flows in: files that name images, most of them YAML. What flows out: each image that a file
//! names, once, with the line that names it first, and the charts that a chart needs.
//!
//! What must stay true: an image whose name is not whole, as a variable is part of it, is none.

mod compose;
mod devfile;
mod dockerfile;
mod helm;
mod image;
mod instructions;
mod kubernetes;
mod values;
mod variables;

pub(super) use compose::ComposeFile;
pub(super) use devfile::Devfile;
pub(super) use dockerfile::Dockerfile;
pub(super) use helm::HelmChart;
pub(super) use image::Images;
pub(super) use kubernetes::KubernetesManifest;
pub(super) use values::HelmValues;
pub(super) use variables::expand;

use super::source::file_name;

/// The name of a YAML file without its ending, in lower case.
pub(super) fn yaml_stem(path: &str) -> Option<String> {
    let file = file_name(path).to_ascii_lowercase();
    let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))?;
    Some(stem.to_owned())
}
