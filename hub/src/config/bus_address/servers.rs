//! Which servers a bus has: one, those that Sentinels watch, or the nodes of a Redis Cluster.

use std::fmt;
use std::path::PathBuf;

use crate::config::bus_address::InvalidUrl;

/// Most hosts of one URL.
const MAX_HOSTS: usize = 32;

/// A Sentinel's port.
const SENTINEL_PORT: u16 = 26379;

/// Redis's port.
const REDIS_PORT: u16 = 6379;

/// How the server that has the stream is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BusServers {
    /// It is always this one.
    One(Endpoint),
    /// It is the master of the moment, which Sentinels know.
    Sentinel(SentinelGroup),
    /// It is the node that has the stream's slot, which any node of the cluster knows. These are asked.
    Cluster(Vec<Endpoint>),
}

/// The Sentinels that watch a master.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SentinelGroup {
    /// Where they listen.
    pub(crate) sentinels: Vec<Endpoint>,
    /// The name by which they know the master.
    pub(crate) master: String,
    /// Their own login.
    pub(crate) login: Login,
}

/// A user and a password; without a password there is no login, without a user it is the default one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// Where a server listens.
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

/// What a URL with several hosts has beyond one of a single server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SeveralHosts {
    /// The name of the master; `None`: it is a cluster.
    master: Option<String>,
    /// Names or addresses, and ports.
    hosts: Vec<(String, u16)>,
}

impl SeveralHosts {
    /// Splits a URL with several hosts into these and the same URL with one; `None` if it has another scheme.
    pub(super) fn split(value: &str) -> Result<Option<(Self, String)>, InvalidUrl> {
        let Some((scheme, rest)) = value.split_once("://") else { return Ok(None) };
        let Some((plain, kind)) = scheme.split_once('+').filter(|(_, kind)| ["sentinel", "cluster"].contains(kind))
        else {
            return Ok(None);
        };
        let is_sentinel = kind == "sentinel";
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let default = if is_sentinel { SENTINEL_PORT } else { REDIS_PORT };
        let hosts: Vec<_> = hosts.split(',').map(|host| host_and_port(host, default)).collect::<Result<_, _>>()?;
        if hosts.len() > MAX_HOSTS {
            return Err(InvalidUrl::ManyHosts);
        }
        let query = path.find(['?', '#']).unwrap_or(path.len());
        let (path, query) = path.split_at(query);
        let (master, database) = match (is_sentinel, path.trim_start_matches('/')) {
            (true, path) => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                let is_name = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
                if master.is_empty() || !master.chars().all(is_name) {
                    return Err(InvalidUrl::MasterName);
                }
                (Some(master.to_owned()), database)
            }
            (false, "" | "0") => (None, ""),
            (false, _) => return Err(InvalidUrl::ClusterDatabase),
        };
        let at = if authority.contains('@') { "@" } else { "" };
        Ok(Some((Self { master, hosts }, format!("{plain}://{login}{at}localhost/{database}{query}"))))
    }

    /// Whether it is about Sentinels.
    pub(super) fn is_sentinel(&self) -> bool {
        self.master.is_some()
    }

    /// All of these servers, of which `one` is reached in the same way. `login` is the Sentinels'.
    pub(super) fn servers(self, one: &Endpoint, login: Login) -> BusServers {
        let endpoints = self.hosts.into_iter().map(|(host, port)| one.at(host, port)).collect();
        match self.master {
            Some(master) => BusServers::Sentinel(SentinelGroup { sentinels: endpoints, master, login }),
            None => BusServers::Cluster(endpoints),
        }
    }
}

fn host_and_port(text: &str, default: u16) -> Result<(String, u16), InvalidUrl> {
    let url = redis::parse_redis_url(&format!("redis://{text}")).ok_or(InvalidUrl::Host)?;
    let is_alone = url.username().is_empty() && url.path().is_empty() && url.query().is_none();
    let host = url.host_str().filter(|host| is_alone && !host.is_empty()).ok_or(InvalidUrl::Host)?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').into(), url.port().unwrap_or(default)))
}

impl Endpoint {
    /// Another server that is reached in the same way.
    pub(crate) fn at(&self, host: String, port: u16) -> Self {
        match self {
            Self::Tls { trust, .. } => Self::Tls { host, port, trust: trust.clone() },
            Self::Tcp { .. } | Self::Unix(_) => Self::Tcp { host, port },
        }
    }

    /// The host's name or address; none of a Unix socket.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } | Self::Tls { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl Login {
    /// Removes the password from a text, such as an error of the server.
    pub(crate) fn scrub(&self, text: &str) -> String {
        match self.password.as_deref() {
            Some(password) if !password.is_empty() => text.replace(password, "***"),
            _ => text.into(),
        }
    }
}

impl fmt::Debug for Login {
    /// Omits the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {:?}", self.user)
    }
}

impl fmt::Debug for SentinelGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}, {:?}", self.master, self.sentinels, self.login)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "redis://{}:{port}", Host(host)),
            Self::Tls { host, port, .. } => write!(f, "rediss://{}:{port}", Host(host)),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for BusServers {
    /// As in a URL, without the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, endpoints) = match self {
            Self::One(endpoint) => return endpoint.fmt(f),
            Self::Sentinel(group) => ("sentinel", &group.sentinels),
            Self::Cluster(nodes) => ("cluster", nodes),
        };
        for (nth, endpoint) in endpoints.iter().enumerate() {
            let text = endpoint.to_string();
            let (scheme, host) = text.split_once("://").unwrap_or_default();
            if nth == 0 { write!(f, "{scheme}+{kind}://{host}")? } else { write!(f, ",{host}")? }
        }
        Ok(())
    }
}

/// A host in URL notation: IPv6 addresses in brackets.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}
