//! The live lines at the bottom of a terminal: drawn in place on standard error, below everything
//! that this process prints there.
//!
//! Input: the lines to show, and messages that belong above them. Output: one write per frame.
//! Invariants: a line never wraps, so a frame has as many rows as lines; the cursor is below the
//! last line, where an echoed `^C` does no harm; a message is printed on a clean line; after
//! [`clear`] no line is left. Shared by the whole process, because there is one terminal.

use rustix::termios::tcgetwinsize;
use std::{
    io::{self, IsTerminal, Write, stderr},
    os::fd::AsFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The interval between two frames.
const TICK: Duration = Duration::from_millis(120);
/// What moves at the beginning of a line, so that a slow scan is distinguished from a hanging one.
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// Columns and rows of a terminal that does not say its size.
const UNKNOWN_SIZE: (usize, usize) = (80, 24);
/// The maximum width of a line, in columns. A terminal that is made narrower wraps longer lines again.
const MAX_WIDTH: usize = 120;

static SCREEN: Mutex<Screen> =
    Mutex::new(Screen { lines: Vec::new(), drawn: 0, frame: 0, is_ticking: false });

/// Whether messages and live lines are suppressed (`--quiet`).
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses messages and live lines from here on.
pub(super) fn be_quiet() {
    QUIET.store(true, Relaxed);
}

/// Whether messages are suppressed.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Relaxed)
}

/// One line: a name, a bar, and a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Printable; its beginning is cut if it is too long.
    pub(super) name: String,
    /// The filled part of the bar, from 0 to 1.
    pub(super) fraction: f64,
    /// Printable; its end is cut if it is too long.
    pub(super) text: String,
}

#[derive(Debug)]
struct Screen {
    lines: Vec<Line>,
    /// How many rows the last frame has on the terminal, above the cursor.
    drawn: usize,
    frame: usize,
    /// A thread draws a frame per tick.
    is_ticking: bool,
}

/// Whether live lines are shown: standard error is a terminal that interprets escape sequences, and
/// messages are not suppressed.
pub(super) fn is_available() -> bool {
    !is_quiet()
        && stderr().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether to use colours, by the variables of <https://no-color.org> and
/// <https://bixense.com/clicolors>; otherwise on a terminal alone.
pub(super) fn has_colours(is_terminal: bool) -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && set("CLICOLOR").is_none_or(|value| value != "0")
}

/// Replaces the lines; the next frame shows them.
pub(super) fn show(lines: Vec<Line>) {
    let mut screen = lock();
    screen.lines = lines;
    if !screen.is_ticking && !screen.lines.is_empty() {
        // Without another thread the command works, and only its lines are missing.
        screen.is_ticking = thread::Builder::new().name("screen".to_owned()).spawn(tick).is_ok();
    }
}

/// Removes all lines from the terminal.
pub(super) fn clear() {
    let mut screen = lock();
    screen.lines.clear();
    screen.draw();
}

/// Lets `print` write to standard error, above the lines.
pub(super) fn above<T>(print: impl FnOnce() -> T) -> T {
    let mut screen = lock();
    if screen.drawn == 0 {
        return print();
    }
    let lines = std::mem::take(&mut screen.lines);
    screen.draw();
    let printed = print();
    screen.lines = lines;
    screen.draw();
    printed
}

fn tick() {
    loop {
        thread::sleep(TICK);
        let mut screen = lock();
        screen.frame += 1;
        screen.draw();
        if screen.lines.is_empty() {
            screen.is_ticking = false;
            return;
        }
    }
}

fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Screen {
    /// Draws a frame over the last one.
    fn draw(&mut self) {
        if self.lines.is_empty() && self.drawn == 0 {
            return;
        }
        let (columns, rows) = size_of(stderr());
        let mut frame = String::from("\r");
        if self.drawn > 0 {
            let up = format!("\x1b[{}A", self.drawn);
            frame.push_str(&up);
        }
        // The last lines count most; one row is for the cursor.
        let hidden = self.lines.len().saturating_sub(rows.saturating_sub(1));
        let spinner = SPINNER[self.frame % SPINNER.len()];
        for line in &self.lines[hidden..] {
            // The last column stays empty: some terminals would wrap there.
            frame.push_str(&line.render(spinner, columns.saturating_sub(1).min(MAX_WIDTH)));
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.drawn = self.lines.len() - hidden;
        // An error means that the terminal is closed.
        let _ = stderr().lock().write_all(frame.as_bytes());
    }
}

impl Line {
    /// Renders the line in at most `width` columns.
    fn render(&self, spinner: char, width: usize) -> String {
        let bar_width = match width {
            0..50 => 0,
            50..75 => 10,
            _ => 24,
        };
        let fraction = self.fraction.clamp(0.0, 1.0);
        let bar = if bar_width == 0 { String::new() } else { bar(fraction, bar_width) + " " };
        let name = cut_start(&self.name, width * 2 / 5);
        cut_end(&format!("{spinner} {name} {bar}{:>3.0}% {}", fraction * 100.0, self.text), width)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a fraction of a few columns"
)]
fn bar(fraction: f64, width: usize) -> String {
    let filled = (fraction * width as f64) as usize;
    "█".repeat(filled) + &"░".repeat(width - filled)
}

/// The size of a terminal in columns and rows; it may change at any time.
pub(super) fn size_of(terminal: impl AsFd) -> (usize, usize) {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => UNKNOWN_SIZE,
    }
}

/// The text, or as much of its beginning as fits into `width` columns, and `…`.
pub(super) fn cut_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    fitting(text.chars(), width).into_iter().chain((width > 0).then_some('…')).collect()
}

/// The text, or `…` and as much of its end as fits into `width` columns.
pub(super) fn cut_start(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = fitting(text.chars().rev(), width);
    (width > 0).then_some('…').into_iter().chain(kept.into_iter().rev()).collect()
}

/// The characters that fit into `width` columns, with one column left for `…`.
fn fitting(characters: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut left = width.saturating_sub(1);
    characters
        .take_while(|c| {
            let columns = c.width().unwrap_or(0);
            let fits = columns <= left;
            left = left.saturating_sub(columns);
            fits
        })
        .collect()
}

/// Writes to standard error, above the lines: the writer of the log.
#[derive(Debug)]
pub(super) struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above(|| stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_into_every_width() {
        let line = Line {
            name: "群组/a-long-name-of-a-project".to_owned(),
            fraction: 0.5,
            text: "scanning 12/24 files".to_owned(),
        };
        for width in 0..150 {
            let text = line.render('*', width);
            assert!(text.width() <= width, "{width}: {text}");
        }
        assert_eq!(line.render('*', 40), "* …me-of-a-project  50% scanning 12/24 …");
        assert!(line.render('*', 79).contains("████████████░░░░░░░░░░░░  50% scanning 12"));
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!((cut_end("abc", 3), cut_end("abcd", 3)), ("abc".into(), "ab…".into()));
        assert_eq!((cut_start("abcd", 3), cut_end("群组", 3)), ("…cd".into(), "群…".into()));
        assert_eq!((cut_start("ab", 0), cut_end("ab", 0)), (String::new(), String::new()));
    }
}
