//! See `solocron::fuzzing::http_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::http_request(bytes));
