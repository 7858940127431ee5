//! The last bytes of a command's output, for the ledger.

/// Keeps the end of what it is given, in bounded room.
#[derive(Debug)]
pub(crate) struct Tail {
    limit: usize,
    text: String,
    cut: u64,
}

/// How much more than the limit is held before the front is cut: moving the rest
/// once per this many bytes is cheap.
const SLACK: usize = 16 * 1024;

impl Tail {
    /// The last `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, text: String::new(), cut: 0 }
    }

    pub(crate) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() > self.limit.saturating_add(SLACK.max(self.limit)) {
            self.trim();
        }
    }

    /// What it holds at most `limit` bytes of, so far.
    pub(crate) fn text(&mut self) -> String {
        self.trim();
        self.text.clone()
    }

    fn trim(&mut self) {
        let mut from = self.text.len().saturating_sub(self.limit);
        while !self.text.is_char_boundary(from) {
            from += 1;
        }
        self.text.drain(..from);
        self.cut += from as u64;
    }

    /// At most `limit` bytes, behind a line that says how many are missing if any are.
    pub(crate) fn finish(mut self) -> String {
        self.trim();
        if self.cut > 0 && self.limit > 0 {
            self.text.insert_str(0, &format!("[{} bytes cut]\n", self.cut));
        }
        self.text.shrink_to_fit();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tail(limit: usize, lines: &[&str]) -> String {
        let mut tail = Tail::new(limit);
        for line in lines {
            tail.push(line);
        }
        tail.finish()
    }

    #[test]
    fn little_output_is_kept_whole() {
        assert_eq!(tail(8, &["abc", "def"]), "abc\ndef\n");
        assert_eq!(tail(8, &[]), "");
    }

    #[test]
    fn of_much_output_the_end_is_kept_and_the_rest_counted() {
        assert_eq!(tail(6, &["abc", "def"]), "[2 bytes cut]\nc\ndef\n");
        assert_eq!(tail(2, &["aé"]), "[3 bytes cut]\n\n");
        assert_eq!(tail(0, &["abc"]), "");
    }

    proptest! {
        #[test]
        fn it_is_the_end_of_all_that_was_given(
            words in proptest::collection::vec(("[aé€🦀]{0,5}", 0usize..1000), 0..20),
            limit in 0usize..20_000,
        ) {
            let lines: Vec<String> = words.iter().map(|(word, n)| word.repeat(*n)).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let all: String = lines.iter().flat_map(|line| [*line, "\n"]).collect();
            let kept = tail(limit, &lines);
            let (cut, kept) = match kept.strip_prefix('[').and_then(|k| k.split_once(" bytes cut]\n")) {
                Some((cut, kept)) => (cut.parse::<usize>().unwrap(), kept),
                None => (0, kept.as_str()),
            };
            prop_assert!(kept.len() <= limit);
            prop_assert!(all.ends_with(kept));
            if limit > 0 {
                prop_assert_eq!(cut + kept.len(), all.len());
                prop_assert!(kept.len() + 3 >= limit.min(all.len()));
            }
        }
    }
}
