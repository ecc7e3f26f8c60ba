//! Closes HTTP/2 connections whose client floods the server with control frames.
//!
//! Pings, settings, priorities, window updates, resets and frames of unknown kinds cost a client
//! almost nothing, but cost the server an answer, a lock or a wakeup. The protocol does not limit
//! them, and h2 limits only a few (header blocks, continuations, and small or empty data frames).
//! Here they are counted against a budget that refills with time. Window updates have a budget of
//! their own, which also refills with the bytes that are sent to the client, because a download
//! needs them.
//!
//! Input: the bytes that the client sends, and the number of bytes that it is sent. Output: an
//! error once a budget is exhausted.
//!
//! Invariants: no browser, curl or proxy exhausts a budget in normal use.

use std::time::Duration;
use tokio::time::Instant;

/// The size of a frame header: the length in three bytes, the kind, the flags, the stream.
const HEAD: usize = 9;

/// Kinds of frames; the first three are limited elsewhere: with requests, or by h2.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const WINDOW_UPDATE: u8 = 8;

/// How many frames of each budget a client may send at once.
pub(crate) const BUDGET: u32 = 2000;
/// The time after which one more frame is allowed: a hundred a second.
const REFILL: Duration = Duration::from_millis(10);
/// The bytes sent to the client that allow one more window update: a client may send two for each
/// message of an event stream.
const BYTES_EACH: usize = 64;

/// Counts the frames of one connection.
#[derive(Debug)]
pub(crate) struct FloodGuard {
    place: FramePosition,
    windows: FrameBudget,
    others: FrameBudget,
}

/// How many frames a client may send: [`BUDGET`] at once, and one more after each [`REFILL`].
#[derive(Debug)]
pub(crate) struct FrameBudget {
    left: u32,
    filled: Instant,
    /// Bytes that were sent to the client since then.
    sent: usize,
}

/// The position of the next byte within a frame.
#[derive(Debug)]
enum FramePosition {
    /// This many bytes of a frame header have arrived, with these values.
    Head(usize, [u8; HEAD]),
    /// This many bytes of the payload are still to arrive.
    Content(usize),
}

/// The client sent more control frames than allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many control frames")]
pub(crate) struct Flood;

impl FloodGuard {
    /// The guard of a connection whose preface has arrived.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            place: FramePosition::Head(0, [0; HEAD]),
            windows: FrameBudget::new(now),
            others: FrameBudget::new(now),
        }
    }

    /// Counts the frames in received bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            match &mut self.place {
                FramePosition::Head(come, head) => {
                    let more = (HEAD - *come).min(bytes.len());
                    head[*come..*come + more].copy_from_slice(&bytes[..more]);
                    *come += more;
                    bytes = &bytes[more..];
                    if *come == HEAD {
                        let [a, b, c, kind, ..] = *head;
                        self.place =
                            FramePosition::Content(u32::from_be_bytes([0, a, b, c]) as usize);
                        match kind {
                            DATA | HEADERS | CONTINUATION => {}
                            WINDOW_UPDATE => self.windows.count(now)?,
                            _ => self.others.count(now)?,
                        }
                    }
                }
                FramePosition::Content(left) => {
                    let more = (*left).min(bytes.len());
                    *left -= more;
                    bytes = &bytes[more..];
                }
            }
            if let FramePosition::Content(0) = self.place {
                self.place = FramePosition::Head(0, [0; HEAD]);
            }
        }
        Ok(())
    }

    /// Notes that bytes were sent to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.windows.sent = self.windows.sent.saturating_add(bytes);
    }
}

impl FrameBudget {
    /// A full budget.
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: BUDGET, filled: now, sent: 0 }
    }

    /// Spends one frame.
    pub(crate) fn count(&mut self, now: Instant) -> Result<(), Flood> {
        if self.left == 0 {
            self.refill(now);
        }
        self.left = self.left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let by_time = now.duration_since(self.filled).as_millis() / REFILL.as_millis();
        let by_bytes = self.sent / BYTES_EACH;
        self.filled = now;
        self.sent = 0;
        let most = u128::from(BUDGET);
        let more = by_time.saturating_add(by_bytes as u128).min(most);
        self.left = u32::try_from(more).unwrap_or(BUDGET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        bytes.resize(HEAD + usize::from(length), 0);
        bytes
    }

    /// How many frames of this kind in a row are accepted, at most twice the budget.
    fn taken(guard: &mut FloodGuard, kind: u8, now: Instant) -> u32 {
        let bytes = frame(kind, 8);
        (0..2 * BUDGET).take_while(|_| guard.take(&bytes, now).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn control_frames_are_counted_and_others_are_not() {
        let now = Instant::now();
        for kind in [2, 3, 4, 5, PING, 7, 8, 10, 0x77, 0xff] {
            assert_eq!(taken(&mut FloodGuard::new(now), kind, now), BUDGET, "kind {kind}");
        }
        for kind in [DATA, HEADERS, CONTINUATION] {
            assert_eq!(taken(&mut FloodGuard::new(now), kind, now), 2 * BUDGET, "kind {kind}");
        }
    }

    #[test]
    fn the_count_does_not_depend_on_how_the_bytes_are_split() {
        let now = Instant::now();
        let mut bytes = Vec::new();
        for number in 0..BUDGET {
            bytes.extend(frame(PING, u8::try_from(number % 100).unwrap()));
            bytes.extend(frame(DATA, u8::try_from(number % 7).unwrap()));
        }
        for size in [1, 2, 8, 9, 10, 24, 4096, bytes.len()] {
            let mut guard = FloodGuard::new(now);
            for piece in bytes.chunks(size) {
                assert_eq!(guard.take(piece, now), Ok(()), "in pieces of {size}");
            }
            assert_eq!(guard.take(&frame(PING, 0), now), Err(Flood), "in pieces of {size}");
        }
    }

    #[test]
    fn the_budget_refills_with_time_and_with_sent_bytes() {
        let now = Instant::now();
        let empty = || {
            let mut guard = FloodGuard::new(now);
            for _ in 0..BUDGET {
                guard.take(&frame(PING, 8), now).unwrap();
            }
            guard
        };
        let later = now + Duration::from_secs(5);
        assert_eq!(taken(&mut empty(), PING, later), 500);
        assert_eq!(taken(&mut empty(), PING, now + Duration::from_hours(1)), BUDGET);
        let mut guard = empty();
        guard.sent(64 * 300);
        assert_eq!(
            taken(&mut guard, PING, later),
            500,
            "sent bytes refill only the budget of window updates"
        );

        let empty = || {
            let mut guard = FloodGuard::new(now);
            for _ in 0..BUDGET {
                guard.take(&frame(WINDOW_UPDATE, 4), now).unwrap();
            }
            guard
        };
        let mut guard = empty();
        guard.sent(64 * 300);
        assert_eq!(taken(&mut guard, WINDOW_UPDATE, later), 800);
        let mut guard = empty();
        guard.sent(usize::MAX);
        guard.sent(usize::MAX);
        assert_eq!(taken(&mut guard, WINDOW_UPDATE, now), BUDGET, "the budget has a maximum");
    }
}
