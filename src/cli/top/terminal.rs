//! The terminal: raw mode, the alternate screen, and what is on it.
//!
//! Input: a frame. Output: the escape sequences that turn the last frame into this one. Invariants:
//! the terminal is restored however the program ends, also by a panic; a frame that equals the last
//! one writes nothing; a character whose width terminals disagree about displaces nothing else.

use crate::cli::{
    output,
    screen::{self, size_of},
};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui_core::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};
use std::{
    fmt::Write,
    io::{self, IsTerminal, stdin, stdout},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// The alternate screen, without a cursor and empty.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[0m\x1b[2J";
/// Everything as it was.
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// The terminal is in use.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal, while it is in use.
#[derive(Debug)]
pub(super) struct Screen {
    shown: Buffer,
    next: Buffer,
    /// The terminal shows something else than `shown`.
    is_outdated: bool,
}

/// Why there is nothing to draw on.
pub(super) fn obstacle() -> Option<&'static str> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Some(
            "`top` needs a terminal; without one, use `scanwatch watch JOB` or `scanwatch jobs`",
        );
    }
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_dumb.then_some(
        "`top` cannot draw on a terminal of the type `dumb` (TERM); use `scanwatch watch JOB` or \
         `scanwatch jobs`, or set TERM to the type of this terminal",
    )
}

/// Whether to use colours.
pub(super) fn has_colours() -> bool {
    screen::has_colours(true)
}

/// Restores the terminal, if it is in use.
fn leave() {
    if IS_ENTERED.swap(false, SeqCst) {
        // If the terminal is closed, there is nothing to restore.
        let _ = output::write(LEAVE.as_bytes());
        let _ = disable_raw_mode();
    }
}

impl Screen {
    /// Takes the terminal over, until this value is dropped.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                // The report belongs on the restored screen.
                leave();
                report(panic);
            }));
        });
        enable_raw_mode()?;
        IS_ENTERED.store(true, SeqCst);
        let screen = Self {
            shown: Buffer::empty(Rect::ZERO),
            next: Buffer::empty(Rect::ZERO),
            is_outdated: true,
        };
        output::write(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Draws the next frame completely: something else has written to the terminal.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let (columns, rows) = size_of(stdout());
        let side = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let area = Rect::new(0, 0, side(columns), side(rows));
        let mut text = String::new();
        if self.is_outdated || *self.shown.area() != area {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
            self.is_outdated = false;
            text.push_str("\x1b[0m\x1b[2J");
        }
        self.next.reset();
        paint(&mut self.next);
        encode(&self.shown.diff(&self.next), &mut text);
        std::mem::swap(&mut self.shown, &mut self.next);
        if text.is_empty() { Ok(()) } else { output::write(text.as_bytes()) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// The escape sequences that draw cells.
fn encode(cells: &[(u16, u16, &Cell)], text: &mut String) {
    // Where the cursor certainly is.
    let mut cursor = None;
    let mut style = None;
    for (x, y, cell) in cells {
        if cursor != Some((*x, *y)) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\x1b[{};{}H", y + 1, x + 1);
        }
        if style.replace((cell.fg, cell.modifier)) != Some((cell.fg, cell.modifier)) {
            push_style(cell, text);
        }
        text.push_str(cell.symbol());
        let is_narrow = matches!(cell.symbol().as_bytes(), [b' '..=b'~']);
        cursor = is_narrow.then(|| (x + 1, *y));
    }
    if !cells.is_empty() {
        text.push_str("\x1b[0m");
    }
}

fn push_style(cell: &Cell, text: &mut String) {
    text.push_str("\x1b[0");
    for (modifier, code) in [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ] {
        if cell.modifier.contains(modifier) {
            text.push_str(code);
        }
    }
    text.push_str(match cell.fg {
        Color::Red => ";31m",
        Color::Green => ";32m",
        Color::Yellow => ";33m",
        Color::Cyan => ";36m",
        _ => "m",
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;

    #[test]
    fn only_what_changed_is_written() {
        let area = Rect::new(0, 0, 10, 2);
        let (before, mut after) = (Buffer::empty(area), Buffer::empty(area));
        after.set_string(1, 0, "ab群c", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        let mut text = String::new();
        encode(&before.diff(&after), &mut text);
        // After a wide character the position is set, because terminals may disagree about it.
        assert_eq!(text, "\x1b[1;2H\x1b[0;1;31mab群\x1b[1;6Hc\x1b[0m");
        text.clear();
        encode(&after.diff(&after), &mut text);
        assert_eq!(text, "");
    }
}
