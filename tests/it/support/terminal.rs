//! A terminal that a program draws on: a pseudo-terminal with an emulator behind it, so that a test
//! reads what a person would see.

use super::wait::{PATIENCE, until};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    num::NonZero,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
};

/// Enough rows for everything that a test prints, so that nothing scrolls out of sight.
const ROWS: u16 = 60;

/// A program on a terminal.
pub(crate) struct Terminal {
    child: Child,
    main: File,
    emulator: Arc<Mutex<vt100::Parser>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program on a terminal that is so many columns wide.
    pub(crate) fn start(command: &Command, columns: u16) -> Self {
        Self::start_with(command, columns, |_| ())
    }

    /// Starts it with some of its streams elsewhere.
    #[expect(clippy::disallowed_methods, reason = "the tests stand outside of the service")]
    pub(crate) fn start_with(
        command: &Command,
        columns: u16,
        redirect: impl FnOnce(&mut Command),
    ) -> Self {
        let main: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        tcsetwinsize(&main, window(columns)).unwrap();
        let name = ptsname(&main, Vec::new()).unwrap();
        let name = name.to_str().unwrap();
        let line = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
            .open(name)
            .unwrap();
        // A session of its own, so that the terminal's Ctrl-C reaches it and nothing else.
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        started.env_clear().env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                started.env(name, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            started.current_dir(folder);
        }
        started.stdin(line.try_clone().unwrap());
        started.stdout(line.try_clone().unwrap()).stderr(line);
        redirect(&mut started);
        let child = started.spawn().unwrap();
        // The command holds the last copies of the terminal's own side: the reader sees its end.
        drop(started);
        let main = File::from(main);
        let emulator = Arc::new(Mutex::new(vt100::Parser::new(nonzero(ROWS), nonzero(columns), 0)));
        let (mut from, into) = (main.try_clone().unwrap(), Arc::clone(&emulator));
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                into.lock().unwrap().process(&piece[..length]);
            }
        });
        Self { child, main, emulator, reader: Some(reader) }
    }

    /// What the terminal shows: its lines, without blanks at their ends and without empty last ones.
    pub(crate) fn lines(&self) -> Vec<String> {
        let emulator = self.emulator.lock().unwrap();
        let (_, columns) = emulator.screen().size();
        let rows = emulator.screen().rows(0, columns.get());
        let mut lines: Vec<_> = rows.map(|row| row.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// The column of the cursor, from 0.
    pub(crate) fn column(&self) -> u16 {
        self.emulator.lock().unwrap().screen().cursor_position().1
    }

    /// Makes the terminal narrower or wider.
    pub(crate) fn resize(&self, columns: u16) {
        tcsetwinsize(&self.main, window(columns)).unwrap();
        self.emulator.lock().unwrap().screen_mut().set_size(nonzero(ROWS), nonzero(columns));
    }

    /// Types, as a person does: `\x03` is Ctrl-C.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.main.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until a line contains the text.
    pub(crate) async fn shows(&mut self, text: &str) {
        until(PATIENCE, &format!("the terminal shows {text:?}"), async || {
            if self.lines().iter().any(|line| line.contains(text)) {
                return Some(());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended without {text:?}, {status}: {:#?}", self.lines());
            }
            None
        })
        .await;
    }

    /// Waits until the program has ended and everything that it wrote is shown.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let status =
            until(PATIENCE, "the program ends", async || self.child.try_wait().unwrap()).await;
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

/// For programs that use the whole terminal.
#[cfg(feature = "top")]
impl Terminal {
    /// Gives the terminal another size.
    pub(crate) fn resize_to(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ..window(columns) };
        tcsetwinsize(&self.main, size).unwrap();
        self.emulator.lock().unwrap().screen_mut().set_size(nonzero(rows), nonzero(columns));
    }

    /// Whether the terminal is as a shell expects it: its own screen, a cursor, lines with echo.
    pub(crate) fn is_clean(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.main).unwrap().local_modes;
        let lines = rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO;
        let emulator = self.emulator.lock().unwrap();
        let screen = emulator.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && modes.contains(lines)
    }

    /// Whether any character has a colour.
    pub(crate) fn has_colours(&self) -> bool {
        let emulator = self.emulator.lock().unwrap();
        let (rows, columns) = emulator.screen().size();
        let mut cells = (0..rows.get())
            .flat_map(|row| (0..columns.get()).map(move |column| (row, column)))
            .filter_map(|(row, column)| emulator.screen().cell(row, column));
        cells.any(|cell| {
            cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
        })
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until no line contains the text.
    pub(crate) async fn hides(&mut self, text: &str) {
        until(PATIENCE, &format!("the terminal does not show {text:?}"), async || {
            (!self.lines().iter().any(|line| line.contains(text))).then_some(())
        })
        .await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nonzero(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

fn window(columns: u16) -> Winsize {
    Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
