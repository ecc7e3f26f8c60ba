//! Mutations of real input for property tests.
//!
//! Input: random numbers from proptest. Output: truncated, changed, repeated or spliced bytes.
//! Invariants: a position is a fraction of the input's length, so every case fits every input.

use proptest::{prelude::*, sample::Index};

/// One change of an input. The first number of each variant is the position.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Truncate(u16),
    Replace(u16, u8),
    Insert(u16, Index),
    Remove(u16, u8),
    /// Inserts a copy of a piece of the input.
    Repeat(u16, u8),
    /// Inserts a piece of another input.
    Splice(u16, Index, u16),
}

impl Mutation {
    /// All mutations, equally likely.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            any::<u16>().prop_map(Self::Truncate),
            any::<(u16, u8)>().prop_map(|(at, byte)| Self::Replace(at, byte)),
            any::<(u16, Index)>().prop_map(|(at, token)| Self::Insert(at, token)),
            any::<(u16, u8)>().prop_map(|(at, length)| Self::Remove(at, length)),
            any::<(u16, u8)>().prop_map(|(at, length)| Self::Repeat(at, length)),
            any::<(u16, Index, u16)>().prop_map(|(at, other, from)| Self::Splice(at, other, from)),
        ]
    }

    /// Applies the mutation. `tokens` are tokens of the input's grammar, `others` are inputs of any kind.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, tokens: &[&str], others: &[Vec<u8>]) {
        let length = bytes.len();
        match self {
            Self::Truncate(at) => bytes.truncate(scaled(*at, length)),
            Self::Replace(at, byte) => {
                if let Some(target) = bytes.get_mut(scaled(*at, length)) {
                    *target = *byte;
                }
            }
            Self::Insert(at, token) => {
                let at = scaled(*at, length);
                drop(bytes.splice(at..at, token.get(tokens).bytes()));
            }
            Self::Remove(at, count) => {
                let at = scaled(*at, length);
                drop(bytes.drain(at..length.min(at + usize::from(*count))));
            }
            Self::Repeat(at, count) => {
                let at = scaled(*at, length);
                let piece = bytes[at..length.min(at + usize::from(*count))].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            Self::Splice(at, other, from) => {
                let other = other.get(others);
                let piece = other.iter().skip(scaled(*from, other.len())).take(300).copied();
                let at = scaled(*at, length);
                drop(bytes.splice(at..at, piece));
            }
        }
    }
}

/// A position of 0..=65535 as an offset into an input of this length.
fn scaled(at: u16, length: usize) -> usize {
    length * usize::from(at) / usize::from(u16::MAX)
}
