//! Customers in several processes: this test binary once more, and a thread for each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Barrier;

use crate::Answers;
use crate::harness::processes;
use crate::shop::{Shop, ask};

const PROCESSES: usize = 4;
const ERRAND: &str = "SOLOCRON_TEST_ERRAND";
/// What customers say begins so; what else is on the output is the test runner's.
const MARK: char = '@';

/// Lets so many customers ask the same of the replicas, all at once, and counts the
/// answers by status.
pub(crate) fn rush(shops: &[Shop], method: &str, path: &str, customers: usize) -> Answers {
    assert_eq!(customers % PROCESSES, 0);
    let addresses: Vec<_> = shops.iter().map(Shop::address).collect();
    let errand = format!("{} {method} {path} {}", customers / PROCESSES, addresses.join(" "));
    let mut crowds: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", "customers::crowd", "--ignored", "--nocapture"])
                .env(ERRAND, &errand)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut crowd = processes::spawn(command).unwrap();
            let said = BufReader::new(crowd.stdout.take().unwrap()).lines();
            (
                crowd,
                said.map_while(Result::ok)
                    .filter_map(|line| Some(line.split_once(MARK)?.1.to_owned())),
            )
        })
        .collect();
    for (_, said) in &mut crowds {
        assert_eq!(said.next().as_deref(), Some("ready"));
    }
    for (crowd, _) in &mut crowds {
        writeln!(crowd.stdin.take().unwrap(), "go").unwrap();
    }
    let mut answers = Answers::new();
    for (mut crowd, said) in crowds {
        for status in said {
            *answers.entry(status.parse().unwrap()).or_default() += 1;
        }
        assert!(crowd.wait().unwrap().success());
    }
    answers
}

/// Not a test: what a process of customers does.
#[test]
#[ignore = "started by other tests"]
fn crowd() {
    let Ok(errand) = std::env::var(ERRAND) else { return };
    let words: Vec<_> = errand.split(' ').collect();
    let [count, method, path, addresses @ ..] = &words[..] else { panic!("{errand:?}") };
    let count: usize = count.parse().unwrap();
    let together = Barrier::new(count + 1);
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let customers: Vec<_> = (0..count)
            .map(|n| {
                let (together, address) = (&together, addresses[n % addresses.len()]);
                scope.spawn(move || {
                    together.wait();
                    ask(address, method, path).0
                })
            })
            .collect();
        println!("{MARK}ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        together.wait();
        customers.into_iter().map(|customer| customer.join().unwrap()).collect()
    });
    for status in statuses {
        println!("{MARK}{status}");
    }
}
