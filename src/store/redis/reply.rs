//! Replies, taken apart; one of an unexpected shape is [`StoreError::Corrupt`].

use redis::Value;

use crate::clock::ClusterTime;
use crate::store::redis::trouble;
use crate::store::{Result, StoreError};

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("Redis answered with something that is not {what}"))
}

pub(super) fn text(value: Value) -> Result<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| corrupt("text in UTF-8")),
        Value::SimpleString(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        Value::Okay => Ok("OK".to_owned()),
        _ => Err(corrupt("text")),
    }
}

/// A text, or nothing.
pub(super) fn optional_text(value: Value) -> Result<Option<String>> {
    match value {
        Value::Nil => Ok(None),
        value => text(value).map(Some),
    }
}

pub(super) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(corrupt("a list")),
    }
}

pub(super) fn texts(value: Value) -> Result<Vec<String>> {
    list(value)?.into_iter().map(text).collect()
}

/// The time in front of a script's other replies.
pub(super) fn timed(
    values: Vec<Value>,
) -> Result<(ClusterTime, impl ExactSizeIterator<Item = Value>)> {
    let mut values = values.into_iter();
    let now = integer(values.next().ok_or_else(|| corrupt("a time"))?)?;
    Ok((ClusterTime::from_unix_micros(now), values))
}

/// Texts two by two.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, String)>> {
    let mut texts = texts(value)?.into_iter();
    let mut pairs = Vec::with_capacity(texts.len() / 2);
    while let Some(first) = texts.next() {
        pairs.push((first, texts.next().ok_or_else(|| corrupt("a list of pairs"))?));
    }
    Ok(pairs)
}

pub(super) fn integer(value: Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(number),
        value => text(value)?.parse().map_err(|_| corrupt("a number")),
    }
}

/// The answer to `TIME`.
pub(super) fn time(value: Value) -> Result<ClusterTime> {
    let [seconds, micros] = list(value)?.try_into().map_err(|_: Vec<Value>| corrupt("a time"))?;
    let micros = integer(seconds)?.saturating_mul(1_000_000).saturating_add(integer(micros)?);
    Ok(ClusterTime::from_unix_micros(micros))
}

/// What a script says of one item: `error TEXT` is an error.
pub(super) fn item(value: Value) -> Result<String> {
    let line = text(value)?;
    match line.strip_prefix("error ") {
        Some(error) => Err(trouble::of_text(error)),
        None => Ok(line),
    }
}

/// `yes` or `no`, for each item.
pub(super) fn did<T>(_item: &T, _now: ClusterTime, value: Value) -> Result<bool> {
    yes(value)
}

/// `yes` or `no`.
pub(super) fn yes(value: Value) -> Result<bool> {
    match item(value)?.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(corrupt("yes or no")),
    }
}
