//! Parser of the event-stream format (WHATWG HTML, section 9.2.6).
//!
//! Input: bytes in arbitrary pieces. Output: whole messages. Invariants: the boundaries of the
//! pieces make no difference; a line or a message without an end takes a bounded amount of memory.

use std::time::Duration;

/// The maximum size of a line, and of a message's data, in bytes; several times the size of a
/// snapshot of many thousand repositories.
const MAX_BYTES: usize = 64 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Message {
    /// The last id of the stream, from this message or an earlier one.
    pub(in crate::cli) id: String,
    pub(in crate::cli) event: String,
    pub(in crate::cli) data: String,
}

/// A line or a message is longer than any that scanwatch sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_BYTES} bytes")]
pub(super) struct TooLong;

/// The parser and the incomplete line and message.
#[derive(Debug)]
pub(super) struct Parser {
    max_bytes: usize,
    line: Vec<u8>,
    /// The first line of the stream is not complete; it may start with a byte order mark.
    at_start: bool,
    /// The last byte was a carriage return; a line feed after it belongs to the same line end.
    after_return: bool,
    id: String,
    event: String,
    data: String,
    retry: Option<Duration>,
}

impl Parser {
    /// Creates a parser for a new stream.
    pub(super) fn new() -> Self {
        Self {
            max_bytes: MAX_BYTES,
            line: Vec::new(),
            at_start: true,
            after_return: false,
            id: String::new(),
            event: String::new(),
            data: String::new(),
            retry: None,
        }
    }

    /// The pause before a reconnect that the server requests.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Parses further bytes, and adds complete messages to `messages`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        messages: &mut impl Extend<Message>,
    ) -> Result<(), TooLong> {
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => self.end_line(messages)?,
                _ if self.line.len() == self.max_bytes => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, messages: &mut impl Extend<Message>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mut line = &*line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            messages.extend(self.dispatch());
            return Ok(());
        }
        // A comment is a field with an empty name.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" if self.data.len() + value.len() >= self.max_bytes => return Err(TooLong),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Message> {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        // Remove the line feed after the last line of data; without data there is no message.
        data.pop()?;
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Message { id: self.id.clone(), event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, event: &str, data: &str) -> Message {
        Message { id: id.to_owned(), event: event.to_owned(), data: data.to_owned() }
    }

    fn read(pieces: &[&[u8]]) -> Vec<Message> {
        let (mut parser, mut messages) = (Parser::new(), Vec::new());
        for piece in pieces {
            parser.feed(piece, &mut messages).unwrap();
        }
        messages
    }

    #[test]
    fn messages_are_parsed_as_specified() {
        for (text, expected) in [
            ("data: a\n\n", vec![message("", "message", "a")]),
            ("event: job\nid: 7\ndata: {}\n\n", vec![message("7", "job", "{}")]),
            // Several lines of data form one text; one leading space is not part of the value.
            ("data: a\ndata:b\ndata:  c\n\n", vec![message("", "message", "a\nb\n c")]),
            // An id applies to later messages too, even without data; an empty `id` resets it.
            (
                "id: 1\n\ndata: a\n\ndata: b\nid\n\n",
                vec![message("1", "message", "a"), message("", "message", "b")],
            ),
            ("id: 1\ndata: a\nid: 2\0\n\n", vec![message("1", "message", "a")]),
            // Without data there is no message, and its event name is dropped.
            ("event: x\n\ndata: a\n\n", vec![message("", "message", "a")]),
            (
                "data\n\ndata:\ndata:\n\n",
                vec![message("", "message", ""), message("", "message", "\n")],
            ),
            // Comments, unknown fields, field names in another case, an incomplete message.
            (": hi\ndata: a\nother: b\nDATA: c\n\ndata: d\n", vec![message("", "message", "a")]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec![message("", "message", "a")]),
            ("data: a: b\n\n", vec![message("", "message", "a: b")]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn piece_boundaries_and_line_ends_make_no_difference() {
        let text =
            "\u{feff}retry: 10\n\nid: 1\nevent: ü\ndata: a€\ndata: b\n\n: c\n\nid: 2\ndata: d\n\n";
        let expected = vec![message("1", "ü", "a€\nb"), message("2", "message", "d")];
        for end in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', end).into_bytes();
            for cut in 0..=bytes.len() {
                let (first, second) = bytes.split_at(cut);
                assert_eq!(read(&[first, second]), expected, "{end:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&single), expected, "{end:?} byte by byte");
        }
        // A carriage return and a line feed are one line end, in one piece or in two.
        assert_eq!(read(&[b"data: a\r", b"\ndata: b\r\n\r\n"]), [message("", "message", "a\nb")]);
    }

    #[test]
    fn only_a_numeric_retry_time_is_accepted() {
        let (mut parser, mut messages) = (Parser::new(), Vec::new());
        parser.feed(b"retry: 2500\nretry: soon\nretry:\n", &mut messages).unwrap();
        assert_eq!(parser.retry(), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(read(&[b"data: a\xff\n\n"]), [message("", "message", "a\u{fffd}")]);
    }

    #[test]
    fn a_line_or_a_message_without_an_end_is_refused() {
        let mut messages = Vec::new();
        let mut parser = Parser { max_bytes: 16, ..Parser::new() };
        parser.feed(b"data: 123456789\n\n", &mut messages).unwrap();
        assert_eq!(parser.feed(b"data: 1234567890123", &mut messages), Err(TooLong));
        let mut parser = Parser { max_bytes: 16, ..Parser::new() };
        assert_eq!(parser.feed(&b"data: 1234567\n".repeat(3), &mut messages), Err(TooLong));
        let mut parser = Parser { max_bytes: 16, ..Parser::new() };
        parser.feed(&b"data: 1234567\n\n".repeat(9), &mut messages).unwrap();
        assert_eq!(messages.len(), 10);
    }
}
