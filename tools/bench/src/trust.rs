//! A certificate for `localhost` that nobody but the programs measured here is told to trust, made anew each time.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// What a server needs to be trusted, and where a client finds that it may.
pub struct Trust {
    pub server: Arc<ServerConfig>,
    /// The one certificate to trust, as `SSL_CERT_FILE` names it.
    pub file: PathBuf,
}

impl Trust {
    /// Makes the certificate, and writes it into `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(Error::other)?;
        let file = folder.join("bench-certificate.pem");
        std::fs::write(&file, made.cert.pem())?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .map_err(Error::other)?;
        Ok(Self { server: Arc::new(server), file: file.canonicalize()? })
    }
}
