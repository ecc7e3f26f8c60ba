//! The permissions that confine an agent in NATS.
//!
//! Input: the names of an agent and of its labels. Output: the subjects that it may publish and subscribe to, and the
//! text for the configuration of nats-server.
//!
//! Invariants: an agent stores only its own statuses, heartbeats and results. It creates no consumers: one with a
//! `deliver_subject` would publish in the name of others.

use super::names::{AgentName, Label, Names};
use serde::Serialize;

/// What a NATS user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permissions {
    pub publish: Vec<String>,
    pub subscribe: Vec<String>,
}

/// What an agent may do.
pub fn of_agent(names: &Names, agent: &AgentName, labels: &[Label]) -> Permissions {
    let (status, agents, orders) =
        (names.status_bucket(), names.agents_bucket(), names.orders_bucket());
    let (results, stream) = (names.results_bucket(agent), names.attempts_stream());
    let mut publish = vec![
        format!("$KV.{status}.{agent}.>"),
        format!("$KV.{agents}.{agent}"),
        format!("$O.{results}.>"),
        names.credentials(agent),
        "$JS.API.INFO".to_owned(),
    ];
    for label in labels {
        let consumer = names.consumer(label);
        publish.push(format!("$JS.ACK.{stream}.{consumer}.>"));
        // The form with domain and account, which newer versions of NATS can use.
        publish.push(format!("$JS.ACK.*.*.{stream}.{consumer}.>"));
        publish.push(format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"));
        publish.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"));
    }
    for bucket in [&status, &agents, &orders] {
        publish.push(format!("$JS.API.STREAM.INFO.KV_{bucket}"));
        publish.push(format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.>"));
    }
    // The holders of an attempt are found by a pattern, which is in the body of the request.
    publish.push(format!("$JS.API.DIRECT.GET.KV_{status}"));
    publish.push(format!("$JS.API.STREAM.INFO.OBJ_{results}"));
    publish.push(format!("$JS.API.STREAM.PURGE.OBJ_{results}"));
    publish.push(format!("$JS.API.DIRECT.GET.OBJ_{results}.>"));
    let subscribe = vec![
        format!("{}.>", names.inbox_prefix(agent)),
        format!("$KV.{orders}.>"),
        names.logs(agent),
    ];
    Permissions { publish, subscribe }
}

impl Permissions {
    /// The `permissions` of a user in the configuration of nats-server. Answers to requests for logs go to the inbox of
    /// the request.
    pub fn for_nats_server(&self) -> String {
        let list = |subjects: &[String]| {
            let lines: Vec<_> =
                subjects.iter().map(|subject| format!("      \"{subject}\"\n")).collect();
            format!("[\n{}    ]", lines.concat())
        };
        format!(
            "permissions {{\n  publish {{\n    allow {}\n  }}\n  subscribe {{\n    allow {}\n  }}\n  \
             allow_responses {{ max: 1, expires: \"5s\" }}\n}}\n",
            list(&self.publish),
            list(&self.subscribe)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_may_not_use_what_belongs_to_others() {
        let names = Names::new("scanwatch".parse().unwrap());
        let permissions = of_agent(&names, &"a1".parse().unwrap(), &["dmz".parse().unwrap()]);
        let all: Vec<_> = permissions.publish.iter().chain(&permissions.subscribe).collect();
        assert!(all.iter().all(|subject| !subject.contains("CONSUMER.CREATE")));
        for subject in ["$KV.scanwatch_status.>", "$KV.scanwatch_agents.>", ">", "_INBOX.>"] {
            assert!(!all.iter().any(|allowed| *allowed == subject), "{subject}");
        }
        assert!(permissions.publish.contains(&"$KV.scanwatch_status.a1.>".to_owned()));
        let text = permissions.for_nats_server();
        assert!(text.contains("\"$JS.API.CONSUMER.MSG.NEXT.SCANWATCH_ATTEMPTS.agents_dmz\""));
    }
}
