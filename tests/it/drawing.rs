//! What commands draw on a terminal, seen through a terminal emulator: nothing outdated stays,
//! whatever the width, and whatever ends the command.

use crate::support::{
    files,
    forge::{Forge, program},
    server::{Setup, TestServer},
    terminal::Terminal,
};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Waits at one repository of a group for the file `go`.
const SCANNER: &str = r#"
say scanning '"total_files": 4, "current_file": 2'
case $SCANWATCH_REPO_NAME in
    held|part-7) while [ ! -e "$dir/go" ]; do sleep 0.05; done ;;
esac
say completed
"#;

const REPOSITORIES: usize = 42;

fn scanwatch(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(arguments).env("SCANNER_SERVER_URL", server.url(""));
    command
}

#[track_caller]
fn assert_nothing_is_left(terminal: &Terminal, expected: &str) {
    let lines = terminal.lines();
    // A long message wraps, so the lines are one text.
    let text = lines.concat();
    assert!(text.starts_with(expected), "{lines:#?}");
    assert!(!text.contains(['█', '░', '⠋', '%']), "{lines:#?}");
    assert_eq!(terminal.column(), 0, "{lines:#?}");
}

/// Breaks if lines of finished repositories stay on the terminal: because they wrap, because the
/// terminal was resized, or because they were drawn out of place.
#[tokio::test]
async fn a_group_leaves_one_line_at_every_width() {
    let setup = Setup::new().shell(SCANNER);
    let job = setup.write_group(REPOSITORIES);
    let server = setup.start().await;
    let mut terminals: Vec<_> = [(40, 30), (80, 47), (200, 90), (47, 200)]
        .into_iter()
        .map(|(first, then)| (Terminal::start(&scanwatch(&server, &["watch", &job]), first), then))
        .collect();
    for (terminal, then) in &mut terminals {
        terminal.shows("part-7").await;
        terminal.shows(" 98%").await;
        assert_eq!(terminal.lines().len(), 2, "{:#?}", terminal.lines());
        terminal.resize(*then);
    }
    files::write(&server.file("go"), "");
    for (terminal, _) in &mut terminals {
        assert_eq!(terminal.end().await.code(), Some(0));
        assert_nothing_is_left(
            terminal,
            "https://gitlab.com/acme: completed, 42 of 42 repositories completed, 0 failed",
        );
        assert!(terminal.lines().len() <= 3, "{:#?}", terminal.lines());
    }
}

/// Breaks if Ctrl-C leaves lines, or if `^C`, which the terminal itself prints, displaces them.
#[tokio::test]
async fn an_interrupt_leaves_a_clean_line() {
    let setup = Setup::new().shell(SCANNER);
    let job = setup.write_group(9);
    let server = setup.start().await;
    for columns in [40, 80] {
        let mut terminal = Terminal::start(&scanwatch(&server, &["watch", &job]), columns);
        terminal.shows(" 89%").await;
        terminal.type_in("\x03");
        assert_eq!(terminal.end().await.code(), Some(130));
        assert_nothing_is_left(&terminal, "interrupted; the scan continues on the server");
        assert!(terminal.lines().len() <= 6, "{:#?}", terminal.lines());
    }
}

/// Breaks if `scan` leaves lines of a group, or of a single repository, when it ends or is
/// interrupted.
#[tokio::test]
async fn a_scan_without_a_server_leaves_no_lines() {
    let home = TempDir::new().unwrap();
    let forge = Forge::start();
    let names: Vec<_> = (0..8).map(|number| format!("acme/part-{number}")).collect();
    forge.group(&names.iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::create_dir(home.path().join("held")).unwrap();
    let scanner = home.path().join("scanner.sh");
    files::write(
        &scanner,
        "echo '{\"status\": \"scanning\", \"total_files\": 4, \"current_file\": 2}' > part\n\
         mv part \"$SCANWATCH_STATUS_FILE\"\n\
         case $SCANWATCH_REPO_NAME in\n\
         held|part-7) while [ ! -e ${0%/*}/go ]; do sleep 0.05; done;;\n\
         esac\n\
         echo '{\"status\": \"completed\"}' > part\n\
         mv part \"$SCANWATCH_STATUS_FILE\"\n",
    );
    files::write(
        &home.path().join("settings.toml"),
        format!(
            // Little, so that a nearly full disk delays no scan.
            "[scanner]\ncommand = [\"/bin/sh\", \"{}\"]\n[limits]\nmax_fetch_bytes = 1000000\n\
             [[forges]]\nkind = \"gitlab\"\nurl = \"{}\"\n",
            scanner.display(),
            forge.base()
        ),
    );
    let scan = |target: &str| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command.args(["scan", target, "--config", "settings.toml", "--format", "json"]);
        command.env("TMPDIR", home.path()).current_dir(home.path());
        Terminal::start_with(&command, 80, |command| {
            command.stdout(Stdio::null());
        })
    };
    let group = format!("{}/acme", forge.base());
    for (target, percentage) in [(group.as_str(), " 88%"), ("held", " 50%")] {
        let mut terminal = scan(target);
        terminal.shows(percentage).await;
        terminal.type_in("\x03");
        assert_eq!(terminal.end().await.code(), Some(130));
        assert_nothing_is_left(&terminal, "scanwatch: interrupted");
        assert_eq!(terminal.lines().len(), 1, "{:#?}", terminal.lines());
    }
    let mut terminal = scan(&group);
    terminal.shows(" 88%").await;
    files::write(&home.path().join("go"), "");
    assert_eq!(terminal.end().await.code(), Some(0));
    let expected = format!("{group}: completed, 8 of 8 repositories completed");
    assert_nothing_is_left(&terminal, &expected);
}

/// Breaks if a table is wider than the terminal that shows it.
#[tokio::test]
async fn a_table_is_cut_to_the_width_of_a_terminal() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("app").join("a-folder-with-a-name-of-its-own");
    std::fs::create_dir_all(&folder).unwrap();
    let name = "n".repeat(70);
    files::write(
        &folder.join("package.json"),
        format!("{{\"dependencies\": {{\"{name}\": \"1.0.0 - 2.0.0 || 3.0.0 - 4.0.0\"}}}}"),
    );
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(["scan", "app"]).env("TMPDIR", home.path()).current_dir(home.path());
    for columns in [80, 100] {
        let mut terminal = Terminal::start(&command, columns);
        assert_eq!(terminal.end().await.code(), Some(0));
        let lines = terminal.lines();
        let table = lines.iter().position(|line| line == "app").expect("the name of the target");
        assert!(lines[table + 1].starts_with("PACKAGE"), "{lines:#?}");
        assert!(lines[table + 2].starts_with("nnn"), "{lines:#?}");
        assert!(lines[table + 2].ends_with("/package.json:1"), "{lines:#?}");
        assert!(lines[table + 3].starts_with("1 repository, 1 package"), "{lines:#?}");
    }
}
