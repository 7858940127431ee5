//! Names: of locks, jobs, nodes, and of slots.

use crate::lock::LockName;
use crate::name::{ClusterName, JobName, NodeName};
use crate::slot::{Slot, SlotTime, TriggerId};

/// A name is written as it was read; nothing that has to be told apart is written alike.
pub fn lock_name(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<LockName>() {
        assert_eq!(name.to_string(), text);
        assert!(text.len() <= crate::lock::MAX_LEN && !text.contains(char::is_control));
        crate::store::redis::fuzzing::keys(&name);
    }
    for name in [
        JobName::new(text).map(|name| name.to_string()),
        NodeName::new(text).map(|name| name.to_string()),
        ClusterName::new(text).map(|name| name.to_string()),
    ] {
        match name {
            Ok(name) => assert_eq!(name, text),
            Err(why) => assert!(!why.to_string().contains(char::is_control), "{why}"),
        }
    }
    if let Ok(slot) = text.parse::<Slot>() {
        assert_eq!(slot.to_string().parse(), Ok(slot));
    }
    if let Ok(at) = text.parse::<SlotTime>() {
        assert_eq!(at.to_string().parse(), Ok(at));
    }
    if let Ok(trigger) = text.parse::<TriggerId>() {
        assert_eq!(trigger.to_string().parse(), Ok(trigger));
        assert!(trigger.instant().to_string().parse::<SlotTime>().is_ok());
    }
}
