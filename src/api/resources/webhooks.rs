//! `/webhooks`: the webhooks of the settings, and their deliveries.
//!
//! Input: the name of a webhook, a state, a page, the id of a delivery. Output: rows; the outcome of a test.
//!
//! Invariants: nothing here adds or changes a target; no secret and no path of a URL is shown.

use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    requests::paging::{Page, PagePosition},
    routing::{
        operation::{Answer, Operation, schema_of},
        route::{Access, Call, Route},
        template::{PathParameter, Template},
    },
};
use crate::{
    model::webhook::DeliveryState,
    store::plainly,
    webhooks::{Attempt, DeliveryRow, WebhookRow},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io;
use warp::{Filter, http::StatusCode, reply::Response};

const NAME: PathParameter = PathParameter {
    name: "name",
    about: "The name of a webhook in the settings.",
    schema: schema_of::<String>,
};
const ID: PathParameter = PathParameter {
    name: "id",
    about: "The id of a delivery: its `webhook-id`.",
    schema: schema_of::<String>,
};
const LIST: Template<0> = Template::new("/webhooks", []);
const DELIVERIES: Template<1> = Template::new("/webhooks/{name}/deliveries", [NAME]);
const REDELIVER: Template<2> =
    Template::new("/webhooks/{name}/deliveries/{id}/redeliver", [NAME, ID]);
const TEST: Template<1> = Template::new("/webhooks/{name}/test", [NAME]);

/// The default and the maximum size of a page of deliveries.
const PER_PAGE: (usize, usize) = (20, 100);
/// The states of `?state=`.
const STATES: [&str; 3] = ["pending", "failed", "delivered"];
const NO_WEBHOOK: ApiError = ApiError::Absent("Webhook not found");

/// The parameters of the list of deliveries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Listing {
    /// List only deliveries in this state.
    #[schemars(extend("enum" = STATES))]
    state: Option<String>,
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
}

/// All webhooks.
#[derive(Debug, Serialize, JsonSchema)]
struct WebhooksList {
    webhooks: Vec<WebhookRow>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, JsonSchema)]
struct DeliveriesPage {
    deliveries: Vec<DeliveryRow>,
    #[serde(flatten)]
    place: PagePosition,
}

/// A delivery that is sent again.
#[derive(Debug, Serialize, JsonSchema)]
struct Redelivery {
    id: String,
    /// Always `pending`.
    state: &'static str,
}

/// The outcome of a test.
#[derive(Debug, Serialize, JsonSchema)]
struct WebhookTestOutcome {
    /// Whether the target accepted it.
    ok: bool,
    #[serde(flatten)]
    attempt: Attempt,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let lists = Operation::new("listWebhooks", "The webhooks of the settings, and how they work")
        .answers(StatusCode::OK, Answer::json::<WebhooksList>("All webhooks."));
    let deliveries = Operation::new("listDeliveries", "The deliveries of a webhook, newest first")
        .about(
            "Those that wait, those that were given up, and the last 100 that were accepted. A \
             page has 20 deliveries by default, at most 100.",
        )
        .query::<Listing>()
        .answers(StatusCode::OK, Answer::json::<DeliveriesPage>("A page of deliveries."))
        .refuses(StatusCode::BAD_REQUEST, "The state is unknown.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The disk cannot be read.");
    let redelivers = Operation::new("redeliver", "Send a delivery again")
        .about("In whatever state it is. It keeps its id, and is tried as often as a new one.")
        .answers(StatusCode::OK, Answer::json::<Redelivery>("It is sent as soon as possible."))
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The disk is not writable, or the server is stopping.",
        );
    let tests = Operation::new("testWebhook", "Try a webhook")
        .about(
            "Sends the event `webhook.test` once and waits for the answer of the target. Of \
             `dependency-track`, the API key is tried.",
        )
        .answers(
            StatusCode::OK,
            Answer::json::<WebhookTestOutcome>("The outcome, whether or not it is good."),
        );
    vec![
        Route::get(&LIST, Access::Read, lists, |call, _| {
            call.map(|call: Call<0>| {
                reply::json(&WebhooksList { webhooks: call.api.webhooks.list() })
            })
        }),
        Route::get(&DELIVERIES, Access::Read, deliveries, |call, _| {
            call.and(warp::query())
                .then(async |call: Call<1>, listing| finish(list(call, listing).await))
        }),
        Route::post(&REDELIVER, Access::Write, redelivers, |call, _| {
            call.then(async |call: Call<2>| finish(redeliver(call).await))
        }),
        Route::post(&TEST, Access::Write, tests, |call, _| {
            call.then(async |call: Call<1>| finish(test(call).await))
        }),
    ]
}

/// `GET /webhooks/{name}/deliveries`
async fn list(call: Call<1>, listing: Listing) -> Result<Response, ApiError> {
    let [name] = &call.path;
    let state = match listing.state.as_deref() {
        None => None,
        Some(word) => {
            let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == word);
            Some(known.ok_or_else(|| {
                let states = STATES.join(", ");
                ApiError::bad_request(format!("Invalid state filter. Must be one of: {states}"))
            })?)
        }
    };
    let page = Page::new(listing.page, listing.per_page, PER_PAGE.0, PER_PAGE.1);
    let found = call.api.webhooks.deliveries(name, state, page.range()).await;
    let (deliveries, total) = found.ok_or(NO_WEBHOOK)?.map_err(|error| failed(&error))?;
    Ok(reply::json(&DeliveriesPage { deliveries, place: page.place(total) }))
}

/// `POST /webhooks/{name}/deliveries/{id}/redeliver`
async fn redeliver(call: Call<2>) -> Result<Response, ApiError> {
    let [name, id] = &call.path;
    let found = call.api.webhooks.redeliver(name, id).await.map_err(|error| failed(&error))?;
    if !found {
        return Err(ApiError::Absent("Delivery not found"));
    }
    Ok(reply::json(&Redelivery { id: id.clone(), state: DeliveryState::Pending.as_str() }))
}

/// `POST /webhooks/{name}/test`
async fn test(call: Call<1>) -> Result<Response, ApiError> {
    let [name] = &call.path;
    let attempt = call.api.webhooks.test(name).await.ok_or(NO_WEBHOOK)?;
    Ok(reply::json(&WebhookTestOutcome { ok: attempt.error.is_none(), attempt }))
}

/// The disk refused. The webhooks have logged the path.
fn failed(error: &io::Error) -> ApiError {
    ApiError::Unavailable {
        detail: format!("The deliveries cannot be accessed: {}", plainly(error)).into(),
        retry_after: Some(5),
    }
}
