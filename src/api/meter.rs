//! What a peer says in HTTP/2 without asking for anything: the bytes that it sends come in, and at some
//! time the word that it is enough.
//!
//! Pings, settings, priorities, windows, resets and frames of unknown kinds cost a peer next to nothing and us
//! an answer, a lock or a look; the protocol sets no limit to them, and neither does h2 to most (it
//! does to header blocks, continuations, and small or empty pieces of bodies). Here they are counted.
//! A peer has a supply of them, which fills up with time; of windows another one, which fills up with
//! the bytes that it is sent as well: whoever downloads has to open them.
//!
//! What must stay true: what a browser, curl or a proxy sends is never enough.

use std::time::Duration;
use tokio::time::Instant;

/// The length, in three bytes, the kind, the flags, the stream.
const HEAD: usize = 9;

/// Kinds that are counted elsewhere: with requests, or by h2.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const WINDOW_UPDATE: u8 = 8;

/// How many frames of either supply a peer may send at once.
pub(super) const SUPPLY: u32 = 2000;
/// In what time one more may come: a hundred a second.
const REFILL: Duration = Duration::from_millis(10);
/// For how many bytes that it is sent one more window may be opened: a client may open two for each
/// message of an event stream.
const BYTES_EACH: usize = 64;

/// Counts the frames of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    place: Place,
    windows: Supply,
    others: Supply,
}

/// How many frames a peer may send: [`SUPPLY`] at once, and one more after each [`REFILL`].
#[derive(Debug)]
pub(super) struct Supply {
    left: u32,
    filled: Instant,
    /// Bytes that were sent since then.
    sent: usize,
}

/// Where in the stream of bytes the next one is.
#[derive(Debug)]
enum Place {
    /// So many bytes of a frame's head have come, with these values.
    Head(usize, [u8; HEAD]),
    /// So many bytes of a frame's content are to come.
    Content(usize),
}

/// There were more frames than anybody needs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many frames that ask for nothing")]
pub(super) struct Flood;

impl Meter {
    /// Of a connection whose preface has come.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            place: Place::Head(0, [0; HEAD]),
            windows: Supply::new(now),
            others: Supply::new(now),
        }
    }

    /// Looks at bytes that have come.
    pub(super) fn take(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Head(come, head) => {
                    let more = (HEAD - *come).min(bytes.len());
                    head[*come..*come + more].copy_from_slice(&bytes[..more]);
                    *come += more;
                    bytes = &bytes[more..];
                    if *come == HEAD {
                        let [a, b, c, kind, ..] = *head;
                        self.place = Place::Content(u32::from_be_bytes([0, a, b, c]) as usize);
                        match kind {
                            DATA | HEADERS | CONTINUATION => {}
                            WINDOW_UPDATE => self.windows.count(now)?,
                            _ => self.others.count(now)?,
                        }
                    }
                }
                Place::Content(left) => {
                    let more = (*left).min(bytes.len());
                    *left -= more;
                    bytes = &bytes[more..];
                }
            }
            if let Place::Content(0) = self.place {
                self.place = Place::Head(0, [0; HEAD]);
            }
        }
        Ok(())
    }

    /// Bytes have been sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.windows.sent = self.windows.sent.saturating_add(bytes);
    }
}

impl Supply {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: SUPPLY, filled: now, sent: 0 }
    }

    /// Takes one frame from it.
    pub(super) fn count(&mut self, now: Instant) -> Result<(), Flood> {
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
        let most = u128::from(SUPPLY);
        let more = by_time.saturating_add(by_bytes as u128).min(most);
        self.left = u32::try_from(more).unwrap_or(SUPPLY);
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

    /// How many frames of this kind in a row are taken, at most twice the supply.
    fn taken(meter: &mut Meter, kind: u8, now: Instant) -> u32 {
        let bytes = frame(kind, 8);
        (0..2 * SUPPLY).take_while(|_| meter.take(&bytes, now).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn frames_that_ask_for_nothing_are_counted_and_others_are_not() {
        let now = Instant::now();
        for kind in [2, 3, 4, 5, PING, 7, 8, 10, 0x77, 0xff] {
            assert_eq!(taken(&mut Meter::new(now), kind, now), SUPPLY, "kind {kind}");
        }
        for kind in [DATA, HEADERS, CONTINUATION] {
            assert_eq!(taken(&mut Meter::new(now), kind, now), 2 * SUPPLY, "kind {kind}");
        }
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let now = Instant::now();
        let mut bytes = Vec::new();
        for number in 0..SUPPLY {
            bytes.extend(frame(PING, u8::try_from(number % 100).unwrap()));
            bytes.extend(frame(DATA, u8::try_from(number % 7).unwrap()));
        }
        for size in [1, 2, 8, 9, 10, 24, 4096, bytes.len()] {
            let mut meter = Meter::new(now);
            for piece in bytes.chunks(size) {
                assert_eq!(meter.take(piece, now), Ok(()), "in pieces of {size}");
            }
            assert_eq!(meter.take(&frame(PING, 0), now), Err(Flood), "in pieces of {size}");
        }
    }

    #[test]
    fn the_supply_fills_up_with_time_and_with_what_is_sent() {
        let now = Instant::now();
        let empty = || {
            let mut meter = Meter::new(now);
            for _ in 0..SUPPLY {
                meter.take(&frame(PING, 8), now).unwrap();
            }
            meter
        };
        let later = now + Duration::from_secs(5);
        assert_eq!(taken(&mut empty(), PING, later), 500);
        assert_eq!(taken(&mut empty(), PING, now + Duration::from_hours(1)), SUPPLY);
        let mut meter = empty();
        meter.sent(64 * 300);
        assert_eq!(taken(&mut meter, PING, later), 500, "for windows alone");

        let empty = || {
            let mut meter = Meter::new(now);
            for _ in 0..SUPPLY {
                meter.take(&frame(WINDOW_UPDATE, 4), now).unwrap();
            }
            meter
        };
        let mut meter = empty();
        meter.sent(64 * 300);
        assert_eq!(taken(&mut meter, WINDOW_UPDATE, later), 800);
        let mut meter = empty();
        meter.sent(usize::MAX);
        meter.sent(usize::MAX);
        assert_eq!(taken(&mut meter, WINDOW_UPDATE, now), SUPPLY, "and no more than that");
    }
}
