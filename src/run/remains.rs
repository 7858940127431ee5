//! What a leader leaves behind: when its group counts as gone, and how often to ask.

use std::time::Duration;

use super::decide::Blow;
use super::process::{Process, Rest};
use crate::clock::BootInstant;

/// The first pause between two questions whether the group is gone; each further
/// one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The same for reading all of `/proc`, which tells zombies from the living. The
/// ordinary ones are gone before the first time.
const FIRST_SURVEY: Duration = Duration::from_millis(20);
const LONGEST_SURVEY: Duration = Duration::from_secs(1);

/// How long after KILL a group that will not go is worth a warning, and one that we
/// may not signal or cannot look at is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The watch over the group of one leader.
#[derive(Debug, Default)]
pub(super) struct Remains {
    killed_at: Option<BootInstant>,
    warned: bool,
    pause: Duration,
    survey: Option<Survey>,
}

#[derive(Debug)]
struct Survey {
    at: BootInstant,
    pause: Duration,
}

impl Survey {
    fn after(now: BootInstant, pause: Duration) -> Self {
        Self { at: now + pause, pause: (pause * 2).min(LONGEST_SURVEY) }
    }
}

impl Remains {
    /// Whether nothing of the group lives any more. The leader has been reaped.
    pub(super) async fn are_gone(&mut self, process: &mut Process) -> bool {
        let rest = process.rest();
        if rest == Rest::None {
            return true;
        }
        let now = BootInstant::now();
        let survey = self.survey.get_or_insert_with(|| Survey::after(now, FIRST_SURVEY));
        if now < survey.at {
            return false;
        }
        *survey = Survey::after(now, survey.pause);

        let group = process.group();
        let lives = tokio::task::spawn_blocking(move || group.lives()).await;
        let out_of_reach = match lives {
            // Zombies: their parent has to reap them, and it is not us.
            Ok(Ok(false)) => {
                process.give_up();
                return true;
            }
            Ok(Ok(true)) => rest == Rest::Foreign,
            // No `/proc` here.
            Ok(Err(_)) | Err(_) => true,
        };
        if out_of_reach && self.is_overdue(now) {
            tracing::warn!(
                group = process.id(),
                "a command left processes behind that solocron cannot end or see"
            );
            process.give_up();
            return true;
        }
        false
    }

    /// Notes what was sent.
    pub(super) fn struck(&mut self, blow: Blow, group: u32) {
        let now = BootInstant::now();
        if blow == Blow::Kill && self.killed_at.is_none() {
            self.killed_at = Some(now);
            self.pause = FIRST_PAUSE;
            self.survey = None;
        }
        if self.is_overdue(now) && !self.warned {
            self.warned = true;
            tracing::warn!(
                group,
                "a killed command does not go: it hangs in the kernel, or has rights that \
                 solocron lacks"
            );
        }
    }

    fn is_overdue(&self, now: BootInstant) -> bool {
        self.killed_at.is_some_and(|at| now.since(at) >= PATIENCE)
    }

    /// When to look again although nothing tells us to.
    pub(super) fn next_look(&mut self, leader_ended: bool) -> Option<BootInstant> {
        let now = BootInstant::now();
        if leader_ended {
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            return Some(now + self.pause);
        }
        (self.killed_at.is_some() && !self.warned).then_some(now + PATIENCE)
    }
}
