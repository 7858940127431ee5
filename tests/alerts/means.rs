//! What is sent, and how: signed, by a template, to a command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use solocron::clock::wall_now;

use crate::harness::receiver::Receiver;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::once::ops;

on_every_store! {
    a_webhook_is_signed_and_its_secret_comes_from_the_environment
    a_template_makes_what_a_chat_service_takes
    a_command_gets_the_notice_and_one_that_hangs_is_ended
}

fn failing(keys: &str) -> String {
    every_second("backup", "echo '<b>\"no\"</b>'; exit 3", keys)
}

fn a_webhook_is_signed_and_its_secret_comes_from_the_environment(ground: Ground) {
    let receiver = Receiver::friendly();
    let table = ops(&receiver, "secret = '${HOOK_SECRET}'") + &failing("on_failure = ['ops']");
    let site = Site::new(ground, "", &table);
    let key = b"hunter2 hunter2 hunter2!";
    let secret = format!("whsec_{}", STANDARD.encode(key));
    let node = site.start_with("web-1", |command| {
        command.env("HOOK_SECRET", &secret);
    });
    let received = receiver.wait(1).remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/ops"));
    assert_eq!(received.header("content-type"), "application/json");
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    assert_eq!(received.json()["id"], id);
    let age = wall_now().as_second() - timestamp.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "{age}");

    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{timestamp}.{}", received.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(received.header("webhook-signature"), expected);
    let printed: String = node.log().iter().map(|logged| logged.record.to_string()).collect();
    assert!(!printed.contains(&secret));
}

fn a_template_makes_what_a_chat_service_takes(ground: Ground) {
    let receiver = Receiver::friendly();
    let body = r##"body = '''{"text": {{ (":fire: " ~ message ~ "\n" ~ (output or "")) | tojson }}, "channel": "#ops"}'''"##;
    let site = Site::new(ground, "", &(ops(&receiver, body) + &failing("on_failure = ['ops']")));
    let _node = site.start("web-1");
    let said = receiver.wait(1).remove(0).json();
    assert_eq!(said["channel"], "#ops");
    let text = said["text"].as_str().unwrap();
    assert!(text.starts_with(":fire: backup@"), "{text}");
    assert!(text.ends_with("exited with 3\n<b>\"no\"</b>\n"), "{text}");
}

fn a_command_gets_the_notice_and_one_that_hangs_is_ended(ground: Ground) {
    // It hangs the first time, with a child that holds its outputs open.
    let script = r#"cd "$1"; if mkdir once; then echo $$ > once/pid; sleep 600 & sleep 600; fi
cat > notice; echo "$SOLOCRON_ALERT $SOLOCRON_JOB $SOLOCRON_EXIT_CODE $${HOME-none}" > told"#;
    let table = |folder: &str| {
        format!(
            "[notify.ops]\ncommand = ['/bin/sh', '-c', '''{script}''', 'sh', '{folder}']\n\
             timeout = '2s'\n\n{}",
            failing("on_failure = ['ops']")
        )
    };
    let site = Site::new(ground, "", "");
    site.set_jobs(&table(&site.folder().display().to_string()));
    let node = site.start("web-1").ready();
    let failed = node.wait("notify.failed");
    assert_eq!(failed["error"], "no answer within 2s");
    node.wait("notify.sent");
    let told = site.lines("told");
    assert_eq!(told, ["failure backup 3 none"]);
    let notice = std::fs::read_to_string(site.folder().join("notice")).unwrap();
    let notice: serde_json::Value = serde_json::from_str(&notice).unwrap();
    assert_eq!((&notice["job"], &notice["alert"]), (&"backup".into(), &"failure".into()));
    let leader = site.lines("once/pid").remove(0);
    until("what hung is gone", || !std::path::Path::new(&format!("/proc/{leader}")).exists());
}
