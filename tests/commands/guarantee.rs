//! The page of proof, `tests/GUARANTEE.md`: it says what the README says, and what it names
//! is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A text on one line, wherever it was broken.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the README promises: its points 1 to 4.
fn promises() -> String {
    let readme = read("README.md");
    let (_, guarantee) = readme.split_once("## The guarantee\n").unwrap();
    let (_, points) = guarantee.split_once("\n1. ").unwrap();
    let (points, _) = points.split_once("\n5. ").unwrap();
    on_one_line(&["\n2. ", "\n3. ", "\n4. "].iter().fold(points.to_owned(), |points, number| {
        assert!(points.contains(number));
        points.replace(number, "\n")
    }))
}

/// The sentences of a part of the page, each with what stands below it.
fn sentences(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n### ").skip(1);
    let parts = parts.map(|part| part.split("\n## ").next().unwrap());
    parts.map(|part| part.split_once('\n').unwrap()).collect()
}

/// A change to the code that some test must catch.
struct Breakage {
    name: String,
    breaks: String,
    how: String,
    caught_by: String,
}

fn breakages() -> Vec<Breakage> {
    let mut breakages = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/breakages")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "patch", "{}", path.display());
        let text = read(&path);
        let (head, _) = text.split_once("\ndiff --git ").expect("it is a patch");
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("{} has no line {name:?}", path.display())).to_owned()
        };
        breakages.push(Breakage {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            breaks: field("Breaks"),
            how: field("How"),
            caught_by: field("Caught by"),
        });
    }
    assert!(breakages.len() >= 25, "{}", breakages.len());
    breakages
}

#[test]
fn its_sentences_are_those_of_the_readme() {
    let (readme, page) = (on_one_line(&read("README.md")), read("tests/GUARANTEE.md"));
    for (sentence, _) in sentences(&page) {
        assert!(readme.contains(sentence), "the README does not say: {sentence}");
    }
    let (_, ours) = page.split_once("\n## The guarantee\n").unwrap();
    let (ours, _) = ours.split_once("\n## ").unwrap();
    let ours: Vec<_> = sentences(ours).into_iter().map(|(sentence, _)| sentence).collect();
    assert_eq!(ours.join(" "), promises(), "each sentence that is promised has its place");
}

#[test]
fn every_test_that_it_names_is_there() {
    let page = read("tests/GUARANTEE.md");
    let mut tests = 0;
    for (sentence, proof) in sentences(&page) {
        let (held_by, _) = proof.split_once("\n| ").unwrap_or((proof, ""));
        assert!(held_by.contains("](") && held_by.contains(".rs)"), "no test holds: {sentence}");
        // Behind the link to each file stand the names of the tests in there.
        for part in held_by.split("](").skip(1) {
            let (file, names) = part.split_once(')').unwrap();
            let source = read(Path::new("tests").join(file));
            let (names, _) = names.split_once('[').unwrap_or((names, ""));
            for name in names.split('`').skip(1).step_by(2) {
                let is_named = source.split(|c: char| !c.is_alphanumeric() && c != '_');
                assert!(is_named.into_iter().any(|word| word == name), "{file} has no {name}");
                tests += 1;
            }
        }
    }
    assert!(tests >= 40, "{tests}");
}

#[test]
fn every_breakage_has_its_line_below_its_sentence_and_no_other_has_one() {
    let page = read("tests/GUARANTEE.md");
    let mut lines = BTreeMap::new();
    for (sentence, proof) in sentences(&page) {
        for line in proof.lines().filter(|line| line.contains("](breakages/")) {
            assert_eq!(lines.insert(line, sentence), None, "{line}");
        }
    }
    for Breakage { name, breaks, how, caught_by } in breakages() {
        let line = format!("| [`{name}`](breakages/{name}.patch) | {how} | `{caught_by}` |");
        assert_eq!(lines.remove(&*line), Some(&*breaks), "{line}");
    }
    assert!(lines.is_empty(), "there is no such breakage: {lines:?}");
}

#[test]
fn every_breakage_still_applies_to_the_code() {
    let answer = Command::new(root().join("tests/break")).arg("--apply").output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn every_breakage_names_a_test_that_is_there() {
    let mut words = BTreeMap::new();
    for Breakage { name, caught_by, .. } in breakages() {
        let parts: Vec<_> = caught_by.split(' ').collect();
        let test = parts.last().unwrap().rsplit("::").next().unwrap();
        let folder = match parts.iter().position(|part| *part == "--test") {
            Some(place) => format!("tests/{}", parts[place + 1]),
            None => {
                assert!(parts.contains(&"--lib"), "{name}: {caught_by}");
                "src".to_owned()
            }
        };
        let there = words.entry(folder).or_insert_with_key(|folder| {
            let mut words = BTreeSet::new();
            collect_words(&root().join(folder), &mut words);
            words
        });
        assert!(there.contains(test), "{name}: there is no {test}");
    }
}

/// The words of the Rust files of a folder and those below.
fn collect_words(folder: &Path, words: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_words(&path, words);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_between = |c: char| !c.is_alphanumeric() && c != '_';
            words.extend(read(&path).split(is_between).map(str::to_owned));
        }
    }
}
