//! The address of the bus: `sse.bus`, a Redis URL.

pub(crate) mod servers;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use redis::{ConnectionAddr, IntoConnectionInfo, RedisError};
use thiserror::Error;

use crate::config::ConfigError;
use crate::config::bus_address::servers::{BusServers, Endpoint, Login, SeveralHosts, Trust};

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
pub struct BusAddress {
    pub(crate) servers: BusServers,
    pub(crate) login: Login,
    /// Database number.
    pub(crate) database: i64,
    /// Key of the stream. In a cluster it has a hash tag, and so have all keys beside it.
    pub(crate) stream: String,
    /// Number of entries that the stream keeps at least.
    pub(crate) max_len: u64,
}

/// What is wrong with a URL. The text completes the sentence that begins with the setting and its value.
#[derive(Debug, Error)]
enum InvalidUrl {
    #[error(
        "is not a Redis URL, such as redis://host:6379/0?stream=NAME, rediss://… (TLS), unix:///path?stream=NAME, \
         redis+sentinel://host,host/MASTER or redis+cluster://host,host; write special characters of a password as %40, %2F, …"
    )]
    NotRedis,
    #[error("has a '#', which a password must have as %23")]
    Fragment,
    #[error("has a stream name that is not 1 to {MAX_NAME} bytes without white space")]
    StreamName,
    #[error("has a maxlen that is not a number from 1")]
    MaxLen,
    #[error("has the unknown parameter '{name}'; there are {known}")]
    Parameter { name: String, known: &'static str },
    #[error("has a {0} that is not an absolute path")]
    RelativePath(&'static str),
    #[error("has a {name} that can't be read: {source}")]
    Unreadable { name: &'static str, source: io::Error },
    #[error("has only one of cert and key, which belong together")]
    HalfOfPair,
    #[error("can't be used: {0}")]
    Unusable(#[from] RedisError),
    #[error("has certificates, which only rediss:// (TLS) uses")]
    CertificatesWithoutTls,
    #[error("has a user name without a password; a password alone is written as redis://:PASSWORD@…")]
    NoPassword,
    #[error("has a sentinel_user without a sentinel_pass")]
    NoSentinelPassword,
    #[error("has a host that is none; write them as host:port,host:port, an IPv6 address in brackets")]
    Host,
    #[error("has more hosts than needed; a few of them are enough")]
    ManyHosts,
    #[error(
        "has no name of a master that is letters, digits, '.', '-' and '_'; it stands behind the Sentinels, as in \
         redis+sentinel://host:26379,host:26379/mymaster"
    )]
    MasterName,
    #[error("has a database, but a Redis Cluster has only number 0")]
    ClusterDatabase,
    #[error("has a stream name that begins with '}}', from which no hash tag can be made")]
    HashTag,
}

impl fmt::Debug for BusAddress {
    /// Omits the passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, login, database, stream, max_len } = self;
        write!(f, "Address({servers:?}, {login:?}, database {database}, stream {stream}, {max_len} entries)")
    }
}

impl fmt::Display for BusAddress {
    /// The servers without secrets, for the log and `sse_stats()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, database, .. } = self;
        match servers {
            BusServers::One(Endpoint::Unix(_)) | BusServers::Cluster(_) => servers.fmt(f),
            BusServers::One(_) => write!(f, "{servers}/{database}"),
            BusServers::Sentinel(group) => write!(f, "{servers}/{}/{database}", group.master),
        }
    }
}

impl BusAddress {
    /// Parses `sse.bus`; `None` if it is empty. `namespace` is part of the default stream name.
    ///
    /// # Errors
    /// What is wrong with the URL; the text omits the password.
    pub fn parse(value: &str, namespace: &str) -> Result<Option<Self>, ConfigError> {
        if value.is_empty() {
            return Ok(None);
        }
        read(value, namespace)
            .map(Some)
            .map_err(|problem| ConfigError::new(SETTING, &masked(value), problem.to_string()))
    }

    /// Name of the channel for what hubs tell each other to do.
    pub(crate) fn control_channel(&self) -> String {
        format!("{}:control", self.stream)
    }

    /// Name of the channel for notifications.
    pub(crate) fn channel(&self) -> String {
        self.beside("wakes")
    }

    /// Name of a value beside the stream.
    pub(crate) fn beside(&self, name: &str) -> String {
        format!("{}:{name}", self.stream)
    }
}

fn read(value: &str, namespace: &str) -> Result<BusAddress, InvalidUrl> {
    let several = SeveralHosts::split(value)?;
    let one = several.as_ref().map_or(value, |(_, one)| one);
    let Some(url) = redis::parse_redis_url(one) else {
        return Err(InvalidUrl::NotRedis);
    };
    if url.fragment().is_some() {
        return Err(InvalidUrl::Fragment);
    }
    let (mut stream, mut max_len, mut trust) = (None, MAX_LEN, Trust::default());
    let (mut certificate, mut key) = (None, None);
    let mut sentinel = Login::default();
    let is_unix = url.scheme().ends_with("unix");
    let is_sentinel = several.as_ref().is_some_and(|(several, _)| several.is_sentinel());
    for (name, value) in url.query_pairs() {
        match &*name {
            "stream" => stream = Some(checked_name(&value)?),
            "maxlen" => {
                max_len = value.parse().ok().filter(|len| *len > 0).ok_or(InvalidUrl::MaxLen)?;
            }
            "ca" => trust.authorities = Some(pem("ca", &value)?),
            "cert" => certificate = Some(pem("cert", &value)?),
            "key" => key = Some(pem("key", &value)?),
            "db" | "user" | "pass" if is_unix => {}
            "sentinel_user" if is_sentinel => sentinel.user = Some(value.into()),
            "sentinel_pass" if is_sentinel => sentinel.password = Some(value.into()),
            other => {
                let known = match (is_unix, is_sentinel) {
                    (true, _) => "stream, maxlen, db, user and pass",
                    (_, true) => "stream, maxlen, ca, cert, key, sentinel_user and sentinel_pass",
                    _ => "stream, maxlen, ca, cert and key",
                };
                let name = sse_protocol::topic::printable(other).to_string();
                return Err(InvalidUrl::Parameter { name, known });
            }
        }
    }
    trust.own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(InvalidUrl::HalfOfPair),
    };
    let info = url.into_connection_info()?;
    let endpoint = match info.addr().clone() {
        ConnectionAddr::Tcp(host, port) if trust == Trust::default() => Endpoint::Tcp { host, port },
        ConnectionAddr::TcpTls { host, port, .. } => Endpoint::Tls { host, port, trust },
        ConnectionAddr::Unix(path) if trust == Trust::default() => Endpoint::Unix(path),
        _ => return Err(InvalidUrl::CertificatesWithoutTls),
    };
    let login = info.redis_settings();
    if login.username().is_some() && login.password().is_none() {
        return Err(InvalidUrl::NoPassword);
    }
    if sentinel.user.is_some() && sentinel.password.is_none() {
        return Err(InvalidUrl::NoSentinelPassword);
    }
    let default = if namespace.is_empty() { STREAM.into() } else { format!("{STREAM}.{namespace}") };
    let stream = stream.unwrap_or(default);
    let login = Login { user: login.username().map(Into::into), password: login.password().map(Into::into) };
    let (database, servers) = (
        info.redis_settings().db(),
        match several {
            Some((several, _)) => several.servers(&endpoint, sentinel),
            None => BusServers::One(endpoint),
        },
    );
    let stream = if matches!(servers, BusServers::Cluster(_)) { tagged(stream)? } else { stream };
    Ok(BusAddress { servers, login, database, stream, max_len })
}

/// The name with a hash tag, unless it has one: so the stream and all keys beside it are in one slot.
fn tagged(name: String) -> Result<String, InvalidUrl> {
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    match tag {
        Some((tag, _)) if !tag.is_empty() => Ok(name),
        _ if name.starts_with('}') => Err(InvalidUrl::HashTag),
        _ => Ok(format!("{{{name}}}")),
    }
}

fn checked_name(name: &str) -> Result<String, InvalidUrl> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidUrl::StreamName);
    }
    Ok(name.into())
}

fn pem(name: &'static str, path: &str) -> Result<PathBuf, InvalidUrl> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(InvalidUrl::RelativePath(name));
    }
    std::fs::File::open(path).map_err(|source| InvalidUrl::Unreadable { name, source })?;
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
    let mut parts = shown.split("pass=");
    let first = parts.next().unwrap_or_default().to_owned();
    // A password ends with its parameter; one may be there twice, by mistake.
    parts.fold(first, |before, part| format!("{before}pass=***{}", part.find('&').map_or("", |end| &part[end..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> BusAddress {
        BusAddress::parse(url, "").expect("a good URL").expect("not empty")
    }

    fn tcp(host: &str, port: u16) -> BusServers {
        BusServers::One(Endpoint::Tcp { host: host.into(), port })
    }

    fn problem(url: &str) -> String {
        BusAddress::parse(url, "").expect_err("this URL should be refused").to_string()
    }

    #[test]
    fn a_url_says_where_and_what() {
        assert!(BusAddress::parse("", "").is_ok_and(|address| address.is_none()));
        let full = address("redis://me:p%40ss@redis.example:6380/3?stream=events&maxlen=500");
        assert_eq!(full.servers, tcp("redis.example", 6380));
        assert_eq!((full.login.user.as_deref(), full.login.password.as_deref()), (Some("me"), Some("p@ss")));
        assert_eq!((full.database, full.stream.as_str(), full.max_len), (3, "events", 500));
        assert_eq!(full.channel(), "events:wakes");
        assert_eq!(full.to_string(), "redis://redis.example:6380/3");
        let short = address("valkey://[::1]");
        assert_eq!(short.to_string(), "redis://[::1]:6379/0");
        assert_eq!((short.stream.as_str(), short.max_len, short.login.password), ("sse", MAX_LEN, None));
        let unix = address("unix:///run/redis.sock?db=2&pass=x&stream=s");
        assert_eq!(unix.servers, BusServers::One(Endpoint::Unix("/run/redis.sock".into())));
        assert_eq!((unix.database, unix.login.password.as_deref(), unix.stream.as_str()), (2, Some("x"), "s"));
        assert_eq!(address("redis+unix:///run/redis.sock").servers, unix.servers);
        let tls = address("rediss://:secret@10.0.0.1");
        let endpoint = Endpoint::Tls { host: "10.0.0.1".into(), port: 6379, trust: Trust::default() };
        assert_eq!(tls.servers, BusServers::One(endpoint));
    }

    #[test]
    fn a_url_names_several_sentinels_and_a_master() {
        let full = address(
            "redis+sentinel://me:p%40ss@one,[::1]:5000,three:26380/my-master/2?stream=s&sentinel_user=you&sentinel_pass=q%26",
        );
        let BusServers::Sentinel(group) = &full.servers else { panic!("{full:?}") };
        let hosts = [("one", 26379), ("::1", 5000), ("three", 26380)];
        assert_eq!(group.sentinels, hosts.map(|(host, port)| Endpoint::Tcp { host: host.into(), port }));
        assert_eq!(group.login, Login { user: Some("you".into()), password: Some("q&".into()) });
        assert_eq!(full.login, Login { user: Some("me".into()), password: Some("p@ss".into()) });
        assert_eq!((full.database, &*full.stream), (2, "s"));
        assert_eq!(full.to_string(), "redis+sentinel://one:26379,[::1]:5000,three:26380/my-master/2");
        let tls = address("rediss+sentinel://one/m");
        let BusServers::Sentinel(group) = &tls.servers else { panic!("{tls:?}") };
        assert!(matches!(&group.sentinels[..], [Endpoint::Tls { host, port: 26379, .. }] if host == "one"));
        assert_eq!((tls.database, &*tls.stream, tls.login), (0, "sse", Login::default()));
    }

    #[test]
    fn all_keys_in_a_cluster_have_one_hash_tag() {
        let short = address("redis+cluster://:p@one,two:7000");
        let hosts = [("one", 6379), ("two", 7000)].map(|(host, port)| Endpoint::Tcp { host: host.into(), port });
        assert_eq!(short.servers, BusServers::Cluster(hosts.into()));
        assert_eq!(short.to_string(), "redis+cluster://one:6379,two:7000");
        assert_eq!((&*short.stream, &*short.beside("keys")), ("{sse}", "{sse}:keys"));
        let stream = |name: &str| address(&format!("redis+cluster://one/0?stream={name}")).stream;
        assert_eq!(stream("a{b}c"), "a{b}c");
        assert_eq!(stream("a{}c"), "{a{}c}");
        assert_eq!(stream("a{c"), "{a{c}");
    }

    #[test]
    fn a_namespace_has_a_stream_of_its_own_unless_the_url_names_one() {
        let stream = |url| BusAddress::parse(url, "shop").expect("good").expect("not empty").stream;
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
            ("redis+sentinel://:secret@host", "has no name of a master"),
            ("redis+sentinel://:secret@host/my%20master", "has no name of a master"),
            ("redis+sentinel://:secret@host/m/one", "Invalid database number"),
            ("redis+sentinel://:secret@one,,two/m", "has a host that is none"),
            ("redis+sentinel://:secret@one:port/m", "has a host that is none"),
            (
                "redis+sentinel://host/m?sentinel_pass=secret&x=1",
                "there are stream, maxlen, ca, cert, key, sentinel_user",
            ),
            ("redis+sentinel://host/m?sentinel_user=me", "has a sentinel_user without"),
            ("redis+sentinel://:secret@host/m?ca=/etc/hostname", "which only rediss"),
            ("redis+cluster://:secret@host/1", "has a database"),
            ("redis+cluster://:secret@host?sentinel_pass=x", "has the unknown parameter 'sentinel_pass'"),
            ("redis+cluster://:secret@host?stream=%7Dx", "from which no hash tag"),
            ("redis+cluster:///?stream=x", "has a host that is none"),
            ("redis+other://:secret@host", "is not a Redis URL"),
            ("http+cluster://:secret@host", "is not a Redis URL"),
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
        assert_eq!(address.login.scrub("ERR 'secret'"), "ERR '***'");
        let sentinel = "redis+sentinel://me:secret@host/m?sentinel_pass=secret";
        assert!(!format!("{:?} {0}", super::tests::address(sentinel)).contains("secret"));
        assert_eq!(masked(sentinel), "redis+sentinel://me:***@host/m?sentinel_pass=***");
        assert_eq!(masked("redis://me:secret@host/0?stream=s"), "redis://me:***@host/0?stream=s");
        assert_eq!(masked("unix:///s?pass=secret&db=1"), "unix:///s?pass=***&db=1");
        assert_eq!(masked("unix:///s?pass=secret&pass=other"), "unix:///s?pass=***&pass=***");
        assert_eq!(masked("redis://host"), "redis://host");
    }
}
