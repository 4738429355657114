//! The address of the bus: `sse.bus`, a Redis URL.

use std::fmt;
use std::path::{Path, PathBuf};

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::config::ConfigError;

/// Name of the setting, for errors.
const SETTING: &str = "sse.bus";

/// Default name of the Redis stream.
const STREAM: &str = "sse";

/// Default number of entries that the stream keeps at least.
const MAX_LEN: u64 = 100_000;

/// Longest stream name, in bytes.
const MAX_NAME: usize = 255;

/// How to reach Redis, and which stream to use.
#[derive(Clone)]
pub struct Address {
    pub(crate) endpoint: Endpoint,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// Database number.
    pub(crate) database: i64,
    /// Key of the stream.
    pub(crate) stream: String,
    /// Number of entries that the stream keeps at least.
    pub(crate) max_len: u64,
}

/// Where Redis listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, trust: Trust },
    Unix(PathBuf),
}

/// PEM files of a TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Certificates that sign the server's; `None` for the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// This client's certificate and key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

impl fmt::Debug for Address {
    /// Omits the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, user, database, stream, max_len, .. } = self;
        write!(f, "Address({endpoint:?}, user {user:?}, database {database}, stream {stream}, {max_len} entries)")
    }
}

impl fmt::Display for Address {
    /// The endpoint without secrets, for the log and `sse_stats()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => write!(f, "redis://{}:{port}/{}", Host(host), self.database),
            Endpoint::Tls { host, port, .. } => write!(f, "rediss://{}:{port}/{}", Host(host), self.database),
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A host in URL notation: IPv6 addresses in brackets.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

impl Address {
    /// Parses `sse.bus`; `None` if it is empty. `namespace` is part of the default stream name.
    ///
    /// # Errors
    /// What is wrong with the URL; the text omits the password.
    pub fn parse(value: &str, namespace: &str) -> Result<Option<Self>, ConfigError> {
        if value.is_empty() {
            return Ok(None);
        }
        read(value, namespace).map(Some).map_err(|problem| ConfigError::new(SETTING, &masked(value), problem))
    }

    /// Removes the password from a text, such as an error of the server.
    pub(crate) fn scrub(&self, text: &str) -> String {
        match self.password.as_deref() {
            Some(password) if !password.is_empty() => text.replace(password, "***"),
            _ => text.into(),
        }
    }

    /// Name of the channel for notifications.
    pub(crate) fn channel(&self) -> String {
        format!("{}:wakes", self.stream)
    }
}

fn read(value: &str, namespace: &str) -> Result<Address, String> {
    let Some(url) = redis::parse_redis_url(value) else {
        return Err("is not a Redis URL, such as redis://host:6379/0?stream=NAME, rediss://… (TLS) or \
                    unix:///path?stream=NAME; write special characters of a password as %40, %2F, …"
            .into());
    };
    if url.fragment().is_some() {
        return Err("has a '#', which a password must have as %23".into());
    }
    let (mut stream, mut max_len, mut trust) = (None, MAX_LEN, Trust::default());
    let (mut certificate, mut key) = (None, None);
    let is_unix = url.scheme().ends_with("unix");
    for (name, value) in url.query_pairs() {
        match &*name {
            "stream" => stream = Some(checked_name(&value)?),
            "maxlen" => {
                max_len =
                    value.parse().ok().filter(|len| *len > 0).ok_or("has a maxlen that is not a number from 1")?;
            }
            "ca" => trust.authorities = Some(pem("ca", &value)?),
            "cert" => certificate = Some(pem("cert", &value)?),
            "key" => key = Some(pem("key", &value)?),
            "db" | "user" | "pass" if is_unix => {}
            other => {
                let known =
                    if is_unix { "stream, maxlen, db, user and pass" } else { "stream, maxlen, ca, cert and key" };
                return Err(format!(
                    "has the unknown parameter '{}'; there are {known}",
                    sse_protocol::topic::printable(other)
                ));
            }
        }
    }
    trust.own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("has only one of cert and key, which belong together".into()),
    };
    let info = url.into_connection_info().map_err(|error| format!("can't be used: {error}"))?;
    let endpoint = match info.addr().clone() {
        ConnectionAddr::Tcp(host, port) if trust == Trust::default() => Endpoint::Tcp { host, port },
        ConnectionAddr::TcpTls { host, port, .. } => Endpoint::Tls { host, port, trust },
        ConnectionAddr::Unix(path) if trust == Trust::default() => Endpoint::Unix(path),
        _ => return Err("has certificates, which only rediss:// (TLS) uses".into()),
    };
    let login = info.redis_settings();
    if login.username().is_some() && login.password().is_none() {
        return Err("has a user name without a password; a password alone is written as redis://:PASSWORD@…".into());
    }
    let default = if namespace.is_empty() { STREAM.into() } else { format!("{STREAM}.{namespace}") };
    Ok(Address {
        endpoint,
        user: login.username().map(Into::into),
        password: login.password().map(Into::into),
        database: login.db(),
        stream: stream.unwrap_or(default),
        max_len,
    })
}

fn checked_name(name: &str) -> Result<String, String> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("has a stream name that is not 1 to {MAX_NAME} bytes without white space"));
    }
    Ok(name.into())
}

fn pem(name: &str, path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(format!("has a {name} that is not an absolute path"));
    }
    std::fs::File::open(path).map_err(|error| format!("has a {name} that can't be read: {error}"))?;
    Ok(path.into())
}

/// A URL with its password masked, for display.
#[must_use]
pub fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, _)| url.split_at(scheme.len() + 3));
    // Split at the last '@': an unescaped one in the password must not reveal the rest of it.
    let shown = match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split_once(':').map_or("", |(user, _)| user);
            format!("{scheme}{user}:***@{host}")
        }
        None => url.into(),
    };
    match shown.find("pass=") {
        Some(start) => {
            let end = shown[start..].find('&').map_or(shown.len(), |length| start + length);
            format!("{}pass=***{}", &shown[..start], &shown[end..])
        }
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url, "").expect("a good URL").expect("not empty")
    }

    fn problem(url: &str) -> String {
        Address::parse(url, "").expect_err("this URL should be refused").to_string()
    }

    #[test]
    fn a_url_says_where_and_what() {
        assert!(Address::parse("", "").is_ok_and(|address| address.is_none()));
        let full = address("redis://me:p%40ss@redis.example:6380/3?stream=events&maxlen=500");
        assert_eq!(full.endpoint, Endpoint::Tcp { host: "redis.example".into(), port: 6380 });
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("me"), Some("p@ss")));
        assert_eq!((full.database, full.stream.as_str(), full.max_len), (3, "events", 500));
        assert_eq!(full.channel(), "events:wakes");
        assert_eq!(full.to_string(), "redis://redis.example:6380/3");
        let short = address("valkey://[::1]");
        assert_eq!(short.to_string(), "redis://[::1]:6379/0");
        assert_eq!((short.stream.as_str(), short.max_len, short.password), ("sse", MAX_LEN, None));
        let unix = address("unix:///run/redis.sock?db=2&pass=x&stream=s");
        assert_eq!(unix.endpoint, Endpoint::Unix("/run/redis.sock".into()));
        assert_eq!((unix.database, unix.password.as_deref(), unix.stream.as_str()), (2, Some("x"), "s"));
        assert_eq!(address("redis+unix:///run/redis.sock").endpoint, Endpoint::Unix("/run/redis.sock".into()));
        let tls = address("rediss://:secret@10.0.0.1");
        assert_eq!(tls.endpoint, Endpoint::Tls { host: "10.0.0.1".into(), port: 6379, trust: Trust::default() });
    }

    #[test]
    fn a_namespace_has_a_stream_of_its_own_unless_the_url_names_one() {
        let stream = |url| Address::parse(url, "shop").expect("good").expect("not empty").stream;
        assert_eq!(stream("redis://localhost"), "sse.shop");
        assert_eq!(stream("redis://localhost?stream=all"), "all");
    }

    #[test]
    fn what_is_wrong_is_told_and_the_password_is_not() {
        for (url, said) in [
            ("localhost:6379", "is not a Redis URL"),
            ("http://localhost", "is not a Redis URL"),
            ("redis://me:secret@", "is not a Redis URL"),
            ("redis://me:se/secret@host:1/0", "is not a Redis URL"),
            ("redis://:secret#@host", "is not a Redis URL"),
            ("redis://:secret@host/#insecure", "has a '#'"),
            ("redis://:secret@host/one", "Invalid database number"),
            ("redis://:secret@host?streams=a", "has the unknown parameter 'streams'; there are stream, maxlen"),
            ("redis://:secret@host?stream=", "has a stream name"),
            ("redis://:secret@host?maxlen=0", "has a maxlen"),
            ("redis://me@host", "has a user name without a password"),
            ("redis://:secret@host?ca=/etc/hostname", "which only rediss"),
            ("rediss://:secret@host?ca=ca.pem", "has a ca that is not an absolute path"),
            ("rediss://:secret@host?ca=/nowhere/ca.pem", "has a ca that can't be read"),
            ("rediss://:secret@host?cert=/etc/hostname", "has only one of cert and key"),
            ("unix:///run/redis.sock?pass=secret&tls=1", "has the unknown parameter 'tls'"),
        ] {
            let problem = problem(url);
            assert!(problem.starts_with("sse.bus: '") && problem.contains(said), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn nothing_that_is_shown_has_the_password() {
        let address = address("redis://me:secret@host");
        assert!(!format!("{address:?} {address}").contains("secret"));
        assert_eq!(address.scrub("ERR 'secret'"), "ERR '***'");
        assert_eq!(masked("redis://me:secret@host/0?stream=s"), "redis://me:***@host/0?stream=s");
        assert_eq!(masked("unix:///s?pass=secret&db=1"), "unix:///s?pass=***&db=1");
        assert_eq!(masked("redis://host"), "redis://host");
    }
}
