//! See `solocron::fuzzing::schedule`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::schedule(bytes));
