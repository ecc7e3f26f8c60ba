//! Terraform and `OpenTofu`: `.terraform.lock.hcl` and `*.tf`.
//!
//! What flows in: files in HCL, by "HCL Native Syntax Specification". What flows out: providers and
//! modules that come from a registry or a repository. What must stay true: no expression is
//! evaluated; a module of the same repository is no package.

mod blocks;
mod files;
mod lock;

pub(super) use files::TerraformFile;
pub(super) use lock::TerraformLock;
