//! What happens to real input before a reader gets it: damage of a few kinds, at places that are
//! scaled to its length.

use proptest::{prelude::*, sample::Index};

/// One kind of damage.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Truncate(u16),
    Replace(u16, u8),
    Insert(u16, Index),
    Remove(u16, u8),
    /// A piece of the input comes once more.
    Repeat(u16, u8),
    /// A piece of another input.
    Splice(u16, Index, u16),
}

impl Damage {
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

    /// Does it. `tokens` are what the input's grammar is made of, `others` inputs of any kind.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>, tokens: &[&str], others: &[Vec<u8>]) {
        let length = bytes.len();
        match self {
            Self::Truncate(at) => bytes.truncate(scaled(*at, length)),
            Self::Replace(at, byte) => {
                if let Some(place) = bytes.get_mut(scaled(*at, length)) {
                    *place = *byte;
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

fn scaled(at: u16, length: usize) -> usize {
    length * usize::from(at) / usize::from(u16::MAX)
}
