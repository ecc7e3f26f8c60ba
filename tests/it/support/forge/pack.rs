//! Hostile data from a forge: a pack that never ends, valid object by object and larger than any
//! disk; branches that never end; a pack that git would not write.

use std::{io, io::Write, thread, time::Duration};

/// Bytes of one object; with its framing it fits one packet line (65,520 bytes).
const OBJECT: u16 = 60_000;

/// Sends objects, about 60 MB a second, until the client disconnects or `over` returns true.
pub(super) fn send_endless(to: &mut impl Write, over: impl Fn() -> bool) -> io::Result<()> {
    to.write_all(b"000dpackfile\n")?;
    // Version 2, and more objects than will ever come; not so many that they are refused at once.
    send(to, b"PACK\0\0\0\x02\x00\x0f\xff\xff")?;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    while !over() {
        send(to, &object(&mut seed))?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Sends lines on the progress channel (gitprotocol-pack(5)), and then all of them as the error.
pub(super) fn send_words(to: &mut impl Write, lines: &[String]) -> io::Result<()> {
    to.write_all(b"000dpackfile\n")?;
    for line in lines {
        writeln!(to, "{:04x}\x02{line}", line.len() + 6)?;
    }
    let last = lines.join(" ");
    write!(to, "{:04x}\x03{last}", last.len() + 5)
}

/// Sends a whole pack.
pub(super) fn send_whole(to: &mut impl Write, pack: &[u8]) -> io::Result<()> {
    to.write_all(b"000dpackfile\n")?;
    for piece in pack.chunks(usize::from(OBJECT)) {
        send(to, piece)?;
    }
    to.write_all(b"0000")
}

/// Lists branches, as fast as they are read, until the client disconnects or `over` returns true.
pub(super) fn list_endlessly(to: &mut impl Write, over: impl Fn() -> bool) -> io::Result<()> {
    let id = "1234567890".repeat(4);
    let mut line = 0_u64;
    while !over() {
        let mut lines = Vec::with_capacity(1 << 20);
        for _ in 0..10_000 {
            line += 1;
            // Four digits of length, the id, a space, the name, a newline.
            writeln!(lines, "0047{id} refs/heads/{line:014}")?;
        }
        to.write_all(&lines)?;
    }
    Ok(())
}

/// One packet line of the pack's channel.
fn send(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(to, "{:04x}\x01", bytes.len() + 5)?;
    to.write_all(bytes)
}

/// A blob of noise, stored without compression (gitformat-pack(5), RFC 1950, RFC 1951).
fn object(seed: &mut u64) -> Vec<u8> {
    let noise: Vec<u8> = (0..OBJECT / 8).flat_map(|_| next(seed).to_le_bytes()).collect();
    let size = usize::from(OBJECT);
    let [low, high] = OBJECT.to_le_bytes();
    let mut bytes = vec![
        // Type 3 with the size's lowest 4 bits, then 7 bits each.
        0x80 | 3 << 4 | low & 0x0f,
        0x80 | u8::try_from(size >> 4 & 0x7f).expect("7 bits"),
        u8::try_from(size >> 11).expect("5 bits"),
        // zlib, one last stored block, its length and the complement of that.
        0x78,
        0x01,
        0x01,
        low,
        high,
        !low,
        !high,
    ];
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in &noise {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    bytes.extend_from_slice(&noise);
    bytes.extend_from_slice(&(b << 16 | a).to_be_bytes());
    bytes
}

/// Xorshift: noise that does not repeat within a test.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
