//! Terraform and `OpenTofu`: `.terraform.lock.hcl`, `*.tf`, `*.tf.json`, and the files of Terragrunt.
//!
//! Input: files in HCL, by "HCL Native Syntax Specification", or in JSON. Output: providers and modules from a registry or
//! a repository. Invariants: no expression is evaluated; a module of the same repository is not a package.

mod blocks;
mod files;
mod json_syntax;
mod lock;
mod sources;

pub(super) use files::TerraformFile;
pub(super) use lock::TerraformLock;
