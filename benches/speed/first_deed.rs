//! The job whose lateness is measured. Reads the clock, then writes a line to the file
//! that it is given: its slot, and nanoseconds since 1970. Built by `lateness`, linked
//! statically, so that little comes before.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::SystemTime;

fn main() {
    let now = SystemTime::now();
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let file = std::env::args_os().nth(1).expect("a file is given");
    let slot = std::env::var("SOLOCRON_SLOT").expect("a slot is given");
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("it opens");
    file.write_all(format!("{slot} {nanos}\n").as_bytes()).expect("it can be written");
}
