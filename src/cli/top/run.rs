//! The loop: inputs change the state, and the state is drawn.
//!
//! Input: keys, signals, the server. Output: frames, requests, an exit code. Invariants: at most ten
//! frames a second, and none if nothing changed; an error that ends the program is printed on the
//! restored terminal.

use super::{
    app::App,
    feed::{self, Feeds},
    keyboard,
    keys::Key,
    messages::Effect,
    terminal::{self, Screen},
    view::{self, Theme},
};
use crate::{
    cli::{
        Exit,
        client::{Client, ClientError, listen},
    },
    model::{JobId, state::Summary},
};
use chrono::Utc;
use crossterm::event::{self, Event};
use std::{io, thread, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// The interval in which the shown times change.
const CLOCK: Duration = Duration::from_secs(1);
/// How many events of the terminal may wait.
const WAITING: usize = 64;

/// Shows the jobs of a server, or one job, until the user ends the program.
pub(super) async fn run(client: &Client, job: Option<JobId>) -> Result<Exit, ClientError> {
    // Errors of the address and the credentials are reported before anything is drawn.
    let session = feed::session(client).await?;
    let mut app = App::new(client.server().to_owned(), &session);
    let mut signals = listen()?;
    let theme = Theme::new(terminal::has_colours());
    let mut screen = Screen::enter()?;
    let mut keys = read_keys()?;
    let (mut feeds, mut inputs) = Feeds::start(client);
    if let Some(job) = job {
        for effect in app.open_job(job, String::new(), Summary::default()) {
            feeds.request(effect);
        }
    }
    let mut clock = interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_changed, mut next_frame) = (true, Instant::now());
    loop {
        if is_changed && Instant::now() >= next_frame {
            let now = Utc::now();
            let server_time = app.server_time(now);
            if let Some(screen) = &mut app.job {
                screen.details.arrange(server_time);
            }
            screen.draw(|buffer| view::draw(&app, theme, now, buffer))?;
            (is_changed, next_frame) = (false, Instant::now() + FRAME);
        }
        let effects = tokio::select! {
            event = keys.recv() => match event {
                Some(Event::Key(event)) => match Key::of(event) {
                    Some(key) => keyboard::press(&mut app, key, Utc::now()),
                    None => continue,
                },
                // The terminal may have cut what it shows, and have its old size again.
                Some(Event::Resize(..)) => vec![Effect::Redraw],
                Some(_) => continue,
                // The terminal is closed.
                None => return Ok(Exit::Interrupted),
            },
            input = inputs.recv() => match input {
                Some(input) => app.apply(input?, Utc::now()),
                None => continue,
            },
            _ = clock.tick() => {
                is_changed |= app.is_ticking();
                continue;
            }
            () = sleep_until(next_frame), if is_changed => continue,
            () = signals.next() => return Ok(Exit::Interrupted),
        };
        is_changed = true;
        for effect in effects {
            match effect {
                Effect::Exit(exit) => return Ok(exit),
                Effect::Redraw => screen.outdate(),
                other => feeds.request(other),
            }
        }
    }
}

/// Reads the events of the terminal on a thread of its own, which ends with the program.
fn read_keys() -> io::Result<mpsc::Receiver<Event>> {
    let (to, from) = mpsc::channel(WAITING);
    let read = move || {
        while let Ok(event) = event::read() {
            if to.blocking_send(event).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(from)
}
