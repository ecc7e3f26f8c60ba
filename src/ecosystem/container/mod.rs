//! Container images: Dockerfiles, compose files, Kubernetes manifests, Helm charts, devfiles.
//!
//! Input: files that name images, most of them YAML. Output: each image that a file names, once, with the
//! line of its first mention, and the charts that a chart depends on.
//!
//! Invariants: an image with a variable in its name is not a package, because its name is incomplete.

mod built;
mod charts;
mod compose;
mod devfile;
mod dockerfile;
mod helm;
mod instructions;
mod kubernetes;
mod skaffold;
mod tekton;
#[cfg(test)]
mod tests;
mod values;

pub(super) use built::drop_built;
pub(super) use charts::complete_charts;
pub(super) use compose::{ComposeFile, is_compose, walk as walk_compose};
pub(super) use devfile::Devfile;
pub(super) use dockerfile::Dockerfile;
pub(super) use helm::HelmChart;
pub(super) use kubernetes::{is_manifest, read as read_manifests, read_pod};
pub(super) use values::HelmValues;
