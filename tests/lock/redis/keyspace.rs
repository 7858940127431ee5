//! What stands in the way of the library's own keys.

use solocron::lock::LockError;

use super::Server;
use crate::contract::Fixture;

#[tokio::test]
async fn what_stands_where_the_fences_are_counted_is_not_written_over() {
    let f = Server::start();
    let fences = "prod:{prod.0}:fence";
    f.0.cli(&["RPUSH", fences, "somebody's"]);
    let refused = f.locks().lock("order/1").try_acquire().await;
    assert!(
        matches!(&refused, Err(LockError::Corrupt(why)) if why.contains("WRONGTYPE")),
        "{refused:?}"
    );
    assert_eq!(f.0.cli_list(&["LRANGE", fences, "0", "-1"]), ["somebody's"]);
    assert_eq!(f.0.cli_list(&["KEYS", "*"]).len(), 1, "no lock is left");
}
