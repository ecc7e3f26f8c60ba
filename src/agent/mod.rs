//! An agent scans repositories on this machine for a server on another one.
//!
//! Input: attempts from the stream of NATS, orders, and credentials that are sealed to the agent's key. Output: the
//! statuses, results and logs of attempts, and heartbeats.
//!
//! Invariants:
//! - An attempt runs with the agent's own settings, which a message can only narrow.
//! - An attempt whose lease has ended is lost: its processes are ended, and nothing more of it is stored.
//! - A delivery that is not the first one begins only once the earlier holder is known to be silent.
//! - A message is acknowledged only after the final state and its files are stored.
//! - Shims outlive an agent that is killed; the next one continues what it still holds, and ends the rest.
//!
//! From the bottom up: rules (`lease`, `marks`, `holders`, `streak`); what all attempts share (`settings`, `bus`, `registry`,
//! `shared`); the tasks beside them (`beats`, `orders`, `logs`, `mirror`, `clean_up`); one attempt from its message to its
//! acknowledgement (`task`, `credentials`, `keeper`, `delivery`, `attempt`); the loop (`pulls`, `adoption`, `run`).

mod adoption;
mod attempt;
mod beats;
mod bus;
mod clean_up;
mod credentials;
mod delivery;
mod holders;
mod keeper;
mod lease;
mod logs;
mod marks;
mod mirror;
mod orders;
mod pulls;
mod registry;
mod run;
mod settings;
mod shared;
mod streak;
mod task;

pub use run::{AgentError, Stop, run};
pub use settings::{Settings, SettingsProblem, read_key};
