//! The contract of a store, as cases that every backend passes.
//!
//! A backend joins with a [`Fixture`] and one line, `contract!(crate::redis::RedisFixture);`,
//! which makes one test of each case. A case is a sentence that holds, an
//! `async fn(&impl Fixture)` in the file of its theme, and is listed in the
//! macro below: a case left out there is dead code, which the lints refuse.
//!
//! Cases run in real time on a machine that may be busy: a lease that must live
//! is long, one that must lapse is short, and states are waited for.

use std::sync::Arc;

use solocron::store::Store;

mod cast;
pub(crate) mod claiming;

pub(crate) use cast::*;

/// A backend under test: data of its own, gone when it is dropped.
pub(crate) trait Fixture {
    /// An empty store.
    async fn start() -> Self;

    /// A new handle on the same data, with connections of its own, as another
    /// node or process would have.
    async fn store(&self) -> Arc<dyn Store>;
}

/// Makes one test of each case for the fixture named by its full path.
macro_rules! contract {
    ($fixture:ty) => {
        contract! { @ $fixture;
            claiming {
                the_first_claim_wins_and_the_second_learns_who_holds_it_and_for_how_long
                the_same_token_again_is_won_with_the_same_fence
                of_a_hundred_concurrent_claimants_one_wins
                verdicts_come_in_the_order_of_the_claims
            }
        }
    };
    (@ $fixture:ty; $($theme:ident { $($case:ident)* })*) => {
        mod contract {
            $(mod $theme {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture = <$fixture as $crate::contract::Fixture>::start().await;
                    $crate::contract::$theme::$case(&fixture).await;
                })*
            })*
        }
    };
}
