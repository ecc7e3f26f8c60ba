//! Packs values into bytes. One description serves both directions: a [`TapeWriter`] stores each
//! value, a [`TapeReader`] sets it.
//!
//! Input: values, each with a similar known value. Output: bytes that contain the differences, or
//! the values again.
//!
//! Invariants: a writer and a reader that see the same calls with the same known values agree.

use crate::model::time::Timestamp;
use chrono::{DateTime, TimeDelta};

/// One of the two directions. Every method leaves `value` as it is in the bytes. A value that
/// equals its predicted value (`like`) takes one bit.
pub(super) trait Tape {
    fn bit(&mut self, value: &mut bool);

    /// A number, in few bytes if it is small (LEB128). It is wider than 64 bits, so that one more
    /// than any number of a file fits.
    fn wide(&mut self, value: &mut u128);

    /// A text that differs from its predicted value: the length of the common prefix and suffix,
    /// and the bytes between them.
    fn other_text(&mut self, value: &mut Option<String>, like: &str);

    /// A number.
    fn number(&mut self, value: &mut u64) {
        let mut wide = u128::from(*value);
        self.wide(&mut wide);
        *value = narrow(wide);
    }

    /// A length, or a position in a list.
    fn length(&mut self, value: usize) -> usize {
        let mut wide = value as u64;
        self.number(&mut wide);
        usize::try_from(wide).unwrap_or_default()
    }

    /// Whether a value equals its predicted value, which it is then set to.
    fn is_like<T: PartialEq>(&mut self, value: &mut T, like: T) -> bool {
        let mut same = *value == like;
        self.bit(&mut same);
        if same {
            *value = like;
        }
        same
    }

    /// A number that is probably close to another one.
    fn number_like(&mut self, value: &mut u64, like: u64) {
        if !self.is_like(value, like) {
            let mut distance = zigzag(value.wrapping_sub(like).cast_signed());
            self.number(&mut distance);
            *value = like.wrapping_add(unzigzag(distance).cast_unsigned());
        }
    }

    /// The same for a 32-bit number.
    fn small_like(&mut self, value: &mut u32, like: u32) {
        let mut wide = u64::from(*value);
        self.number_like(&mut wide, like.into());
        *value = u32::try_from(wide).unwrap_or_default();
    }

    /// A number that may be absent.
    fn optional_like(&mut self, value: &mut Option<u64>, like: Option<u64>) {
        if !self.is_like(value, like) {
            let mut wide = value.map_or(0, |number| u128::from(number) + 1);
            self.wide(&mut wide);
            *value = wide.checked_sub(1).map(narrow);
        }
    }

    /// A floating-point number. Most have few binary digits, so their bytes end with zeros:
    /// reversed, they are small numbers.
    fn float_like(&mut self, value: &mut f64, like: f64) {
        let mut bits = value.to_bits().swap_bytes();
        if !self.is_like(&mut bits, like.to_bits().swap_bytes()) {
            self.number(&mut bits);
        }
        *value = f64::from_bits(bits.swap_bytes());
    }

    fn text(&mut self, value: &mut Option<String>, like: Option<&str>) {
        let mut same = value.as_deref() == like;
        self.bit(&mut same);
        if !same {
            self.other_text(value, like.unwrap_or_default());
        } else if value.as_deref() != like {
            *value = like.map(str::to_owned);
        }
    }

    /// A text that is never absent.
    fn required(&mut self, value: &mut String, like: &str) {
        let mut text = Some(std::mem::take(value)).filter(|text| !text.is_empty());
        self.text(&mut text, Some(like).filter(|text| !text.is_empty()));
        *value = text.unwrap_or_default();
    }

    /// A time that is probably close to another one: the difference in whole milliseconds.
    fn time(&mut self, value: &mut Option<Timestamp>, like: Option<Timestamp>) {
        const ABSENT: u64 = 0;
        const EXACT: u64 = 1;
        if self.is_like(value, like) {
            return;
        }
        let like = like.unwrap_or_default();
        let mut code = value.map_or(ABSENT, |at| {
            let distance = (at - like).num_milliseconds();
            let same = after(like, distance) == Some(at);
            if same { zigzag(distance).saturating_add(2) } else { EXACT }
        });
        self.number(&mut code);
        *value = match code {
            ABSENT => None,
            EXACT => {
                let at = value.unwrap_or_default();
                let mut seconds = at.timestamp().cast_unsigned();
                self.number(&mut seconds);
                let mut nanos = u64::from(at.timestamp_subsec_nanos());
                self.number(&mut nanos);
                let nanos = u32::try_from(nanos).unwrap_or_default();
                DateTime::from_timestamp(seconds.cast_signed(), nanos)
            }
            code => after(like, unzigzag(code - 2)),
        };
    }
}

fn after(at: Timestamp, millis: i64) -> Option<Timestamp> {
    at.checked_add_signed(TimeDelta::try_milliseconds(millis)?)
}

fn narrow(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// Maps numbers near 0, of either sign, to small numbers.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The code of a text that differs from its predicted value: absent, or one more than the length of
/// the common prefix.
const NO_TEXT: u64 = 0;
const SOME_TEXT: u64 = 1;

/// Writes values. The output has the number of bytes with bits, these bytes, and then all others.
#[derive(Debug, Default)]
pub(super) struct TapeWriter {
    bits: Vec<u8>,
    bits_used: usize,
    bytes: Vec<u8>,
}

impl TapeWriter {
    pub(super) fn into_bytes(self) -> Box<[u8]> {
        let mut head = Self::default();
        head.length(self.bits.len());
        [head.bytes, self.bits, self.bytes].concat().into()
    }
}

impl Tape for TapeWriter {
    fn bit(&mut self, value: &mut bool) {
        let place = self.bits_used % 8;
        if place == 0 {
            self.bits.push(0);
        }
        if let Some(last) = self.bits.last_mut() {
            *last |= u8::from(*value) << place;
        }
        self.bits_used += 1;
    }

    fn wide(&mut self, value: &mut u128) {
        let mut rest = *value;
        while rest > 0x7f {
            self.bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push((rest & 0x7f) as u8);
    }

    fn other_text(&mut self, value: &mut Option<String>, like: &str) {
        let Some(text) = value else {
            self.number(&mut { NO_TEXT });
            return;
        };
        let (text, like) = (text.as_bytes(), like.as_bytes());
        let prefix = text.iter().zip(like).take_while(|(a, b)| a == b).count();
        let (rest, like) = (&text[prefix..], &like[prefix..]);
        let suffix = rest.iter().rev().zip(like.iter().rev()).take_while(|(a, b)| a == b).count();
        let middle = &rest[..rest.len() - suffix];
        self.number(&mut { SOME_TEXT + prefix as u64 });
        self.length(suffix);
        self.length(middle.len());
        self.bytes.extend_from_slice(middle);
    }
}

/// The same bytes with another first number.
pub(super) fn with_first_number(bytes: &[u8], first: u64) -> Box<[u8]> {
    let mut old = TapeReader::new(bytes);
    old.number(&mut 0);
    let mut new = TapeWriter { bits: old.bits.to_vec(), ..TapeWriter::default() };
    new.number(&mut { first });
    new.bytes.extend_from_slice(old.rest);
    new.into_bytes()
}

/// Reads what a [`TapeWriter`] has written.
#[derive(Debug)]
pub(super) struct TapeReader<'a> {
    bits: &'a [u8],
    bits_used: usize,
    rest: &'a [u8],
}

impl<'a> TapeReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut all = Self { bits: &[], bits_used: 0, rest: bytes };
        let bits = all.length(0);
        all.bits = all.take(bits);
        all
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or_default();
        self.rest = rest;
        taken
    }
}

impl Tape for TapeReader<'_> {
    fn bit(&mut self, value: &mut bool) {
        let byte = self.bits.get(self.bits_used / 8).copied().unwrap_or_default();
        *value = byte >> (self.bits_used % 8) & 1 == 1;
        self.bits_used += 1;
    }

    fn wide(&mut self, value: &mut u128) {
        *value = 0;
        let mut shift = 0;
        while let Some((byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            *value |= u128::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }

    fn other_text(&mut self, value: &mut Option<String>, like: &str) {
        let mut code = NO_TEXT;
        self.number(&mut code);
        *value = code.checked_sub(SOME_TEXT).map(|prefix| {
            let (suffix, middle) = (self.length(0), self.length(0));
            let middle = self.take(middle);
            let like = like.as_bytes();
            let prefix = usize::try_from(prefix).ok().and_then(|prefix| like.get(..prefix));
            let suffix = like.get(like.len().saturating_sub(suffix)..).unwrap_or_default();
            let text = [prefix.unwrap_or_default(), middle, suffix].concat();
            String::from_utf8(text).unwrap_or_default()
        });
    }
}
