//! A frame that is being drawn: the only way from a text to a cell.
//!
//! Input: texts, styles, positions. Output: cells of a buffer. Invariants: every text is made
//! visible first; what does not fit is cut, whatever the size of the terminal.

use super::{
    super::facts::Kind,
    text::{fitted, visible},
};
use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};
use unicode_width::UnicodeWidthStr;

/// How things look, with colours or without: every meaning has a word or a sign, too.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Theme {
    has_colours: bool,
}

/// A frame.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub(super) theme: Theme,
}

impl Theme {
    /// Creates a theme.
    pub(in super::super) fn new(has_colours: bool) -> Self {
        Self { has_colours }
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// The style of a state.
    pub(super) fn of_kind(self, kind: Kind) -> Style {
        match kind {
            Kind::Failed => self.colour(Color::Red),
            Kind::Running => self.colour(Color::Cyan),
            Kind::Waiting => Style::new(),
            Kind::Done => self.colour(Color::Green),
        }
    }

    /// Of what needs attention.
    pub(super) fn warning(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Of an error.
    pub(super) fn error(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// Of headings.
pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Of what is less important, or old.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// Of the selected row, and of headings of tables.
pub(super) fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

impl<'a> Canvas<'a> {
    /// Creates a canvas on an empty buffer.
    pub(super) fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        usize::from(self.buffer.area().width)
    }

    /// The number of rows.
    pub(super) fn height(&self) -> usize {
        usize::from(self.buffer.area().height)
    }

    /// Draws a text from `x` on, in at most `width` columns. Returns the column after it.
    pub(super) fn put(
        &mut self,
        x: usize,
        y: usize,
        width: usize,
        text: &str,
        style: Style,
    ) -> usize {
        let width = width.min(self.width().saturating_sub(x));
        if width == 0 || y >= self.height() {
            return x;
        }
        let (Ok(column), Ok(row)) = (u16::try_from(x), u16::try_from(y)) else { return x };
        let (end, _) = self.buffer.set_stringn(column, row, fitted(text, width), width, style);
        usize::from(end)
    }

    /// Draws a text that ends at the column `end`.
    pub(super) fn put_right(
        &mut self,
        end: usize,
        y: usize,
        width: usize,
        text: &str,
        style: Style,
    ) {
        let length = visible(text).width().min(width);
        self.put(end.saturating_sub(length), y, length, text, style);
    }

    /// Draws parts of a line one after the other. Returns the column after the last one.
    pub(super) fn put_all(&mut self, x: usize, y: usize, parts: &[(&str, Style)]) -> usize {
        let width = self.width();
        parts
            .iter()
            .fold(x, |x, (text, style)| self.put(x, y, width.saturating_sub(x), text, *style))
    }

    /// Adds a style to an area.
    pub(super) fn restyle(
        &mut self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        style: Style,
    ) {
        let side = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let area = Rect::new(side(x), side(y), side(width), side(height));
        self.buffer.set_style(area.intersection(*self.buffer.area()), style);
    }

    /// Empties an area.
    pub(super) fn clear(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for row in y..y + height {
            self.put(x, row, width, &" ".repeat(width), Style::reset());
        }
    }
}

/// A bar of `width` columns, filled to this percentage.
pub(super) fn bar(percentage: f64, width: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a few columns"
    )]
    let filled = (percentage.clamp(0.0, 100.0) / 100.0 * width as f64) as usize;
    "█".repeat(filled) + &"░".repeat(width - filled)
}
