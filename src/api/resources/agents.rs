//! `/agents`: the agents on other machines; enrolls and removes them.
//!
//! Input: requests, and the state of the engine. Output: documents, and commands to the engine.
//!
//! Invariants: a change is durable before its answer; only the public key of an agent passes here.

use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    requests::{
        body::json_body,
        members::{Body, body},
        validation::Validation,
    },
    routing::{
        operation::{Answer, Operation, schema_of},
        route::{Access, Call, Route},
        template::{PathParameter, Template},
    },
    state::Api,
};
use crate::{
    config::EngineKind,
    model::time::{self, Timestamp},
    store::plainly,
    supervisor::{AgentPhase, AgentState, EngineState, EnrollError},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use warp::{Filter, http::StatusCode, reply::Response};

const NAME: PathParameter =
    PathParameter { name: "name", about: "The name of an agent.", schema: schema_of::<String> };
const AGENTS: Template<0> = Template::new("/agents", []);
const AGENT: Template<1> = Template::new("/agents/{name}", [NAME]);
const NOT_FOUND: ApiError = ApiError::Absent("Agent not found");

/// The maximum number of agents in `/health`.
const AGENTS_IN_HEALTH: usize = 20;

/// The names of the engines.
const KINDS: [&str; 3] =
    [EngineKind::Local.as_str(), EngineKind::Nats.as_str(), EngineKind::Slurm.as_str()];
/// The names of the states.
const STATES: [&str; 4] = [
    AgentPhase::Active.as_str(),
    AgentPhase::Draining.as_str(),
    AgentPhase::Silent.as_str(),
    AgentPhase::Refused.as_str(),
];

/// What runs scans, and the agents.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EngineDocument {
    /// `local`: processes of the server's machine; `nats`: agents on other machines; `slurm`: jobs of a Slurm cluster.
    #[schemars(extend("enum" = KINDS))]
    kind: &'static str,
    /// Whether NATS or Slurm can be used; always true for `local`.
    connected: bool,
    /// Why it cannot be used.
    problem: Option<String>,
    /// Why no agent, or no cluster, takes scans, if none does.
    waiting_reason: Option<String>,
    /// The agents that are enrolled or were heard, by name. In `/health` at most 20, those that take no scans first.
    agents: Vec<AgentRow>,
    /// How many agents there are.
    agents_total: usize,
}

/// An agent.
#[derive(Debug, Serialize, JsonSchema)]
struct AgentRow {
    name: String,
    /// `active`: it takes scans; `draining`: it finishes its scans and takes no more; `silent`: it gives no sign of life;
    /// `refused`: `problem` has the reason.
    #[schemars(extend("enum" = STATES))]
    state: &'static str,
    /// Why its scans are refused.
    problem: Option<String>,
    version: Option<String>,
    /// Which repositories it scans: those that `[engine] labels` routes to one of these.
    labels: Vec<String>,
    /// How many scans it runs at once.
    slots: u32,
    running: usize,
    /// When its process started.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    started_at: Option<Timestamp>,
    /// Seconds since its last sign of life; null if there was none.
    silent_secs: Option<u64>,
    /// Null if it is not enrolled.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    enrolled_at: Option<Timestamp>,
}

body! {
    /// An agent to enroll.
    #[derive(Debug, JsonSchema)]
    #[schemars(rename = "AgentEnrollment", extend("additionalProperties" = true))]
    struct Enrolls {
        /// 1 to 63 of A-Z a-z 0-9 _ -, beginning with a letter or a digit.
        "name" => name: String,
        /// The public part of its key, which begins with `X`; credentials are sealed to it.
        "public_key" => public_key: String,
        /// The labels whose repositories it may scan; all if absent.
        "labels" => labels: Option<Vec<String>>,
    }
}

/// An enrolled agent.
#[derive(Debug, Serialize, JsonSchema)]
struct EnrolledRow {
    name: String,
    public_key: String,
    labels: Vec<String>,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    enrolled_at: Timestamp,
    /// Whether it was not enrolled before.
    new: bool,
    /// `[engine] namespace` of the server: the prefix of all names in NATS.
    namespace: String,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let lists = Operation::new("listAgents", "What runs scans, and the agents on other machines")
        .answers(StatusCode::OK, Answer::json::<EngineDocument>("The engine and its agents."));
    let enrolls = Operation::new("enrollAgent", "Enroll an agent")
        .about(
            "`scanwatch agent enroll` sends this. Enrolling an agent again with the same key changes at most its \
             labels.",
        )
        .body::<Enrolls>(json!({
            "name": "agent-1",
            "public_key": "XC6YV4A7EEVJ2RQTU7CQ2WYQEDCYXKO6LMXWOWCV7GGGJ2KPIFY5DR7C",
            "labels": ["default"],
        }))
        .answers(StatusCode::OK, Answer::json::<EnrolledRow>("The agent is enrolled."))
        .refuses(StatusCode::BAD_REQUEST, "The name, the key or a label is invalid.")
        .refuses(
            StatusCode::CONFLICT,
            "An agent of this name is enrolled with another key, or the settings name no NATS.",
        )
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The disk is not writable.");
    let removes = Operation::new("removeAgent", "Remove an agent")
        .about(
            "It gets no more credentials, and what it reports of running scans is refused: they are given to other \
             agents.",
        )
        .answers(StatusCode::NO_CONTENT, Answer::empty("The agent is no longer enrolled."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The disk is not writable.");
    vec![
        Route::get(&AGENTS, Access::Read, lists, |call, _| {
            call.map(|call: Call<0>| {
                reply::json(&EngineDocument::of(call.api.supervisor.agents().state()))
            })
        }),
        Route::post(&AGENTS, Access::Admin, enrolls, |call, context| {
            call.and(json_body(context.api.config.get().server.max_body_bytes))
                .then(async |call: Call<0>, body| finish(Box::pin(enroll(&call.api, body)).await))
        }),
        Route::delete(&AGENT, Access::Admin, removes, |call, _| {
            call.then(async |Call { api, path: [name], .. }: Call<1>| {
                finish(remove(&api, &name).await)
            })
        }),
    ]
}

impl EngineDocument {
    fn of(state: EngineState) -> Self {
        Self {
            waiting_reason: state.waiting_reason(),
            agents_total: state.agents.len(),
            kind: state.kind.as_str(),
            connected: state.connected,
            problem: state.problem,
            agents: state.agents.into_iter().map(AgentRow::of).collect(),
        }
    }

    /// The document with few agents, however many there are: those that take no scans first.
    pub(super) fn of_health(mut state: EngineState) -> Self {
        // Stable: by name among each other.
        state.agents.sort_by_key(|agent| agent.phase == AgentPhase::Active);
        let mut document = Self::of(state);
        document.agents.truncate(AGENTS_IN_HEALTH);
        document
    }
}

impl AgentRow {
    fn of(agent: AgentState) -> Self {
        Self {
            name: agent.name,
            state: agent.phase.as_str(),
            problem: agent.problem,
            version: agent.version,
            labels: agent.labels,
            slots: agent.slots,
            running: agent.running,
            started_at: agent.started_at,
            silent_secs: agent.silent_for.map(|silence| silence.as_secs()),
            enrolled_at: agent.enrolled_at,
        }
    }
}

/// `POST /agents`
async fn enroll(api: &Api, body: Validation) -> Result<Response, ApiError> {
    let Enrolls { name, public_key, labels } = Enrolls::read(body)?;
    let labels = labels.unwrap_or_default();
    let enrolled = api.supervisor.agents().enroll(&name, &public_key, labels).await;
    let enrolled = enrolled.map_err(refused)?;
    Ok(reply::json(&EnrolledRow {
        name: enrolled.agent.name,
        public_key: enrolled.agent.public_key,
        labels: enrolled.agent.labels,
        enrolled_at: enrolled.agent.enrolled_at,
        new: enrolled.is_new,
        namespace: enrolled.namespace,
    }))
}

/// `DELETE /agents/{name}`
async fn remove(api: &Api, name: &str) -> Result<Response, ApiError> {
    api.supervisor.agents().remove(name).await.map_err(refused)?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn refused(error: EnrollError) -> ApiError {
    let detail = error.to_string();
    match error {
        EnrollError::Unknown => NOT_FOUND,
        EnrollError::Invalid(_) => ApiError::bad_request(detail),
        EnrollError::NoAgents | EnrollError::OtherKey(_) | EnrollError::TooMany => {
            ApiError::Conflict { detail: detail.into(), hint: None }
        }
        EnrollError::Store(error) => ApiError::Unavailable {
            detail: format!("The agent cannot be stored: {}", plainly(&error.source)).into(),
            retry_after: Some(5),
        },
    }
}
