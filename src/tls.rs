//! TLS as a client: whom to trust, and as whom to show up. The store, webhooks and HTTP
//! jobs all go by it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// Whom to trust, and as whom to show up.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The certificates that the server's must descend from; the system's where absent.
    pub ca: Option<Pem>,
    /// The client's certificate, with those that lead to its root.
    pub cert: Option<Pem>,
    /// The key of the client's certificate.
    pub key: Option<Pem>,
}

/// Something in PEM format.
#[derive(Clone)]
pub enum Pem {
    /// The text itself.
    Text(Vec<u8>),
    /// A file with it, read at every connect, so that it may be renewed.
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("PEM"),
            Self::File(path) => path.fmt(f),
        }
    }
}

/// Why there is nothing to go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Unusable {
    /// In words.
    pub(crate) why: String,
    /// Whether it may be otherwise next time, with nothing changed.
    pub(crate) passes: bool,
}

fn lasting(why: impl Into<String>) -> Unusable {
    Unusable { why: why.into(), passes: false }
}

/// What `tls` says, for one connection.
pub(crate) async fn client_config(tls: &TlsOptions) -> Result<Arc<ClientConfig>, Unusable> {
    let roots = match &tls.ca {
        Some(ca) => Arc::new(roots_of(ca).await?),
        None => system_roots().await?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| lasting(error.to_string()))?
        .with_root_certificates(roots);
    let config = match (&tls.cert, &tls.key) {
        (None, None) => config.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "cert").await?;
            let key = PrivateKeyDer::from_pem_slice(&pem(key, "key").await?)
                .map_err(|error| lasting(format!("`key` holds no private key: {error}")))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| lasting(format!("`cert` and `key` do not fit: {error}")))?
        }
        _ => return Err(lasting("`cert` and `key` go together; one of them is missing")),
    };
    Ok(Arc::new(config))
}

async fn roots_of(ca: &Pem) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for root in certificates(ca, "ca").await? {
        roots
            .add(root)
            .map_err(|error| lasting(format!("`ca` holds no root to go by: {error}")))?;
    }
    Ok(roots)
}

/// The system's roots, read once: there are some hundred of them.
async fn system_roots() -> Result<Arc<RootCertStore>, Unusable> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    let read = || async {
        let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
            .await
            .map_err(|error| Unusable { why: error.to_string(), passes: true })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(lasting("this system has no root certificates; set `ca`"));
        }
        Ok(Arc::new(roots))
    };
    ROOTS.get_or_try_init(read).await.cloned()
}

async fn certificates(source: &Pem, name: &str) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let text = pem(source, name).await?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(lasting(format!("`{name}` holds no certificate in PEM format"))),
        Err(error) => Err(lasting(format!("`{name}` cannot be read: {error}"))),
    }
}

async fn pem(source: &Pem, name: &str) -> Result<Vec<u8>, Unusable> {
    match source {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => tokio::fs::read(path).await.map_err(|error| {
            lasting(format!("`{name}` ({}) cannot be read: {error}", path.display()))
        }),
    }
}
