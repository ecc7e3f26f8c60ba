//! Hex, the registry of Elixir and Erlang: `mix.exs`, `mix.lock`, `rebar.config` and `rebar.lock`.
//!
//! Input: files that are terms or programs of their language. Output: the packages by their names in Hex.
//! Invariants: nothing is evaluated.

mod mix;
mod mix_exs;
mod rebar;
mod rebar_config;

pub(super) use mix::MixLock;
pub(super) use mix_exs::MixProject;
pub(super) use rebar::RebarLock;
pub(super) use rebar_config::RebarConfig;

use super::script::Tokens;
use std::ops::Range;

/// Whether an element is a single token, apart from line ends.
fn is_single(tokens: &Tokens<'_>, element: &Range<usize>) -> bool {
    tokens.skip_lines(element.start + 1) >= element.end
}
