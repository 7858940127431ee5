//! From bytes to lines that can be read: one line for one line, whatever a
//! command prints, and however the pipe cuts it.
//!
//! - A line ends at `\n`; a `\r` before it is dropped.
//! - A line of more than [`MAX_LINE`] bytes is split, not inside a character.
//! - The last line counts although nothing ends it.
//! - Control characters and bytes that are not UTF-8 are shown as `\xNN`, so that
//!   no job can clear a terminal or forge a second log record. Tabs stay.

/// The most bytes of a command's line that one line of the log holds.
pub const MAX_LINE: usize = 8 * 1024;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of a line whose end has not come yet: never more than
    /// [`MAX_LINE`] and one byte, which may turn out to be the `\r` of its end.
    begun: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes, and gives each line that they complete to `line`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let whole = if self.begun.is_empty() {
                &bytes[..end]
            } else {
                self.begun.extend_from_slice(&bytes[..end]);
                &self.begun
            };
            pieces(whole.strip_suffix(b"\r").unwrap_or(whole), &mut line);
            self.begun.clear();
            bytes = &bytes[end + 1..];
        }
        self.begun.extend_from_slice(bytes);
        let mut given = 0;
        // One byte more than may be the `\r` of the end: the line is too long.
        while self.begun.len() - given > MAX_LINE + 1 {
            let piece = cut(&self.begun[given..]);
            line(&self.begun[given..given + piece]);
            given += piece;
        }
        self.begun.drain(..given);
    }

    /// Gives the last line, if nothing ended it.
    pub(super) fn finish(mut self, mut line: impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.begun);
        if !rest.is_empty() {
            pieces(&rest, &mut line);
        }
    }
}

/// Gives a whole line, in pieces if it is too long.
fn pieces(mut whole: &[u8], line: &mut impl FnMut(&[u8])) {
    while whole.len() > MAX_LINE {
        let (piece, rest) = whole.split_at(cut(whole));
        line(piece);
        whole = rest;
    }
    line(whole);
}

/// Where to cut a line that is too long: before the character that does not fit.
fn cut(long: &[u8]) -> usize {
    let continues = |&byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    // A character has at most three bytes behind its first; more is not UTF-8.
    (MAX_LINE - 3..=MAX_LINE).rev().find(|&at| !continues(&long[at])).unwrap_or(MAX_LINE)
}

/// `line` as text that can be read, in `room` if it has to be written anew.
pub(super) fn readable<'a>(line: &'a [u8], room: &'a mut String) -> &'a str {
    let harmless = |text: &str| !text.bytes().any(is_suspicious);
    if let Ok(text) = std::str::from_utf8(line)
        && (harmless(text) || !text.chars().any(is_control))
    {
        return text;
    }
    room.clear();
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_control(c) {
                escape(c.encode_utf8(&mut [0; 4]).as_bytes(), room);
            } else {
                room.push(c);
            }
        }
        escape(chunk.invalid(), room);
    }
    room
}

/// Whether a text with this byte may have a control character. Cheap, for the
/// many lines that have none.
fn is_suspicious(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || byte == 0x7f || byte == 0xc2 || byte == 0xe2
}

/// Control characters, and the two that some viewers take for a line's end.
fn is_control(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escape(bytes: &[u8], room: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        room.push_str("\\x");
        room.push(HEX[usize::from(byte >> 4)]);
        room.push(HEX[usize::from(byte & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.to_vec()));
            assert!(splitter.begun.len() <= MAX_LINE + 1);
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    }

    fn text(bytes: &[u8]) -> String {
        readable(bytes, &mut String::new()).to_owned()
    }

    #[test]
    fn lines_end_at_a_newline_with_or_without_a_carriage_return() {
        let lines = split(&[b"a\nb\r\n\nc\rd\n\r\n"]);
        assert_eq!(lines, [&b"a"[..], b"b", b"", b"c\rd", b""]);
    }

    #[test]
    fn the_last_line_counts_although_nothing_ends_it() {
        assert_eq!(split(&[b"a\nb"]), [b"a", b"b"]);
        assert_eq!(split(&[b"a\n"]), [b"a"]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn a_line_of_the_greatest_length_is_one_line_whatever_ends_it() {
        let longest = vec![b'x'; MAX_LINE];
        for end in [&b""[..], b"\n", b"\r\n"] {
            assert_eq!(split(&[&longest, end]), [longest.as_slice()], "{end:?}");
        }
        assert_eq!(split(&[&longest, b"y\n"]), [longest.as_slice(), b"y"]);
        assert_eq!(split(&[&longest, b"\r"]), [longest.as_slice(), b"\r"]);
    }

    #[test]
    fn a_long_line_is_not_cut_inside_a_character() {
        let long = "a".to_owned() + &"é".repeat(MAX_LINE);
        let lines = split(&[long.as_bytes()]);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].len(), MAX_LINE - 1);
        assert_eq!(lines.concat(), long.as_bytes());
        assert!(lines.iter().all(|line| std::str::from_utf8(line).is_ok()));
    }

    #[test]
    fn control_characters_are_shown_and_tabs_stay() {
        assert_eq!(text(b"a\tb"), "a\tb");
        assert_eq!(text(b"\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
        assert_eq!(text(b"50%\r100%"), "50%\\x0d100%");
        assert_eq!(text(b"\0\x7f"), "\\x00\\x7f");
        assert_eq!(text("\u{9b}31m".as_bytes()), "\\xc2\\x9b31m");
        assert_eq!(text("a\u{2028}b".as_bytes()), "a\\xe2\\x80\\xa8b");
    }

    #[test]
    fn text_in_any_script_stays_and_what_is_no_text_is_shown() {
        for good in ["", "naïve – ©", "日本語", "🦀 â"] {
            assert_eq!(text(good.as_bytes()), good);
        }
        assert_eq!(text(b"caf\xe9 \xff\xfe"), "caf\\xe9 \\xff\\xfe");
        assert_eq!(text(b"\xe2\x82"), "\\xe2\\x82");
    }

    /// The rule without chunks: what the splitter must agree with.
    fn reference(all: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for line in all.split_inclusive(|&byte| byte == b'\n') {
            let content = match line.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => line,
            };
            pieces(content, &mut |piece: &[u8]| lines.push(piece.to_vec()));
        }
        lines
    }

    /// Short words and long runs, so that lines end near the limit often.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just("é".as_bytes().to_vec()),
            Just(vec![0x80; 5]),
            proptest::collection::vec(any::<u8>(), 0..8),
            (MAX_LINE - 3..MAX_LINE + 3).prop_map(|length| vec![b'x'; length]),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            all in output(),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            at.extend([0, all.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();
            let lines = split(&chunks);
            prop_assert_eq!(&lines, &reference(&all));
            prop_assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
        }

        #[test]
        fn what_is_shown_has_no_control_character(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            let shown = text(&line);
            prop_assert!(!shown.chars().any(is_control));
        }

        #[test]
        fn text_without_control_characters_is_shown_as_it_is(line in "[^\\p{Cc}\u{2028}\u{2029}]{0,64}") {
            prop_assert_eq!(text(line.as_bytes()), line);
        }
    }
}
