//! `scanwatch completions` and `scanwatch man`: shell completions and manual pages for packages,
//! generated from the description of the command line.

use super::{Cli, Exit, output};
use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_PRINTING)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = super::exit::CODES_OF_PRINTING)]
pub(super) struct ManArgs {
    /// An existing folder; one page per command is written to it. Without it, the main page is
    /// printed on standard output.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the completions of one shell.
pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    finish(output::write_data(&script).context("cannot write to standard output"))
}

/// Prints the main page, or writes all pages.
pub(super) fn man(args: &ManArgs) -> Exit {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Sets the full name of every command, such as `scanwatch-config-show`.
    command.build();
    finish(match &args.folder {
        None => page(&command)
            .and_then(|page| output::write_data(&page).context("cannot write to standard output")),
        Some(folder) => write_pages(&command, folder),
    })
}

fn finish(result: anyhow::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::print_error(&format!("{error:#}"));
            Exit::Usage
        }
    }
}

fn write_pages(command: &Command, folder: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    let page = page(command)?;
    File::create(&path)
        .and_then(|mut file| file.write_all(&page))
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
        .try_for_each(|subcommand| write_pages(subcommand, folder))
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .source(concat!("scanwatch ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .context("cannot render the manual page")?;
    Ok(page)
}
