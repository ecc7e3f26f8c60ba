//! The jobs that `squeue` lists, as far as they are ours. Pure.
//!
//! Input: the output of `squeue`. Output: the state of each element. Invariants: a line that is not understood is not one of
//! ours; an unknown state counts as one that goes on.

use crate::model::element::{ArrayName, ElementEnd, ElementName};
use std::{collections::HashMap, time::Instant};

/// What `squeue` is to print of each job. The name is last: those of others may contain anything.
pub(super) const FORMAT: &str =
    "--Format=ArrayJobID:|,ArrayTaskID:|,State:|,exit_code:|,NodeList:|,Name:|";

/// The jobs at one time.
#[derive(Debug)]
pub(super) struct Listing {
    /// When the question began: what was submitted later may be missing.
    pub(super) asked_at: Instant,
    /// Since when every question was answered.
    pub(super) unbroken_since: Instant,
    pub(super) jobs: HashMap<ElementName, Job>,
}

/// The job of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The number by which Slurm knows it, which may be used again.
    pub(super) id: String,
    pub(super) state: State,
    pub(super) node: String,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waits,
    Runs,
    Ended(End),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// In the words of Slurm.
    pub(super) word: String,
    /// As of wait(2).
    pub(super) status: i32,
}

impl Job {
    /// The cause of its end for the scan, with a description for people.
    pub(super) fn end(&self) -> Option<(ElementEnd, String)> {
        let State::Ended(End { word, status }) = &self.state else { return None };
        let Self { id, node, .. } = self;
        let on = if node.is_empty() { String::new() } else { format!(" on node {node}") };
        Some(match word.as_str() {
            "TIMEOUT" | "DEADLINE" => (ElementEnd::TimeLimit, String::new()),
            "OUT_OF_MEMORY" => (ElementEnd::OutOfMemory, String::new()),
            "CANCELLED" | "REVOKED" => (ElementEnd::Cancelled, String::new()),
            "PREEMPTED" => (ElementEnd::Preempted, String::new()),
            "NODE_FAIL" | "BOOT_FAIL" => (
                ElementEnd::Lost,
                format!("Node {node} failed (Slurm: {word}), with the scan in Slurm job {id}"),
            ),
            _ => {
                let how = match (status & 0x7f, status >> 8) {
                    (0, 0) => "ended".to_owned(),
                    (0, code) => format!("ended with exit code {code}"),
                    (signal, _) => format!("was killed by signal {signal}"),
                };
                let hint = if *status == 127 << 8 || *status == 126 << 8 {
                    "; check [slurm] program and that the node has it"
                } else {
                    ""
                };
                (
                    ElementEnd::Lost,
                    format!("The Slurm job {id} of the scan {how}{on} without a report{hint}"),
                )
            }
        })
    }
}

/// Reads the output of `squeue`.
pub(super) fn parse(text: &str) -> HashMap<ElementName, Job> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<(ElementName, Job)> {
    let mut fields = line.trim_start().splitn(6, '|');
    let mut next = || fields.next();
    let (number, index, word) = (next()?, next()?, next()?);
    let (status, node, name) = (next()?, next()?, next()?);
    let array = ArrayName::of_job(name.trim_end().trim_end_matches('|'))?;
    let name = ElementName { array, index: index.parse().ok()? };
    let state = match word {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD"
        | "RESV_DEL_HOLD" | "SPECIAL_EXIT" => State::Waits,
        "COMPLETED" | "FAILED" | "TIMEOUT" | "DEADLINE" | "OUT_OF_MEMORY" | "CANCELLED"
        | "REVOKED" | "PREEMPTED" | "NODE_FAIL" | "BOOT_FAIL" => {
            State::Ended(End { word: word.to_owned(), status: status.parse().unwrap_or(0) })
        }
        _ => State::Runs,
    };
    Some((name, Job { id: format!("{number}_{index}"), state, node: node.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: &str = "0123456789abcdef0123456789abcdef";

    fn end_of(line: &str) -> Option<(ElementEnd, String)> {
        let jobs = parse(&format!("{line}|scanwatch-{OF}|\n"));
        jobs.values().next().and_then(Job::end)
    }

    #[test]
    fn each_end_has_a_cause() {
        for (line, cause, part) in [
            ("7|0|TIMEOUT|15|n1", ElementEnd::TimeLimit, ""),
            ("7|0|OUT_OF_MEMORY|9|n1", ElementEnd::OutOfMemory, ""),
            ("7|0|CANCELLED|0|", ElementEnd::Cancelled, ""),
            ("7|0|PREEMPTED|15|n1", ElementEnd::Preempted, ""),
            ("7|0|NODE_FAIL|0|n1", ElementEnd::Lost, "Node n1 failed"),
            ("7|0|FAILED|9|n1", ElementEnd::Lost, "killed by signal 9 on node n1"),
            (
                "7|0|FAILED|32512|n1",
                ElementEnd::Lost,
                "exit code 127 on node n1 without a report; check",
            ),
            ("7|0|COMPLETED|0|n1", ElementEnd::Lost, "job 7_0 of the scan ended on node n1"),
        ] {
            let (end, text) = end_of(line).unwrap();
            assert_eq!(end, cause, "{line}");
            assert!(text.contains(part) && text.is_empty() == part.is_empty(), "{line}: {text}");
        }
        for line in
            ["7|0|RUNNING|0|n1", "7|0|COMPLETING|0|n1", "7|0|PENDING|0|", "7|0|NEW_STATE|0|"]
        {
            assert_eq!(end_of(line), None, "{line}");
        }
    }

    #[test]
    fn jobs_of_others_are_not_ours_whatever_they_are_called() {
        let text = format!(
            "1|N/A|RUNNING|0|n1|train|\n2|0|RUNNING|0|n1|a|scanwatch-{OF}|\n3|x|RUNNING|0|n1|scanwatch-{OF}|\n\n\
             4|5|PENDING|0||scanwatch-{OF}|\nerror: of squeue\n"
        );
        let jobs = parse(&text);
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        let (name, job) = jobs.iter().next().unwrap();
        assert_eq!((name.index, job.id.as_str(), &job.state), (5, "4_5", &State::Waits));
    }
}
