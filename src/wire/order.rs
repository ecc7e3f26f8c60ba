//! Orders of the server for the attempts of one repository.
//!
//! Input: a reason. Output: the value of a key in the bucket of orders. Invariants: an order applies to all attempts up
//! to the one that it names, on every agent, or on the only one that it names.

use super::{WireError, names::AgentName};
use crate::model::attempt::OrderReason;
use serde::{Deserialize, Serialize};

/// Why attempts are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The job was cancelled.
    Cancel,
    /// The server stops scanning; the repository is scanned again later.
    Stop,
    /// Another job needs the slot; the repository is queued and scanned again.
    Yield,
    /// The attempt no longer counts: its processes are ended, and nothing more of it is stored.
    End,
}

impl Reason {
    /// The order for the shim; a shim whose attempt no longer counts is cancelled, and its status is not read.
    pub fn for_shim(self) -> OrderReason {
        match self {
            Self::Cancel | Self::End => OrderReason::Cancel,
            Self::Stop => OrderReason::Stop,
            Self::Yield => OrderReason::Yield,
        }
    }
}

impl From<OrderReason> for Reason {
    fn from(reason: OrderReason) -> Self {
        match reason {
            OrderReason::Cancel => Self::Cancel,
            OrderReason::Stop => Self::Stop,
            OrderReason::Yield => Self::Yield,
        }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteOrder {
    pub schema: u32,
    /// The last attempt that the order is for.
    pub attempt: u64,
    pub reason: Reason,
    /// The only agent that the order is for. Another one may hold an attempt with the same or a lower number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<AgentName>,
}

impl RemoteOrder {
    /// An order for all attempts up to this one.
    pub fn new(attempt: u64, reason: Reason) -> Self {
        Self { schema: 1, attempt, reason, only: None }
    }

    /// The same order, for this agent alone.
    #[must_use]
    pub fn only_for(self, agent: AgentName) -> Self {
        Self { only: Some(agent), ..self }
    }

    /// The reason, if the order is for this attempt of this agent.
    pub fn applies_to(&self, agent: &AgentName, attempt: u64) -> Option<Reason> {
        let is_for_agent = self.only.as_ref().is_none_or(|only| only == agent);
        (attempt <= self.attempt && is_for_agent).then_some(self.reason)
    }

    /// Reads an order.
    ///
    /// # Errors
    /// If the bytes are not one.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        super::read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_for_its_attempt_and_earlier_ones() {
        let order = RemoteOrder::new(3, Reason::Yield);
        let order = RemoteOrder::read(&crate::wire::write(&order).unwrap()).unwrap();
        let (one, other): (AgentName, AgentName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let applies = |order: &RemoteOrder, agent| {
            [2, 3, 4].map(|attempt| order.applies_to(agent, attempt).is_some())
        };
        assert_eq!(applies(&order, &one), [true, true, false]);
        let order = order.only_for(other.clone());
        assert_eq!(applies(&order, &one), [false, false, false]);
        assert_eq!(applies(&order, &other), [true, true, false]);
    }

    #[test]
    fn each_order_of_the_supervisor_reaches_the_shim_as_the_same_order() {
        for reason in [OrderReason::Cancel, OrderReason::Stop, OrderReason::Yield] {
            assert_eq!(Reason::from(reason).for_shim(), reason);
        }
    }
}
