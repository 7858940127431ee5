//! The template of an alert.

use crate::alert::{Body, samples};

/// A text is a template that is rendered, always the same and not without measure, or it
/// is said what is wrong with it.
pub fn template(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Body::new(text) {
        Ok(body) => {
            for sample in samples() {
                let rendered = body.render(&sample);
                assert_eq!(body.render(&sample), rendered);
                if let Ok(rendered) = rendered {
                    assert!(rendered.len() <= 256 * 1024);
                }
            }
            body.is_json();
        }
        Err(bad) => {
            assert!(!bad.why.is_empty());
            if let Some(at) = bad.at {
                assert!(text.get(at.clone()).is_some(), "{at:?}");
            }
        }
    }
}
