//! See `solocron::fuzzing::crontab`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solocron::fuzzing::crontab(bytes));
