//! Hex, the registry of Elixir and Erlang: `mix.lock` and `rebar.lock`.
//!
//! What flows in: files that are terms of their language. What flows out: the packages under the
//! names that Hex knows. What must stay true: no term is evaluated.

mod mix;
mod rebar;

pub(super) use mix::MixLock;
pub(super) use rebar::RebarLock;
