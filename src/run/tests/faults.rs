//! Who is killed or stopped, and that nothing is left whoever it was.
//!
//! The tests of the whole program are in `tests/keeper`; here are those that need to see
//! the report, or a daemon that is not solocron.
