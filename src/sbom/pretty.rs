//! Indents compact JSON.
//!
//! Input: the bytes of JSON without white space, in pieces of any size. Output: the same JSON, indented by 2,
//! as `serde_json` writes it. Invariants: only the position in the JSON is kept, never its text.

use std::io::{self, Write};

/// A writer that indents JSON without white space.
#[derive(Debug)]
pub struct Pretty<W> {
    to: W,
    depth: usize,
    text: bool,
    escaped: bool,
    /// Whether a list or object was opened and is still empty.
    opened: bool,
}

impl<W: Write> Pretty<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, depth: 0, text: false, escaped: false, opened: false }
    }

    fn line(&mut self) -> io::Result<()> {
        self.to.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| self.to.write_all(b"  "))
    }
}

impl<W: Write> Write for Pretty<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if self.text {
                let ends = *byte == b'"' && !self.escaped;
                self.escaped = *byte == b'\\' && !self.escaped;
                self.text = !ends;
                self.to.write_all(&[*byte])?;
                continue;
            }
            let closes = matches!(byte, b'}' | b']');
            if closes {
                self.depth = self.depth.saturating_sub(1);
            }
            if std::mem::take(&mut self.opened) != closes {
                self.line()?;
            }
            self.to.write_all(&[*byte])?;
            match byte {
                b'"' => self.text = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.opened = true;
                }
                b',' => self.line()?,
                b':' => self.to.write_all(b" ")?,
                _ => {}
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn output_equals_that_of_serde_json() {
        for value in [
            json!({}),
            json!([]),
            json!(7),
            json!({ "a": [], "b": {}, "c": [1, [2, {}], "x\"[{,:}]\\"], "d": { "e": null, "\\": "" } }),
            json!([[[]], {"a": -1.5}]),
        ] {
            let text = value.to_string();
            for size in [1, 2, 3, text.len()] {
                let mut written = Vec::new();
                let mut pretty = Pretty::new(&mut written);
                text.as_bytes().chunks(size).for_each(|chunk| pretty.write_all(chunk).unwrap());
                let expected = serde_json::to_string_pretty(&value).unwrap();
                assert_eq!(String::from_utf8(written).unwrap(), expected);
                assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
            }
        }
    }
}
