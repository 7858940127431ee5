//! A node that cannot be looked at as its config says does not start.

use std::net::TcpListener;
use std::process::{Command, Output};

use crate::harness::site::{Ground, Site};

const JOB: &str = "[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n";

fn run(http: &str) -> Output {
    let site = Site::new(Ground::Sqlite, "", &format!("{http}\n{JOB}"));
    Command::new(env!("CARGO_BIN_EXE_solocron"))
        .args(["run", "--node", "web-1", "-c"])
        .arg(site.config())
        .output()
        .unwrap()
}

#[track_caller]
fn refuses(http: &str, code: i32, said: &str) {
    let output = run(http);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(said), "{errors}");
}

#[test]
fn an_address_that_others_reach_needs_a_token_and_tls() {
    refuses("[http]\nlisten = '0.0.0.0:0'", 78, "there is no token");
    refuses("[http]\nlisten = '0.0.0.0:0'", 78, "there is no TLS");
    refuses("[http]\nlisten = '0.0.0.0:0'\nbehind_proxy = true", 78, "there is no token");
}

#[test]
fn an_address_that_is_taken_and_a_certificate_that_is_none_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let http = format!("[http]\nlisten = '{address}'");
    refuses(&http, 1, &format!("cannot listen on {address}"));
    let tls = "[http]\nlisten = '127.0.0.1:0'\ntls = { cert = '/nowhere', key = '/nowhere' }";
    refuses(tls, 1, "/nowhere");
}

#[test]
fn a_node_with_tls_answers_who_trusts_it() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let http = format!(
        "[http]\nlisten = '127.0.0.1:0'\ntls = {{ cert = '{}', key = '{}' }}\n\
         [[http.tokens]]\nname = 'ada'\nsecret = 'the secret of ada'\n",
        cert.display(),
        key.display()
    );
    let site = Site::new(Ground::Sqlite, "", &format!("{http}{JOB}"));
    let node = site.start("web-1").ready();
    let told = node.wait("http.listening");
    let address: std::net::SocketAddr = told["address"].as_str().unwrap().parse().unwrap();
    let body = curl(&cert, address.port());
    assert_eq!(body, "{\"status\":\"ok\"}");
    // Who speaks without it is no concern of anybody else's.
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(curl(&cert, address.port()), body);
}

/// The answer to `/healthz` over TLS.
fn curl(ca: &std::path::Path, port: u16) -> String {
    use std::io::{Read, Write};
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tls =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut tcp = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    // The end may come without a farewell.
    let _end = stream.read_to_string(&mut answer);
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
