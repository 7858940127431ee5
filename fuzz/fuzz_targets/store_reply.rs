//! See `solocron::fuzzing::store_reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::store_reply(bytes));
