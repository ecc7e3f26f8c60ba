//! `scanwatch top` on a terminal: what a person sees, from the list of jobs to a log, whatever the
//! size of the terminal, the names, and the server do.

use crate::support::{
    files,
    forge::program,
    handmade::Handmade,
    server::{Setup, TestServer},
    terminal::Terminal,
};
use rustix::process::Signal;
use serde_json::json;
use std::process::{Command, Stdio};

/// Waits at one repository of a group for the files `more` and `go`; another one fails.
const SCANNER: &str = r#"
say scanning '"total_files": 4, "current_file": 2, "message": "reading files"'
case $SCANWATCH_REPO_NAME in
    held|part-7)
        echo "first line of $SCANWATCH_REPO_NAME"
        while [ ! -e "$dir/more" ]; do sleep 0.05; done
        echo "second line"
        while [ ! -e "$dir/go" ]; do sleep 0.05; done ;;
    part-3) echo "nothing to be done" >&2; exit 3 ;;
esac
say completed
"#;

const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const F10: &str = "\x1b[21~";
const PAGE_UP: &str = "\x1b[5~";

fn top(server: &TestServer) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.arg("top").env("SCANNER_SERVER_URL", server.url(""));
    command
}

fn start(command: &Command) -> Terminal {
    let terminal = Terminal::start(command, 80);
    terminal.resize_to(80, 24);
    terminal
}

#[track_caller]
fn line_with(terminal: &Terminal, text: &str) -> String {
    let lines = terminal.lines();
    let line = lines.iter().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("{text}: {lines:#?}")).clone()
}

/// Breaks if a job cannot be followed from the list to the log of a repository, or if a change does
/// not appear, at any width.
#[tokio::test]
async fn a_job_is_followed_from_the_list_to_a_log() {
    let setup = Setup::new().shell(SCANNER);
    setup.write_group(9);
    let server = setup.start().await;
    let mut terminal = start(&top(&server));
    terminal.shows("7/1/9").await;
    let row = line_with(&terminal, "gitlab.com/acme");
    assert!(row.starts_with("◑ running") && row.contains("█"), "{row}");
    terminal.shows("1 scanning, 0 queued").await;
    terminal.shows("healthy").await;

    terminal.type_in(ENTER);
    terminal.shows("█ 7 completed  ▚ 1 failed  ▒ 1 running  ░ 0 pending  of 9").await;
    // The failure comes first and is selected, with its cause and its remedy.
    terminal.shows("exit: Process exited with code 3").await;
    terminal.shows("Read the log.").await;
    let lines = terminal.lines();
    let first = lines.iter().position(|line| line.starts_with("STATE")).unwrap() + 1;
    assert!(lines[first].starts_with("✗ failed") && lines[first].contains("part-3"), "{lines:#?}");
    assert!(lines[first + 1].starts_with("◑ scanning"), "{lines:#?}");
    assert!(lines[first + 1].contains(" 50% reading files"), "{lines:#?}");
    for (columns, rows) in [(200, 50), (40, 24), (80, 24)] {
        terminal.resize_to(columns, rows);
        terminal.shows("? help").await;
        terminal.shows("part-3").await;
    }
    // A narrow terminal has no room for this: the frame is new. (A key at the very moment of a
    // resize is read with the next key.)
    terminal.shows("of 9").await;

    terminal.type_in("/part-7");
    terminal.shows("Filter: part-7").await;
    terminal.hides("part-3").await;
    terminal.type_in(ENTER);
    terminal.shows("filter: part-7 (1 found)").await;
    terminal.type_in(ENTER);
    terminal.shows("first line of part-7").await;
    terminal.shows("2/4 files").await;
    terminal.shows("following").await;
    files::write(&server.file("more"), "");
    terminal.shows("second line").await;
    files::write(&server.file("go"), "");
    terminal.shows("✓ completed").await;
    terminal.shows("· complete ─").await;

    terminal.type_in(ESCAPE);
    terminal.shows("▚ 1 failed  ▒ 0 running").await;
    terminal.type_in("q");
    terminal.shows("8/1/9").await;
    terminal.shows("✓ completed 1").await;
    terminal.type_in("q");
    assert_eq!(terminal.end().await.code(), Some(0));
    assert!(terminal.is_clean());
    assert_eq!(terminal.lines(), Vec::<String>::new(), "nothing is left");
}

/// Breaks if a long log is not followed at its end, or moves while it is read.
#[tokio::test]
async fn a_long_log_is_scrolled() {
    let script = r#"
        seq -f 'line %.0f.' 20000
        say scanning
        while [ ! -e "$dir/go" ]; do sleep 0.05; done
        seq -f 'new %.0f.' 100
        say completed
    "#;
    let server = Setup::new().shell(script).start().await;
    let job = server.submit("held").await;
    let mut command = top(&server);
    command.arg(&job);
    let mut terminal = start(&command);
    terminal.shows("◑ scanning").await;
    terminal.type_in(ENTER);
    terminal.shows("line 20000.").await;
    terminal.type_in(PAGE_UP);
    terminal.hides("line 20000.").await;
    terminal.shows("End follows again").await;
    let before = line_with(&terminal, "line 199");
    files::write(&server.file("go"), "");
    terminal.shows("complete").await;
    assert_eq!(line_with(&terminal, "line 199"), before);
    terminal.type_in("G");
    terminal.shows("new 100.").await;
    terminal.type_in("g");
    terminal.shows("line 1").await;
    terminal.hides("new 100.").await;
    terminal.type_in(F10);
    assert_eq!(terminal.end().await.code(), Some(0));
}

/// Breaks if the filter is not that of the server, or if its refusal is not shown.
#[tokio::test]
async fn the_server_filters_the_jobs() {
    let server = Setup::new().shell("say completed").start().await;
    for name in ["one", "two", "three"] {
        let job = server.submit(name).await;
        server.finished(&job).await;
    }
    let mut terminal = start(&top(&server));
    terminal.shows("All 3").await;
    terminal.type_in("/name:two");
    terminal.shows("1 found").await;
    terminal.hides("three").await;
    // A job that appears later does not fit, or does.
    server.submit("four").await;
    terminal.shows("All 4").await;
    server.submit("two-more").await;
    terminal.shows("two-more").await;
    assert!(!terminal.lines().iter().any(|line| line.contains("four")));
    terminal.type_in(" user:me");
    terminal.shows("unknown qualifier `user:`; use status: forge: name: schedule:").await;
    terminal.type_in(ESCAPE);
    terminal.shows("three").await;
    terminal.type_in("\t");
    terminal.shows("no job fits").await;
    terminal.type_in(ESCAPE);
    terminal.shows("three").await;
}

/// Breaks if an outage is not reported, or if what happened after it does not appear.
#[tokio::test]
async fn a_restart_of_the_server_is_survived() {
    let setup = Setup::new().shell(SCANNER).at_a_fixed_port();
    setup.write_group(9);
    let mut server = setup.start().await;
    let mut list = start(&top(&server));
    let mut terminal = start(&top(&server));
    list.shows("7/1/9").await;
    terminal.shows("7/1/9").await;
    terminal.type_in(ENTER);
    terminal.shows("▒ 1 running").await;
    server.kill9().await;
    list.shows("! connection lost, retrying; data is").await;
    terminal.shows("! connection lost, retrying; data is").await;
    list.shows("gitlab.com/acme").await;
    files::write(&server.file("more"), "");
    files::write(&server.file("go"), "");
    server.restart().await;
    list.hides("connection lost").await;
    list.shows("8/1/9").await;
    list.shows("✓ completed 1").await;
    terminal.hides("connection lost").await;
    terminal.shows("█ 8 completed  ▚ 1 failed  ▒ 0 running").await;
}

/// Breaks if an end of the program leaves the terminal in disorder, or has another exit code.
#[tokio::test]
async fn every_end_leaves_a_clean_terminal() {
    let server = Setup::new().shell("say completed").start().await;
    for (keys, signal, code) in [
        ("\x03", None, 130),
        ("/x\x03", None, 130),
        ("?q", None, 0),
        ("", Some(Signal::TERM), 130),
        ("", Some(Signal::HUP), 130),
    ] {
        let mut terminal = start(&top(&server));
        terminal.shows("there are no jobs").await;
        assert!(!terminal.is_clean());
        terminal.type_in(keys);
        if keys.starts_with('?') {
            terminal.type_in("q");
        }
        if let Some(signal) = signal {
            terminal.signal(signal);
        }
        assert_eq!(terminal.end().await.code(), Some(code), "{keys:?} {signal:?}");
        assert!(terminal.is_clean(), "{keys:?} {signal:?}");
        assert_eq!(terminal.lines(), Vec::<String>::new(), "{keys:?} {signal:?}");
    }
    // An error is printed on the restored screen.
    let mut unreachable = top(&server);
    unreachable.env("SCANNER_SERVER_URL", "http://127.0.0.1:1");
    let mut terminal = start(&unreachable);
    assert_eq!(terminal.end().await.code(), Some(4));
    assert!(terminal.lines()[0].starts_with("scanwatch: cannot reach the server"));
}

/// Breaks if a program without a terminal draws, or gives no hint.
#[test]
fn without_a_terminal_there_is_a_hint() {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(["top", "--server", "http://127.0.0.1:1"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(error.contains("`scanwatch watch JOB` or `scanwatch jobs`"), "{error}");
}

/// Breaks if a terminal that cannot be drawn on is drawn on, or if colours are used against the wish
/// of the user.
#[tokio::test]
async fn the_terminal_decides_what_is_drawn() {
    let setup = Setup::new().shell(SCANNER);
    setup.write_group(9);
    let server = setup.start().await;
    let mut dumb = Terminal::start_with(&top(&server), 80, |command| {
        command.env("TERM", "dumb");
    });
    assert_eq!(dumb.end().await.code(), Some(2));
    assert!(dumb.lines().concat().contains("type `dumb` (TERM)"), "{:?}", dumb.lines());
    for (no_colour, expected) in [("", true), ("1", false)] {
        let mut command = top(&server);
        command.env("NO_COLOR", no_colour);
        let mut terminal = start(&command);
        terminal.shows("7/1/9").await;
        terminal.type_in(ENTER);
        terminal.shows("✗ failed").await;
        assert_eq!(terminal.has_colours(), expected, "{no_colour:?}");
    }
}

/// Breaks if a name, a message or a line of a log is interpreted by the terminal.
#[tokio::test]
async fn hostile_names_are_text() {
    let script = "
evil = '\\x1b[2J\\x1b]0;title\\x07\\u202e\\u200b' + 'e' + '\\u0301' * 50 + '群组' * 60
sys.stdout.buffer.write(('log ' + evil + '\\n').encode())
say('failed', error_message='why ' + evil, **{'git_url': evil})
";
    let server = Setup::new().python(script).start().await;
    let named = Handmade::new(&server, 1);
    named.known(&server).await;
    let status = json!({"repo_name": "\u{1b}[2Jname\u{202e}群", "status": "scanning"});
    files::replace(&server.job_folder(&named.id).join("repo_0.json"), status.to_string());
    let job = server.submit("evil").await;
    server.finished(&job).await;
    let mut terminal = start(&top(&server));
    // Its count in the tab, when its row is there.
    terminal.shows("✗ failed 1").await;
    terminal.type_in(ENTER);
    terminal.shows("why \\u{1b}[2J").await;
    for columns in [40, 80, 200] {
        terminal.resize_to(columns, 24);
        // The bar of a job whose repositories all failed.
        terminal.shows(&"▚".repeat(usize::from(columns))).await;
        assert!(terminal.lines()[0].starts_with("scanwatch http://127"), "{:#?}", terminal.lines());
    }
    terminal.type_in(ENTER);
    terminal.shows("log \\u{1b}[2J\\u{1b}]0;title\\u{7}\\u{202e}\\u{200b}e").await;
    assert!(terminal.lines()[0].starts_with("scanwatch http://127"), "{:#?}", terminal.lines());
    terminal.type_in("qqj");
    terminal.type_in(ENTER);
    terminal.shows("\\u{1b}[2Jname\\u{202e}群").await;
    assert!(terminal.lines()[0].starts_with("scanwatch http://127"), "{:#?}", terminal.lines());
}

/// Breaks if a command is sent without a confirmation that names what it affects, or is not sent
/// after one.
#[tokio::test]
async fn commands_need_a_confirmation() {
    let setup = Setup::new().shell(SCANNER);
    let job = setup.write_group(9);
    let server = setup.start().await;
    let mut terminal = start(&top(&server));
    terminal.shows("7/1/9").await;
    terminal.type_in("c");
    terminal.shows("Cancel this job?").await;
    terminal.shows(&format!("https://gitlab.com/acme ({job})")).await;
    terminal.shows("1 of 9 repositories not finished.").await;
    terminal.type_in("n");
    terminal.shows("nothing was changed").await;
    assert_eq!(server.progress(&job).await["status"], "in_progress");
    terminal.type_in("cy");
    terminal.shows("cancelled").await;
    server.finished(&job).await;
    terminal.shows("7/2/9").await;

    terminal.type_in(ENTER);
    terminal.shows("⊘ cancelled").await;
    files::write(&server.file("more"), "");
    files::write(&server.file("go"), "");
    terminal.type_in("r");
    terminal.shows("2 of 9 repositories failed, to be scanned again.").await;
    terminal.type_in("y");
    // The job is followed again, after its stream has ended.
    terminal.shows("█ 8 completed  ▚ 1 failed").await;
    terminal.type_in("d");
    terminal.shows("Status, results and logs of 9 repositories are removed.").await;
    terminal.type_in("y");
    terminal.shows("there are no jobs").await;
    server.get(&format!("/scan/{job}")).await.expect(404);
}

/// Breaks if a user who may only read is offered commands, or if the end of the user's access is not
/// reported.
#[tokio::test]
async fn a_reader_has_no_commands_and_ends_with_the_access() {
    let mut new = program(env!("CARGO_BIN_EXE_scanwatch"));
    let made = new.args(["token", "new", "eye", "--scope", "read"]).output().unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    let secret = said.split_whitespace().find(|word| word.starts_with("scanwatch_")).unwrap();
    let setup = Setup::new().shell(SCANNER);
    setup.write_group(9);
    let tokens = setup.folder().join("tokens");
    files::write(&tokens, made.stdout);
    let server = setup
        .set("auth.tokens_file", json!(tokens))
        .set("auth.reload_interval_secs", 1)
        .start_without_check()
        .await;
    let mut command = top(&server);
    command.env("SCANWATCH_TOKEN", secret);
    let mut terminal = start(&command);
    terminal.shows("eye (read)").await;
    terminal.shows("7/1/9").await;
    terminal.type_in("cyd");
    terminal.type_in("?");
    terminal.shows("any key closes this").await;
    assert!(!terminal.lines().concat().contains("cancel the job"), "{:#?}", terminal.lines());
    terminal.type_in("q");
    terminal.shows("◑ running").await;
    assert!(!terminal.lines().concat().contains("cancel"), "{:#?}", terminal.lines());
    files::write(&tokens, "");
    assert_eq!(terminal.end().await.code(), Some(2));
    assert!(terminal.is_clean());
    let error = terminal.lines().concat();
    assert!(error.starts_with("scanwatch: Invalid credentials"), "{error}");
}
