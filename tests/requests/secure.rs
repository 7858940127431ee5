//! Requests over TLS: whom a job trusts.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::answers::{call, entry};
use crate::harness::redis_server::certificates;
use crate::harness::site::{Ground, Site};

on_every_store! {
    a_server_is_trusted_by_the_roots_that_the_job_names_and_by_no_others
}

/// A server that speaks TLS, and its port. It ends with its runtime.
fn server(folder: &std::path::Path) -> (tokio::runtime::Runtime, u16) {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
    (runtime, port)
}

fn a_server_is_trusted_by_the_roots_that_the_job_names_and_by_no_others(ground: Ground) {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    let (_runtime, port) = server(folder.path());
    let job = |host: &str, ca: &str| {
        let ca = folder.path().join(ca).display().to_string();
        call(&format!("url = 'https://{host}:{port}/'\nca = '{ca}'"), "")
    };
    let site = Site::new(ground, "", &job("localhost", "ca.pem"));
    let _node = site.start("web-1").ready();
    let run = entry(&site, "succeeded");
    assert!(site.ask(&["slot", "call", &run.slot]).contains("secret"));
    site.set_jobs(&job("127.0.0.1", "other-ca.pem"));
    site.ask(&["reload"]);
    let why = entry(&site, "failed").error.unwrap();
    assert!(why.contains("UnknownIssuer") && why.ends_with("give that one as `ca`"), "{why}");
}
