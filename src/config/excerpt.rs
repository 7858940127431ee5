//! The source line below a diagnostic, with the offending text underlined.
//!
//! What is shown is safe for a terminal: secrets are stars, control characters
//! are escaped, tabs are blanks, and a very long line is cut around the place.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// The most columns of source that are shown.
const COLUMNS: usize = 100;
/// How many of them stand before the underlined text when the line is cut.
const BEFORE: usize = 40;
/// How far around the place a line is looked at, in bytes. A line may be a whole file.
const REACH: usize = 4096;

/// A line of a file, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text of the line.
    pub text: String,
    /// The column of `text` where the underline starts, from 0, in terminal cells.
    pub start: usize,
    /// How many cells are underlined, at least one.
    pub width: usize,
}

/// A piece of the line that is shown as one: a character, or a whole secret.
struct Piece {
    bytes: Range<usize>,
    shown: String,
    width: usize,
}

/// Takes the line `line` of `text` and underlines the part of `span` in it.
/// `secrets` are in order and do not overlap.
pub(crate) fn excerpt(
    text: &str,
    line: Range<usize>,
    span: Range<usize>,
    secrets: &[Range<usize>],
) -> Excerpt {
    let span = span.start.clamp(line.start, line.end)..span.end.clamp(line.start, line.end);
    let near = boundary_before(text, span.start.saturating_sub(REACH).max(line.start))
        ..boundary_before(text, span.start.saturating_add(REACH).min(line.end));
    let pieces = pieces(text, near.clone(), secrets);

    let first =
        pieces.iter().position(|piece| piece.bytes.end > span.start).unwrap_or(pieces.len());
    let all: usize = pieces.iter().map(|piece| piece.width).sum();
    let mut from = 0;
    if all > COLUMNS {
        let mut room = BEFORE;
        from = first;
        while from > 0 && pieces[from - 1].width <= room {
            from -= 1;
            room -= pieces[from].width;
        }
    }
    let mut excerpt = Excerpt { text: String::new(), start: 0, width: 0 };
    let mut cells = 0;
    if from > 0 || near.start > line.start {
        excerpt.text.push('…');
        cells = 1;
    }
    let mut to = from;
    while to < pieces.len() && cells + pieces[to].width <= COLUMNS {
        let piece = &pieces[to];
        if to < first {
            excerpt.start = cells + piece.width;
        } else if piece.bytes.start < span.end {
            excerpt.width += piece.width;
        }
        excerpt.text.push_str(&piece.shown);
        cells += piece.width;
        to += 1;
    }
    if from == first {
        excerpt.start = usize::from(excerpt.text.starts_with('…') && from > 0);
    }
    if to < pieces.len() || near.end < line.end {
        excerpt.text.push('…');
    }
    excerpt.width = excerpt.width.max(1);
    excerpt
}

fn pieces(text: &str, bytes: Range<usize>, secrets: &[Range<usize>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut secrets = secrets.iter().skip_while(|secret| secret.end <= bytes.start).peekable();
    let mut at = bytes.start;
    let mut column = 0;
    while at < bytes.end {
        let piece = match secrets.next_if(|secret| secret.start <= at) {
            Some(secret) => Piece {
                bytes: at..secret.end.clamp(at, bytes.end),
                shown: "***".to_owned(),
                width: 3,
            },
            None => match text[at..].chars().next() {
                Some(c) => shown(c, at, column),
                None => break,
            },
        };
        at = piece.bytes.end;
        column += piece.width;
        pieces.push(piece);
    }
    pieces
}

fn shown(c: char, at: usize, column: usize) -> Piece {
    let bytes = at..at + c.len_utf8();
    if c == '\t' {
        let width = 4 - column % 4;
        return Piece { bytes, shown: " ".repeat(width), width };
    }
    let mut shown = String::new();
    push_visible(&mut shown, c);
    let width = shown.chars().map(|c| c.width().unwrap_or(0)).sum();
    Piece { bytes, shown, width }
}

/// Adds `c` to `out`, escaped when a terminal would act on it or show nothing.
fn push_visible(out: &mut String, c: char) {
    let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || reorders {
        out.extend(c.escape_unicode());
    } else {
        out.push(c);
    }
}

/// `text` with everything escaped that a terminal would act on.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_visible(&mut out, c));
    out
}

/// A user's text for a message: escaped, and cut when it is long.
pub(crate) fn cited(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => visible(&text[..cut]) + "…",
        None => visible(text),
    }
}

/// The last character boundary at or before `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line and its carets, as two lines.
    fn show(line: &str, marked: &str, secret: Option<&str>) -> String {
        let at = |part: &str| line.find(part).map(|at| at..at + part.len());
        let secrets: Vec<_> = secret.and_then(at).into_iter().collect();
        let excerpt = excerpt(line, 0..line.len(), at(marked).unwrap(), &secrets);
        format!("{}\n{}{}", excerpt.text, " ".repeat(excerpt.start), "^".repeat(excerpt.width))
    }

    #[test]
    fn the_carets_stand_below_the_text() {
        for (line, marked, shown) in [
            ("a = 30", "30", "a = 30\n    ^^"),
            ("\ta = 30", "30", "    a = 30\n        ^^"),
            ("ab\tc = 30", "30", "ab  c = 30\n        ^^"),
            ("日本 = 30", "30", "日本 = 30\n       ^^"),
            ("a = '日本'", "日本", "a = '日本'\n     ^^^^"),
            ("a\u{1b}[31m = 30", "30", "a\\u{1b}[31m = 30\n              ^^"),
            ("e\u{301} = 30", "30", "e\u{301} = 30\n    ^^"),
            ("a = 30", "", "a = 30\n^"),
        ] {
            assert_eq!(show(line, marked, None), shown);
        }
    }

    #[test]
    fn a_secret_is_stars_and_the_carets_stay_aligned() {
        assert_eq!(
            show("{ password = \"hunter2\", timeout = 3 }", "3", Some("hunter2")),
            "{ password = \"***\", timeout = 3 }\n                              ^"
        );
        assert_eq!(
            show("password = \"hunter2\"", "unter", Some("hunter2")),
            "password = \"***\"\n            ^^^"
        );
    }

    #[test]
    fn the_end_of_a_line_can_be_underlined() {
        let excerpt = excerpt("a = \nb", 0..4, 4..4, &[]);
        assert_eq!((excerpt.start, excerpt.width), (4, 1));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = show(&line, "HERE", None);
        let (text, carets) = shown.split_once('\n').unwrap();
        assert_eq!(text, format!("…{}HERE{}…", "a".repeat(40), "b".repeat(55)));
        assert_eq!(carets, format!("{}^^^^", " ".repeat(41)));
    }

    proptest::proptest! {
        #[test]
        fn the_carets_stay_within_any_line(line in "[^\n]{0,300}", a in 0_usize..400, b in 0_usize..400) {
            let a = boundary_before(&line, a);
            let b = boundary_before(&line, b).max(a);
            let excerpt = excerpt(&line, 0..line.len(), a..b, &[]);
            let width = unicode_width::UnicodeWidthStr::width(excerpt.text.as_str());
            proptest::prop_assert!(excerpt.start <= 2 * width + 8, "{excerpt:?}");
            proptest::prop_assert!(excerpt.width >= 1);
            proptest::prop_assert!(!excerpt.text.chars().any(char::is_control));
        }
    }
}
