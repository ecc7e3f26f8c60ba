//! CI pipelines: GitLab CI/CD, GitHub Actions, Azure, Bitbucket, `CircleCI`, Jenkins, Google Cloud Build, and
//! the hooks of pre-commit.
//!
//! Input: the files of a pipeline. Output: the images of its jobs, and the actions, components, orbs, pipes,
//! tasks and files of other projects that it includes. Invariants: files of the repository itself are not
//! packages.

mod azure;
mod azure_values;
mod bitbucket;
mod circleci;
mod cloud_build;
mod github;
mod gitlab;
mod hook_dependency;
mod inherited;
mod jenkins;
mod mappings;
mod pre_commit;
mod remark;
mod texts;
mod variables;

pub(super) use azure::{AzurePipelines, is_pipeline as is_azure_pipeline, walk as walk_azure};
pub(super) use bitbucket::BitbucketPipelines;
pub(super) use circleci::CircleCi;
pub(super) use cloud_build::CloudBuild;
pub(super) use github::GitHubWorkflow;
pub(super) use gitlab::{GitLabPipeline, is_pipeline, walk as walk_pipeline};
pub(super) use jenkins::Jenkinsfile;
pub(super) use pre_commit::PreCommitConfig;
