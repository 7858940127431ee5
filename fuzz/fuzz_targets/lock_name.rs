//! See `solocron::fuzzing::lock_name`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::lock_name(bytes));
