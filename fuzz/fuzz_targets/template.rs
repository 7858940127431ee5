//! See `solocron::fuzzing::template`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::template(bytes));
