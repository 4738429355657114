//! TLS to Redis: whom this hub trusts, and who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use thiserror::Error;

use crate::config::bus_address::servers::Trust;

/// Why no session can begin.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file can't be read, or is not a PEM file.
    #[error("{parameter} {}: {source}", path.display())]
    File { parameter: &'static str, path: PathBuf, source: pem::Error },
    /// A certificate or key can't be used.
    #[error("{parameter} {}: {source}", path.display())]
    Certificate { parameter: &'static str, path: PathBuf, source: rustls::Error },
    /// The file of authorities has none.
    #[error("ca {}: has no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// The system has no authorities.
    #[error("this system has no certificates to trust; name one by ca=/path in sse.bus")]
    NoAuthority,
    /// A certificate can't be for such a host.
    #[error("{host}: {source}")]
    Host { host: String, source: InvalidDnsNameError },
    /// The library refuses the settings.
    #[error(transparent)]
    Settings(#[from] rustls::Error),
}

/// Prepares a session with `host`, which begins with the first byte that is sent.
pub(crate) fn session(host: &str, trust: &Trust) -> Result<ClientConnection, TlsError> {
    // The process may have no default provider, as its other libraries may bring other ones.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(authorities(trust.authorities.as_deref())?);
    let config = match &trust.own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let chain = chain.map_err(file("cert", certificate))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(file("key", key))?;
            config.with_client_auth_cert(chain, secret).map_err(unusable("cert", certificate))?
        }
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|source| TlsError::Host { host: host.into(), source })?;
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

/// The certificates that sign the server's: those of the file, or the system's.
fn authorities(path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) };
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(file("ca", path))? {
        roots.add(certificate.map_err(file("ca", path))?).map_err(unusable("ca", path))?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate(path.into())) } else { Ok(roots) }
}

fn file(parameter: &'static str, path: &Path) -> impl Fn(pem::Error) -> TlsError {
    move |source| TlsError::File { parameter, path: path.into(), source }
}

fn unusable(parameter: &'static str, path: &Path) -> impl Fn(rustls::Error) -> TlsError {
    move |source| TlsError::Certificate { parameter, path: path.into(), source }
}
