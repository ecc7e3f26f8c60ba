//! The worked cases of the status contract, checked against the running server.
//!
//! `tests/fixtures/status-scenarios.json` says in each case what is in a job's folder and what GET
//! /scan/{id} must then return. The files are written as a scanner writes them (temporary file,
//! then rename) into a new folder while the server runs, so the watcher is tested too.
//!
//! Notation. Files: an object is written as JSON, a text as raw bytes, null is no file;
//! `"files": null` is no folder. `@now-300s` and `@nowz-60s` are times relative to now (`+00:00`
//! and `Z`), `$JOB` is the job's id. Expectations: a path such as `summary.pending` or
//! `repositories[0].status`, and the value wanted there. An object asks for at least its own
//! keys, a list for exactly its items. `$http` is the answer's code, 200 unless said. Matchers:
//! `$absent $len $iso $instant $between $contains $icontains $nonempty $type $uuid`.

use crate::support::{
    files,
    server::{Setup, TestServer},
};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// How long the server may take to see what was written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Breaks if clients would see states, counts, names or figures that differ from the contract.
#[tokio::test]
async fn every_scenario_holds_with_notifications() {
    check(Setup::new()).await;
}

/// Breaks if the cache depends on notifications: a network file system has none.
#[tokio::test]
async fn every_scenario_holds_with_polling_only() {
    check(Setup::new().set("watch.mode", "\"poll\"")).await;
}

/// Breaks if jobs that were on disk before the start are read by other rules than new ones.
#[tokio::test]
async fn every_scenario_holds_for_jobs_found_at_the_start() {
    let setup = Setup::new();
    std::fs::create_dir(setup.jobs()).unwrap();
    let jobs: Vec<_> = scenarios().iter().map(|scenario| lay(&setup, scenario)).collect();
    let server = setup.start().await;
    judge(&server, &jobs).await;
}

async fn check(setup: Setup) {
    let server = setup.start().await;
    let jobs: Vec<_> = scenarios().iter().map(|scenario| lay(server.setup(), scenario)).collect();
    judge(&server, &jobs).await;
}

async fn judge(server: &TestServer, jobs: &[String]) {
    let scenarios = scenarios();
    assert!(scenarios.len() > 30, "the scenarios are the contract: {} are left", scenarios.len());
    let verdicts = scenarios.iter().zip(jobs).map(|(scenario, job)| verdict(server, scenario, job));
    let failed: Vec<_> = join_all(verdicts).await.into_iter().flatten().collect();
    let passed = scenarios.len() - failed.len();
    assert!(failed.is_empty(), "{passed} passed\n{}", failed.join("\n"));
}

/// What is wrong in one case for longer than the time allowed, if anything is.
async fn verdict(server: &TestServer, scenario: &Value, job: &str) -> Option<String> {
    let began = Instant::now();
    loop {
        let rows = wrong(server, scenario, job).await;
        if rows.is_empty() {
            return None;
        }
        if began.elapsed() > PATIENCE {
            return Some(format!("FAIL {}\n     {}", scenario["name"], rows.join("\n     ")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn scenarios() -> Vec<Value> {
    let text = include_str!("../fixtures/status-scenarios.json");
    serde_json::from_str(text).expect("the scenarios are a list")
}

/// Writes a case's files into a new job's folder; returns the job's id.
fn lay(setup: &Setup, scenario: &Value) -> String {
    let job = uuid::Uuid::now_v7().to_string();
    if let Value::Object(files) = &scenario["files"] {
        let folder = setup.jobs().join(&job);
        std::fs::create_dir(&folder).unwrap();
        for (name, value) in files {
            let text = match value {
                Value::Null => continue,
                Value::String(raw) => raw.clone(),
                value => serde_json::to_string_pretty(&filled(value, &job)).unwrap(),
            };
            files::replace(&folder.join(name), text);
        }
    }
    job
}

/// A value with its times and the job's id filled in.
fn filled(value: &Value, job: &str) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), filled(value, job))).collect()
        }
        Value::Array(items) => items.iter().map(|item| filled(item, job)).collect(),
        Value::String(text) if text == "$JOB" => job.into(),
        Value::String(text) => relative_time(text).map_or_else(|| value.clone(), Value::from),
        other => other.clone(),
    }
}

/// `@now`, `@nowz`, each with or without an offset such as `-60s`.
fn relative_time(text: &str) -> Option<String> {
    let rest = text.strip_prefix("@now")?;
    let (zulu, rest) = rest.strip_prefix('z').map_or((false, rest), |rest| (true, rest));
    let seconds = if rest.is_empty() { 0 } else { rest.strip_suffix('s')?.parse().ok()? };
    let at = Utc::now() + TimeDelta::seconds(seconds);
    Some(at.to_rfc3339_opts(SecondsFormat::Micros, zulu))
}

async fn wrong(server: &TestServer, scenario: &Value, job: &str) -> Vec<String> {
    let answer = server.get(&format!("/scan/{job}")).await;
    let body = serde_json::from_str(&answer.text).unwrap_or_default();
    let Value::Object(expected) = &scenario["expect"] else { panic!("{scenario} expects nothing") };
    let mut rows = Vec::new();
    let code = expected.get("$http").and_then(Value::as_u64).unwrap_or(200);
    if u64::from(answer.status) != code {
        rows.push(format!("HTTP {}", answer.status));
    }
    for (path, want) in expected.iter().filter(|(path, _)| *path != "$http") {
        let (want, got) = (filled(want, job), dig(&body, path));
        if !fits(&want, got) {
            let got = got.map_or_else(|| "nothing".to_owned(), Value::to_string);
            rows.push(format!("{path}: want {want}, got {got}"));
        }
    }
    rows
}

/// The value at a path such as `repositories[0].progress.percentage`.
fn dig<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).try_fold(value, |value, step| {
        match step.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(step),
        }
    })
}

fn fits(want: &Value, got: Option<&Value>) -> bool {
    match (want, got) {
        (Value::Object(want), got) if want.keys().any(|key| key.starts_with('$')) => {
            want.iter().all(|(matcher, want)| matches(matcher, want, got))
        }
        (Value::Object(want), Some(Value::Object(got))) => fits_members(want, got),
        (Value::Array(want), Some(Value::Array(got))) => {
            want.len() == got.len() && want.iter().zip(got).all(|(w, g)| fits(w, Some(g)))
        }
        (Value::Number(want), Some(Value::Number(got))) => {
            want.as_f64().zip(got.as_f64()).is_some_and(|(w, g)| (w - g).abs() < 1e-9)
        }
        (want, got) => got == Some(want),
    }
}

fn fits_members(want: &Map<String, Value>, got: &Map<String, Value>) -> bool {
    want.iter().all(|(key, want)| fits(want, got.get(key)))
}

fn matches(matcher: &str, want: &Value, got: Option<&Value>) -> bool {
    let Some(got) = got else { return matcher == "$absent" };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match matcher {
        "$absent" => false,
        "$len" => length(got).is_some_and(|length| Some(length as u64) == want.as_u64()),
        "$iso" => instant(got).is_some(),
        "$instant" => instant(got).is_some() && instant(got) == instant(want),
        "$between" => {
            let (low, high) = (want[0].as_f64(), want[1].as_f64());
            got.as_f64().is_some_and(|number| low <= Some(number) && Some(number) <= high)
        }
        "$contains" => match got {
            Value::Array(items) => items.contains(want),
            got => text(got).zip(text(want)).is_some_and(|(got, want)| got.contains(&want)),
        },
        "$icontains" => text(got)
            .zip(text(want))
            .is_some_and(|(got, want)| got.to_lowercase().contains(&want.to_lowercase())),
        "$nonempty" => length(got).is_some_and(|length| length > 0),
        "$type" => match want.as_str() {
            Some("string") => got.is_string(),
            Some("array") => got.is_array(),
            Some("object") => got.is_object(),
            Some("number") => got.is_number(),
            _ => false,
        },
        "$uuid" => got.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
        unknown => panic!("no such matcher: {unknown}"),
    }
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

fn instant(value: &Value) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok()
}
