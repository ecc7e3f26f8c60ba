//! `scanwatch schema`: prints JSON Schemas of the files of a job, for programs that read them and
//! for authors of scanners.

use super::{Exit, output};
use crate::{
    api::openapi::schema::{of_read, of_written},
    model::{
        attempt::{AttemptRecord, Order},
        master::Master,
        plan::Plan,
        progress::ProgressDocument,
        scan_result::ScanResult,
        status_file::StatusFile,
        task::ScanTask,
        webhook::Payload,
    },
};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde_json::{Map, Value};

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_PRINTING)]
pub(super) struct SchemaArgs {
    /// The document; without it, all schemas are printed, by name.
    #[arg(value_enum)]
    document: Option<Document>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Document {
    /// master.json: the job.
    Master,
    /// repositories.json: the repositories of the job and their numbers.
    Plan,
    /// `repo_N.json`: the status of a repository; a scanner writes it.
    Repository,
    /// `results/repo_N.json`: the packages found; a scanner writes it.
    Result,
    /// `locks/repo_N.attempt.json`: the attempt that started last.
    Attempt,
    /// `locks/repo_N.order.json`: why a shim is to stop.
    Order,
    /// The line of JSON that a scanner reads from its standard input.
    Task,
    /// The progress document of `GET /scan/{id}`.
    Progress,
    /// What a webhook receives.
    Webhook,
}

pub(super) fn run(args: &SchemaArgs) -> Exit {
    let schema = match args.document {
        Some(document) => document.schema(),
        None => Value::Object(all()),
    };
    // Cannot fail: schemas have only text keys and finite numbers.
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n";
    output::print(text.as_bytes())
}

fn all() -> Map<String, Value> {
    let named = |document: &Document| {
        Some((document.to_possible_value()?.get_name().to_owned(), document.schema()))
    };
    Document::value_variants().iter().filter_map(named).collect()
}

impl Document {
    fn schema(self) -> Value {
        match self {
            Self::Master => written::<Master>(),
            Self::Plan => written::<Plan>(),
            Self::Repository => accepted::<StatusFile<'_>>(),
            Self::Result => accepted::<ScanResult>(),
            Self::Attempt => written::<AttemptRecord>(),
            Self::Order => written::<Order>(),
            Self::Task => written::<ScanTask>(),
            Self::Progress => written::<ProgressDocument<'_>>(),
            Self::Webhook => written::<Payload>(),
        }
    }
}

/// The schema of a document that scanwatch writes: all members are present.
fn written<T: JsonSchema>() -> Value {
    of_written().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a document that scanwatch reads: members with a default may be absent.
fn accepted<T: JsonSchema>() -> Value {
    of_read().into_generator().into_root_schema_for::<T>().to_value()
}
