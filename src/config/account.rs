//! Names that the system knows: users, groups and variables. Whether they exist
//! is found out by the run, on the node that runs it.

use super::invalid::InvalidValue;

/// Holds a user or a group against what such names can be.
pub(crate) fn check(text: &str) -> Result<(), InvalidValue> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Err(InvalidValue::new(whole, "a name cannot be empty"));
    }
    match text
        .char_indices()
        .find(|(_, c)| c.is_whitespace() || c.is_control() || ":/,".contains(*c))
    {
        Some((at, bad)) => Err(InvalidValue::new(
            at..at + bad.len_utf8(),
            format!("a user or group has no {bad:?} in its name"),
        )
        .help("give the group by its own key, `group`")),
        None if text.starts_with('-') => {
            Err(InvalidValue::new(0..1, "a user or group does not begin with '-'"))
        }
        None => Ok(()),
    }
}

/// Holds the name of a variable against what a process can be given.
pub(crate) fn check_variable(name: &str) -> Result<(), InvalidValue> {
    let whole = 0..name.len();
    if name.is_empty() {
        return Err(InvalidValue::new(whole, "a variable needs a name"));
    }
    if name.contains(['=', '\0']) {
        return Err(InvalidValue::new(whole, "a variable has neither `=` nor NUL in its name"));
    }
    if name.starts_with("SOLOCRON_") {
        return Err(InvalidValue::new(whole, "names that begin with SOLOCRON_ are solocron's own")
            .help("each run gets SOLOCRON_JOB, SOLOCRON_SLOT, SOLOCRON_NODE and others"));
    }
    Ok(())
}
