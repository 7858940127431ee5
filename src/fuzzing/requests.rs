//! What is asked over HTTP.

/// A request, as it comes over the connection: what it asks for is read, or it is told what
/// is wrong; and nobody is let in who may not be.
pub fn http_request(bytes: &[u8]) {
    crate::http::fuzzing::read(bytes);
}
