//! What one seeded round does: which client submits what, which one requests its end, what is
//! killed when.

use super::{
    account::{Account, ClientRequest},
    victims::{Strike, Target},
};
use crate::support::{dice::Dice, server::TestServer};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

/// What is killed, with weights per hundred: the rest goes to the last.
pub(super) type Odds = &'static [(Target, u64)];

/// What can be submitted.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) group: String,
    pub(super) singles: Vec<String>,
    /// One that is slow.
    pub(super) slow: String,
}

/// A round.
#[derive(Debug)]
pub(super) struct Script {
    submissions: Vec<Submission>,
    pub(super) strikes: Vec<Strike>,
    /// How long the service is down, if it is killed.
    pub(super) pause: Duration,
    /// The next server is killed as well, this long after its start.
    pub(super) falls_again: Option<Duration>,
}

#[derive(Debug)]
struct Submission {
    url: String,
    wish: Option<(Verb, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cancel,
    Remove,
}

impl Script {
    pub(super) fn of(dice: &mut Dice, offer: &Offer, odds: Odds) -> Self {
        let millis = |dice: &mut Dice, bound| Duration::from_millis(dice.below(bound));
        let mut submissions = Vec::new();
        let plain = |url: &String| Submission { url: url.clone(), wish: None };
        submissions.extend(dice.pick(&offer.singles).map(plain));
        submissions.push(plain(&offer.slow));
        if dice.one_in(2) {
            submissions.push(plain(&offer.group));
        }
        for verb in [Verb::Cancel, Verb::Remove] {
            let url = match dice.below(4) {
                0 => offer.group.clone(),
                1 => dice.pick(&offer.singles).unwrap_or(&offer.slow).clone(),
                _ => offer.slow.clone(),
            };
            let after = millis(dice, 700);
            submissions.push(Submission { url, wish: Some((verb, after)) });
        }
        // In any order, so that each of them is first in the queue at times.
        for position in (1..submissions.len()).rev() {
            let other = usize::try_from(dice.below(position as u64 + 1)).unwrap_or(0);
            submissions.swap(position, other);
        }
        let mut strikes: Vec<Strike> = (0..=dice.below(3))
            .map(|_| {
                let count = if dice.one_in(3) { 2 } else { 1 };
                let mut targets: Vec<Target> = (0..count).map(|_| one_of(dice, odds)).collect();
                targets.dedup();
                Strike {
                    at: millis(dice, 800),
                    lag: millis(dice, 60),
                    targets,
                    stopped_first: dice.one_in(2),
                    choice: usize::try_from(dice.below(8)).unwrap_or(0),
                }
            })
            .collect();
        strikes.sort_by_key(|strike| strike.at);
        // A dead server cannot be killed again.
        let mut gone = false;
        for strike in &mut strikes {
            strike.targets.retain(|target| !(gone && *target == Target::Server));
            gone |= strike.targets.contains(&Target::Server);
        }
        let pause = if dice.one_in(2) { Duration::ZERO } else { millis(dice, 600) };
        let falls_again = dice.one_in(4).then(|| millis(dice, 200));
        Self { submissions, strikes, pause, falls_again }
    }
}

fn one_of(dice: &mut Dice, odds: Odds) -> Target {
    let mut left = dice.below(100);
    for (target, share) in odds {
        if left < *share {
            return *target;
        }
        left -= share;
    }
    odds.last().map_or(Target::Server, |weighted| weighted.0)
}

/// Runs the clients of a round, whose server may die at any moment; returns what they know at the
/// end.
pub(super) async fn clients(server: &TestServer, script: &Script, began: Instant) -> Vec<Account> {
    let mut accounts = Vec::new();
    let mut wishes = Vec::new();
    for submission in &script.submissions {
        let body = json!({ "git_url": submission.url });
        let request = server.request(Method::POST, "/scan").json(&body);
        let Ok(answer) = server.try_send(request).await else { continue };
        let id = answer.expect(200).json()["job_id"].as_str().unwrap().to_owned();
        if let Some((verb, after)) = submission.wish {
            wishes.push((after, verb, accounts.len()));
        }
        accounts.push(Account::new(id));
    }
    wishes.sort_by_key(|wish| wish.0);
    for (after, verb, position) in wishes {
        tokio::time::sleep(after.saturating_sub(began.elapsed())).await;
        let account: &mut Account = &mut accounts[position];
        let (method, path) = match verb {
            Verb::Cancel => (Method::POST, format!("/scan/{}/cancel", account.id)),
            Verb::Remove => (Method::DELETE, format!("/scan/{}", account.id)),
        };
        let wish = match server.try_send(server.request(method, &path)).await {
            Err(_) => ClientRequest::Unanswered,
            Ok(answer) if verb == Verb::Cancel => {
                let state = answer.expect(200).json()["status"].clone();
                ClientRequest::Answered(state.as_str().unwrap().to_owned())
            }
            Ok(answer) => ClientRequest::Answered(answer.expect(204).text),
        };
        match verb {
            Verb::Cancel => account.cancel = wish,
            Verb::Remove => account.removal = wish,
        }
    }
    accounts
}
