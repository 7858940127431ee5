//! Why one value is refused.

use std::ops::Range;

/// A value that is not what its key takes: what is wrong, where inside the
/// value's text, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidValue {
    /// What is wrong, without the key's name.
    pub message: String,
    /// The offending bytes of the value's text.
    pub span: Range<usize>,
    /// What would be right.
    pub help: Option<String>,
}

impl InvalidValue {
    /// `message` about the bytes `span` of the value.
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    /// The same with a way out.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
