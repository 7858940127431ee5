//! A large file is read in parts, so that no tree of all of it is ever there: that would
//! take several times what its jobs do.
//!
//! Invariant: parts that can all be read, one by one, give the jobs that the whole gives.
//! A part ends before a line that opens a job. If such a line belonged to a text or a list
//! of several lines, the part before it would end in the middle of that, which the grammar
//! forbids. Beyond that line order does not matter as long as each job is in one part,
//! which who reads them makes sure of. Where something is wrong the file is read as a
//! whole, which says what.

use std::ops::Range;

/// Files below are read as a whole.
pub(super) const LARGE: usize = 1 << 20;
/// How much is read at once, about.
pub(super) const PART: usize = 256 << 10;

/// How a line begins that opens a job, or a table of one.
const OPENS: &str = "[jobs.";

/// Whether `line` opens a job, as they are usually written.
fn opens_a_job(line: &str) -> bool {
    let name = line.strip_prefix(OPENS).unwrap_or_default();
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    end.is_some_and(|end| end > 0 && name[end..].starts_with(']'))
}

/// The parts of `text`: what is before the first job, and then some jobs each, `part` bytes
/// or more. All in one where what follows the first job is not jobs alone.
pub(super) fn cut(text: &str, part: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut begun, mut seen) = (0, false);
    let mut at = 0;
    while at < text.len() {
        let line = &text[at..];
        let header = line.trim_start_matches([' ', '\t']).starts_with('[');
        if header && (!seen || at - begun >= part) && opens_a_job(line) {
            parts.push(begun..at);
            begun = at;
            seen = true;
        } else if header && seen && !line.starts_with(OPENS) {
            return std::iter::once(0..text.len()).collect();
        }
        at = line.find('\n').map_or(text.len(), |end| at + end + 1);
    }
    parts.push(begun..text.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_up(text: &str) -> Vec<&str> {
        cut(text, 1).into_iter().map(|part| &text[part]).collect()
    }

    #[test]
    fn a_part_begins_with_a_job() {
        assert_eq!(cut_up(""), [""]);
        assert_eq!(cut_up("[jobs.a]\n"), ["", "[jobs.a]\n"]);
        assert_eq!(
            cut_up("[log]\r\n[jobs.a]\nx = 1\n[jobs.a.env]\n[jobs.b]"),
            ["[log]\r\n", "[jobs.a]\nx = 1\n[jobs.a.env]\n", "[jobs.b]"]
        );
        let text = "[jobs.a]\nx = 1\n[jobs.b]\n[jobs.c]\n";
        assert_eq!(cut(text, 10), [0..0, 0..15, 15..text.len()]);
    }

    #[test]
    fn what_else_follows_a_job_keeps_the_file_in_one() {
        for text in ["[jobs.a]\n[jobs]\n", "[jobs.a]\n [log]\n", "[jobs.a]\nx = [\n[1]]\n"] {
            assert_eq!(cut_up(text), [text]);
        }
    }
}
