//! The examples under load: what they promise holds with several replicas of them and
//! customers in several processes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "figures are told, and customers speak so")]

#[path = "../harness/mod.rs"]
mod harness;

mod customers;
mod shop;

use std::collections::BTreeMap;

use customers::rush;
use harness::redis_server::RedisServer;
use shop::Shop;

/// How many get which answer.
type Answers = BTreeMap<u16, usize>;

const STOCK: usize = 100;
const BUYERS: usize = 1000;

/// A sale with two replicas: the answers, and what is left on the shelf.
fn sale(lock: &str) -> (Answers, usize) {
    let server = RedisServer::start();
    let start = || Shop::start("flash_sale", &server.url(), &[("LOCK", lock)]);
    let replicas = [start(), start()];
    let delivery = format!("/stock?product-id=42&count={STOCK}");
    assert_eq!(replicas[0].ask("PUT", &delivery).0, 200);
    let answers = rush(&replicas, "GET", "/buy?product-id=42", BUYERS);
    let (status, left) = replicas[1].ask("GET", "/stock?product-id=42");
    assert_eq!(status, 200);
    let left = left.trim();
    println!("a sale of {STOCK} to {BUYERS}, lock {lock}: answers {answers:?}, {left} left");
    (answers, left.parse().unwrap())
}

#[test]
fn a_thousand_buyers_get_a_hundred_pieces() {
    let (answers, left) = sale("on");
    assert_eq!(answers.get(&200), Some(&STOCK), "{answers:?}");
    assert_eq!(left, 0);
    // The others were told that it is sold out, or to come again.
    assert!(answers.keys().all(|status| [200, 409, 429].contains(status)), "{answers:?}");
    assert_eq!(answers.values().sum::<usize>(), BUYERS);
}

#[test]
fn without_the_lock_more_is_sold_than_there_was() {
    let (answers, _) = sale("off");
    let sold = answers.get(&200).copied().unwrap_or(0);
    assert!(sold > STOCK, "the test above proves nothing: {answers:?}");
}

#[test]
fn of_five_hundred_duplicates_one_is_charged() {
    let server = RedisServer::start();
    let start = || Shop::start("idempotent_payment", &server.url(), &[]);
    let replicas = [start(), start()];
    let answers = rush(&replicas, "POST", "/pay?order-id=4711&cents=1999", 500);
    println!("one order, paid 500 times: answers {answers:?}");
    assert_eq!(answers, [(201, 1), (409, 499)].into());
    assert_eq!(replicas[0].ask("GET", "/charges?order-id=4711"), (200, "1\n".to_owned()));
    assert_eq!(replicas[1].ask("POST", "/pay?order-id=4711&cents=1999").0, 409);
    assert_eq!(replicas[1].ask("POST", "/pay?order-id=4712&cents=1999").0, 201);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = RedisServer::start();
    let shop = Shop::start("flash_sale", &server.url(), &[]);
    assert_eq!(shop.ask("GET", "/buy").0, 400);
    assert_eq!(shop.ask("GET", &format!("/buy?product-id={}", "x".repeat(600))).0, 400);
    assert_eq!(shop.ask("GET", "/buy?product-id=nowhere").0, 409);
    let till = Shop::start("idempotent_payment", &server.url(), &[]);
    assert_eq!(till.ask("POST", "/pay?order-id=1").0, 400);
    assert_eq!(till.ask("GET", "/pay?order-id=1&cents=1").0, 405);
}
