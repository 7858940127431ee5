//! The `solocron` binary: the process's life on a page.

fn main() {}
