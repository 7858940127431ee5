//! What the program says of itself: schema, completions, manual page.

use std::process::ExitCode;

use clap::CommandFactory;

use super::{Arguments, Failure, listing};

pub(super) fn schema() -> Result<ExitCode, Failure> {
    listing::json(&crate::config::schema())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn completions(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "solocron", &mut script);
    listing::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn page() -> Result<ExitCode, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    listing::print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
