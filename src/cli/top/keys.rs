//! The keys that a person presses.
//!
//! Input: events of the terminal. Output: keys, and the motions of a list that they mean.
//! Invariants: a key that nobody uses has no effect; the release of a key counts for nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    /// Esc.
    Escape,
    Backspace,
    Tab,
    BackTab,
    /// F1.
    Help,
    /// F10.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
    /// Ctrl-U.
    Clear,
}

/// A movement within a list or a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Key {
    /// The key of an event of the terminal.
    pub(super) fn of(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        Some(match event.code {
            KeyCode::Char('c') if control => Self::Interrupt,
            KeyCode::Char('l') if control => Self::Redraw,
            KeyCode::Char('u') if control => Self::Clear,
            KeyCode::Char(_) if control || event.modifiers.contains(KeyModifiers::ALT) => {
                return None;
            }
            KeyCode::Char(c) => Self::Char(c),
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Escape,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Tab => Self::Tab,
            KeyCode::BackTab => Self::BackTab,
            KeyCode::F(1) => Self::Help,
            KeyCode::F(10) => Self::Quit,
            _ => return None,
        })
    }

    /// The motion that the key means, if it means one.
    pub(super) fn motion(self) -> Option<Motion> {
        Some(match self {
            Self::Up | Self::Char('k') => Motion::Up,
            Self::Down | Self::Char('j') => Motion::Down,
            Self::PageUp => Motion::PageUp,
            Self::PageDown | Self::Char(' ') => Motion::PageDown,
            Self::Home | Self::Char('g') => Motion::First,
            Self::End | Self::Char('G') => Motion::Last,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        Key::of(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn keys_and_their_motions() {
        let plain = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('j'), plain).and_then(Key::motion), Some(Motion::Down));
        assert_eq!(
            key(KeyCode::Char('G'), KeyModifiers::SHIFT).and_then(Key::motion),
            Some(Motion::Last)
        );
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('j'), KeyModifiers::ALT), None);
        assert_eq!(key(KeyCode::F(5), plain), None);
        let mut release = KeyEvent::new(KeyCode::Enter, plain);
        release.kind = KeyEventKind::Release;
        assert_eq!(Key::of(release), None);
    }
}
