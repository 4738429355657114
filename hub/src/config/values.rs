//! The text values of the `sse.*` settings: their parsers, and what they stand for.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sse_protocol::padding::THRESHOLD;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

/// A setting with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}: '{value}' {problem}")]
pub struct ConfigError {
    name: String,
    value: String,
    problem: String,
}

impl ConfigError {
    /// Makes an error; `problem` completes the sentence that begins with name and value.
    #[must_use]
    pub fn new(name: &str, value: &str, problem: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), problem: problem.into() }
    }
}

/// Maximum of `sse.presence_grace`, in milliseconds.
pub const MAX_PRESENCE_GRACE: u32 = 3_600_000;

/// Maximum of `sse.udp_rate`.
pub const MAX_UDP_RATE: u64 = 10_000;

/// Parses `sse.socket_mode`: octal digits.
///
/// # Errors
/// A mode outside 0600 to 0777, or one that denies the owner access.
pub fn socket_mode(value: &str) -> Result<u32, ConfigError> {
    let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
    mode.ok_or_else(|| {
        ConfigError::new("sse.socket_mode", value, "is not an octal mode from 0600 to 0777, such as 0660")
    })
}

/// Parses the setting `name`: a group's name or number; empty: none.
///
/// # Errors
/// A group that this system doesn't have.
pub fn group(name: &str, value: &str) -> Result<Option<u32>, ConfigError> {
    if value.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = value.parse() {
        return Ok(Some(number));
    }
    match crate::sys::group_id(value) {
        Some(number) => Ok(Some(number)),
        None => Err(ConfigError::new(name, value, "is not a group of this system")),
    }
}

/// Parses `sse.udp`: `host:port`; empty: none. `has_key`: `sse.udp_key` is set.
///
/// # Errors
/// Not an address, or an address beyond loopback without a key.
pub fn udp(address: &str, has_key: bool) -> Result<Option<SocketAddr>, ConfigError> {
    if address.is_empty() {
        return Ok(None);
    }
    let parsed: SocketAddr = address.parse().map_err(|_| {
        ConfigError::new("sse.udp", address, "is not an address and port, such as 127.0.0.1:8099 or [::1]:8099")
    })?;
    if !parsed.ip().is_loopback() && !has_key {
        return Err(ConfigError::new(
            "sse.udp",
            address,
            "is not loopback; set sse.udp_key to listen beyond this machine",
        ));
    }
    Ok(Some(parsed))
}

/// Parses a number, with or without PHP's size suffix (K, M, G).
///
/// # Errors
/// Not a number, or outside the range.
pub fn number(name: &str, value: &str, min: u64, max: u64) -> Result<u64, ConfigError> {
    let (digits, unit) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 1 << 30),
        _ => (value, 1),
    };
    let number = digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    number
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| ConfigError::new(name, value, format!("is not a number from {min} to {max}")))
}

/// Maximum of `sse.processes`.
pub const MAX_PROCESSES: u64 = 256;

/// Parses `sse.processes`; `None`: as many as needed.
///
/// # Errors
/// Neither `auto` nor a number in the range.
pub fn processes(value: &str) -> Result<Option<usize>, ConfigError> {
    if value == "auto" {
        return Ok(None);
    }
    let number = number("sse.processes", value, 1, MAX_PROCESSES)
        .map_err(|_| ConfigError::new("sse.processes", value, format!("is neither auto nor 1 to {MAX_PROCESSES}")))?;
    Ok(usize::try_from(number).ok())
}

/// Parses a switch: `auto` or `off`. PHP's ini parser turns an unquoted `on` into `1` and `off` into an empty string.
///
/// # Errors
/// Any other word.
pub fn switch(name: &str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "auto" | "on" | "1" => Ok(true),
        "off" | "0" | "" => Ok(false),
        _ => Err(ConfigError::new(name, value, "is neither auto nor off")),
    }
}

/// Where the hub answers the web server by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// At a socket beside the hub's, from the first redirect on.
    Auto,
    /// Nowhere.
    Off,
    /// At this socket.
    Unix(PathBuf),
    /// At this address of loopback.
    Tcp(SocketAddr),
}

impl std::fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Parses `sse.http`. PHP's ini parser turns an unquoted `off` into an empty string.
///
/// # Errors
/// Neither `auto`, `off`, `unix:/path` nor an address of loopback with a port.
pub fn http(value: &str) -> Result<HttpAddress, ConfigError> {
    if let Some(path) = value.strip_prefix("unix:") {
        return absolute("sse.http", path).map(HttpAddress::Unix);
    }
    if let Ok(on) = switch("sse.http", value) {
        return Ok(if on { HttpAddress::Auto } else { HttpAddress::Off });
    }
    let Ok(address) = value.parse::<SocketAddr>() else {
        return Err(ConfigError::new("sse.http", value, "is none of auto, off, unix:/path and 127.0.0.1:PORT"));
    };
    if !address.ip().is_loopback() {
        return Err(ConfigError::new(
            "sse.http",
            value,
            "is not loopback; the web server on this machine connects there",
        ));
    }
    Ok(HttpAddress::Tcp(address))
}

/// Parses `sse.redirect_header`; `None`: the one of the web server.
///
/// # Errors
/// Not the name of a header.
pub fn redirect_header(value: &str) -> Result<Option<String>, ConfigError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match value {
        "auto" => Ok(None),
        name if !name.is_empty() && name.bytes().all(is_name) => Ok(Some(name.into())),
        _ => Err(ConfigError::new("sse.redirect_header", value, "is neither auto nor the name of a header")),
    }
}

/// Parses `sse.redirect_path`.
///
/// # Errors
/// Not a path that begins and ends with a slash.
pub fn redirect_path(value: &str) -> Result<String, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if value.starts_with('/') && value.ends_with('/') && value.bytes().all(plain) {
        return Ok(value.into());
    }
    Err(ConfigError::new("sse.redirect_path", value, "is not a path that begins and ends with a slash, such as /.sse/"))
}

/// Whether a stream leaves its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detach {
    /// Hand off where the server allows it; otherwise the worker serves the stream.
    Auto,
    /// Hand off, or refuse the stream.
    Require,
    /// Have the web server fetch the stream from the hub.
    Redirect,
    /// Never hand off.
    Off,
}

/// Parses `sse.detach`.
///
/// # Errors
/// Any other word.
pub fn detach(value: &str) -> Result<Detach, ConfigError> {
    if value == "require" {
        return Ok(Detach::Require);
    }
    if value == "redirect" {
        return Ok(Detach::Redirect);
    }
    match switch("sse.detach", value) {
        Ok(true) => Ok(Detach::Auto),
        Ok(false) => Ok(Detach::Off),
        Err(_) => Err(ConfigError::new("sse.detach", value, "is none of auto, require, redirect and off")),
    }
}

/// Whether what is written to a stream is filled up by comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadRule {
    /// Where the web server in front is known to collect output.
    Auto,
    /// Never.
    Off,
    /// Always, up to so many bytes.
    Bytes(u16),
}

/// Parses `sse.pad`.
///
/// # Errors
/// Neither `auto` nor `off`, nor a number in the range.
pub fn pad(value: &str) -> Result<PadRule, ConfigError> {
    if let Ok(auto) = switch("sse.pad", value) {
        return Ok(if auto { PadRule::Auto } else { PadRule::Off });
    }
    let (least, most) = THRESHOLD.into_inner();
    let bytes = number("sse.pad", value, least.into(), most.into()).ok().and_then(|bytes| u16::try_from(bytes).ok());
    let wrong = || ConfigError::new("sse.pad", value, format!("is neither auto, off nor {least} to {most} bytes"));
    bytes.map(PadRule::Bytes).ok_or_else(wrong)
}

/// What a process on the command line does that is about to start a hub, though the web server uses another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherHubRule {
    /// Say so in PHP's error log, and start one.
    Warn,
    /// Start none.
    Refuse,
    /// Start one, and say nothing.
    Off,
}

/// Parses `sse.other_hub`.
///
/// # Errors
/// Any other word.
pub fn other_hub(value: &str) -> Result<OtherHubRule, ConfigError> {
    match value {
        "warn" => Ok(OtherHubRule::Warn),
        "refuse" => Ok(OtherHubRule::Refuse),
        _ => match switch("sse.other_hub", value) {
            Ok(false) => Ok(OtherHubRule::Off),
            _ => Err(ConfigError::new("sse.other_hub", value, "is none of warn, refuse and off")),
        },
    }
}

/// Where the hub keeps events for clients that reconnect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere.
    Off,
    /// In the hub's memory.
    Memory,
    /// In memory and in a SQLite file.
    Sqlite(PathBuf),
}

/// Parses `sse.history`. PHP's ini parser turns an unquoted `off` into an empty string.
///
/// # Errors
/// Neither `memory`, `sqlite:/path` nor `off`.
pub fn history(value: &(impl AsRef<OsStr> + ?Sized)) -> Result<Keep, ConfigError> {
    let value = value.as_ref();
    let wrong = |problem| Err(ConfigError::new("sse.history", &value.to_string_lossy(), problem));
    match value.as_bytes() {
        b"memory" => Ok(Keep::Memory),
        b"off" | b"0" | b"" => Ok(Keep::Off),
        bytes => match bytes.strip_prefix(b"sqlite:").map(|path| PathBuf::from(OsStr::from_bytes(path))) {
            Some(path) if path.is_absolute() && path.file_name().is_some() => Ok(Keep::Sqlite(path)),
            Some(_) => wrong("is not an absolute path of a file, such as sqlite:/var/lib/site/sse.db"),
            None => wrong("is neither memory, sqlite:/path nor off"),
        },
    }
}

/// When `sse_publish()` sends an event, and what the call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishMode {
    /// Send at once; wait until the hub holds the event.
    Ack,
    /// Send at once; don't wait.
    Async,
    /// Send at the end of a successful request.
    Commit,
}

impl PublishMode {
    /// The mode of this name; `None` if there is no such mode.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ack" => Some(Self::Ack),
            "async" => Some(Self::Async),
            "commit" => Some(Self::Commit),
            _ => None,
        }
    }

    /// The mode's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Async => "async",
            Self::Commit => "commit",
        }
    }
}

/// Parses `sse.publish`.
///
/// # Errors
/// Not the name of a mode.
pub fn publish(value: &str) -> Result<PublishMode, ConfigError> {
    PublishMode::named(value).ok_or_else(|| ConfigError::new("sse.publish", value, "is not one of: ack, async, commit"))
}

/// Bounds of `sse.presence_ttl`, in milliseconds.
pub const PRESENCE_TTL: std::ops::RangeInclusive<u64> = 1000..=3_600_000;

/// Parses `sse.bus_outage`: whether publishers wait.
///
/// # Errors
/// Neither `wait` nor `fail`.
pub fn bus_outage(value: &str) -> Result<bool, ConfigError> {
    match value {
        "wait" => Ok(true),
        "fail" => Ok(false),
        _ => Err(ConfigError::new("sse.bus_outage", value, "is neither wait nor fail")),
    }
}

/// Checks that `sse.history` is compatible with `sse.bus`.
///
/// # Errors
/// A history on disk.
pub fn bus_history(value: &str, keep: &Keep) -> Result<(), ConfigError> {
    match keep {
        Keep::Off | Keep::Memory => Ok(()),
        Keep::Sqlite(_) => Err(ConfigError::new(
            "sse.history",
            value,
            "can't be combined with sse.bus, as Redis keeps the events then; set sse.history to memory",
        )),
    }
}

/// Parses a plain switch, in the words of php.ini.
///
/// # Errors
/// Any other word.
pub fn boolean(name: &str, value: &str) -> Result<bool, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Ok(true),
        "" | "0" | "off" | "no" | "false" => Ok(false),
        _ => Err(ConfigError::new(name, value, "is neither on nor off")),
    }
}

/// Parses a path. It must be absolute, because a hub may run in another working directory than its parent.
///
/// # Errors
/// A relative path.
pub fn absolute(name: &str, value: &(impl AsRef<OsStr> + ?Sized)) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(value.as_ref());
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(ConfigError::new(name, &path.to_string_lossy(), "is not an absolute path"))
    }
}

/// Parses `sse.log_level`. PHP's ini parser turns an unquoted `off` into an empty string.
///
/// # Errors
/// Not the name of a level.
pub fn log_level(value: &str) -> Result<LevelFilter, ConfigError> {
    value
        .parse()
        .map_err(|_| ConfigError::new("sse.log_level", value, "is not one of: off, error, warn, info, debug, trace"))
}

/// How the log's lines are written: `sse.log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and fields, separated by spaces.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Parses a value of the setting.
    ///
    /// # Errors
    /// Any other word.
    pub fn parse(value: &str) -> Result<Self, ConfigError> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|format| format.name() == value)
            .ok_or_else(|| ConfigError::new("sse.log_format", value, "is neither text nor json"))
    }

    /// Its name in the setting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Checks `sse.namespace`.
///
/// # Errors
/// Anything but up to 64 letters, digits, `_` and `-`.
pub fn namespace(value: &str) -> Result<(), ConfigError> {
    if value.len() <= 64 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Ok(());
    }
    Err(ConfigError::new("sse.namespace", value, "may have up to 64 letters, digits, '_' and '-' only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
        result.expect_err("this value should be refused").to_string()
    }

    #[test]
    fn udp_beyond_this_machine_needs_a_key() {
        assert_eq!(udp("", false), Ok(None));
        assert!(udp("127.0.0.1:8099", false).is_ok_and(|a| a.is_some()));
        assert!(udp("[::1]:8099", false).is_ok_and(|a| a.is_some()));
        assert_eq!(
            text(udp("0.0.0.0:8099", false)),
            "sse.udp: '0.0.0.0:8099' is not loopback; set sse.udp_key to listen beyond this machine"
        );
        assert!(udp("0.0.0.0:8099", true).is_ok());
        assert!(text(udp("8099", false)).starts_with("sse.udp: '8099' is not an address and port"));
    }

    #[test]
    fn numbers_have_a_range_and_php_units() {
        assert_eq!(number("sse.x", "2M", 0, u64::MAX), Ok(2 << 20));
        assert_eq!(number("sse.x", "15", 0, 100), Ok(15));
        assert_eq!(text(number("sse.heartbeat", "-1", 0, 3600)), "sse.heartbeat: '-1' is not a number from 0 to 3600");
        assert_eq!(text(number("sse.x", "", 1, 2)), "sse.x: '' is not a number from 1 to 2");
    }

    #[test]
    fn switches_are_in_the_words_of_php_ini() {
        assert_eq!(["1", "On", "yes", "TRUE"].map(|word| boolean("sse.x", word)), [const { Ok(true) }; 4]);
        assert_eq!(["", "0", "Off", "no", "false"].map(|word| boolean("sse.x", word)), [const { Ok(false) }; 5]);
        assert_eq!(text(boolean("sse.x", "maybe")), "sse.x: 'maybe' is neither on nor off");
    }

    #[test]
    fn streams_leave_their_workers_where_they_can_or_must_or_never() {
        assert_eq!(
            ["auto", "1", "require", "redirect", "off", ""].map(|word| detach(word).ok()),
            [Detach::Auto, Detach::Auto, Detach::Require, Detach::Redirect, Detach::Off, Detach::Off].map(Some)
        );
        assert_eq!(text(detach("never")), "sse.detach: 'never' is none of auto, require, redirect and off");
    }

    #[test]
    fn requests_by_http_come_from_this_machine_only() {
        assert_eq!(["auto", "off", ""].map(http), [Ok(HttpAddress::Auto), Ok(HttpAddress::Off), Ok(HttpAddress::Off)]);
        assert_eq!(http("unix:/run/sse.sock"), Ok(HttpAddress::Unix("/run/sse.sock".into())));
        assert!(matches!(http("[::1]:8090"), Ok(HttpAddress::Tcp(_))));
        assert!(text(http("0.0.0.0:8090")).contains("is not loopback"));
        assert!(text(http("unix:sse.sock")).contains("is not an absolute path"));
        assert!(text(http("8090")).contains("is none of auto, off, unix:/path and 127.0.0.1:PORT"));
        assert_eq!(redirect_header("auto"), Ok(None));
        assert_eq!(redirect_header("X-Accel-Redirect"), Ok(Some("X-Accel-Redirect".into())));
        assert!(text(redirect_header("X: y")).contains("nor the name of a header"));
        assert_eq!(redirect_path("/.sse/"), Ok("/.sse/".into()));
        for bad in ["", "/.sse", "sse/", "/a b/", "/a?b/"] {
            assert!(redirect_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_octal_and_let_the_owner_in() {
        assert_eq!(socket_mode("0600"), Ok(0o600));
        assert_eq!(socket_mode("660"), Ok(0o660));
        for bad in ["", "0999", "0060", "1777", "rw"] {
            assert!(socket_mode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_words_are_refused_with_the_known_ones() {
        assert_eq!(switch("sse.spawn", "off"), Ok(false));
        assert_eq!(switch("sse.spawn", ""), Ok(false), "PHP's parser makes nothing of an unquoted off");
        assert_eq!(switch("sse.spawn", "auto"), Ok(true));
        assert_eq!(text(switch("sse.spawn", "maybe")), "sse.spawn: 'maybe' is neither auto nor off");
        assert_eq!((processes("auto"), processes("4")), (Ok(None), Ok(Some(4))));
        assert_eq!(text(processes("0")), "sse.processes: '0' is neither auto nor 1 to 256");
        assert!(namespace("shop_2-a").is_ok());
        assert!(text(namespace("a/b")).contains("letters, digits"));
        assert_eq!(text(absolute("sse.log", "hub.log")), "sse.log: 'hub.log' is not an absolute path");
        assert_eq!(publish("commit"), Ok(PublishMode::Commit));
        assert_eq!(text(publish("")), "sse.publish: '' is not one of: ack, async, commit");
        assert!(log_level("debug").is_ok());
        assert!(log_level("loud").is_err());
        assert!(matches!(LogFormat::parse("json"), Ok(LogFormat::Json)));
        assert_eq!(text(LogFormat::parse("xml")), "sse.log_format: 'xml' is neither text nor json");
        assert_eq!(history("off"), Ok(Keep::Off));
        assert_eq!(history("sqlite:/var/sse.db"), Ok(Keep::Sqlite("/var/sse.db".into())));
        assert!(text(history("sqlite:sse.db")).contains("is not an absolute path of a file"));
        assert!(text(history("sqlite:/")).contains("is not an absolute path of a file"));
        assert_eq!((bus_outage("wait"), bus_outage("fail")), (Ok(true), Ok(false)));
        assert_eq!(text(bus_outage("")), "sse.bus_outage: '' is neither wait nor fail");
        assert!(bus_history("memory", &Keep::Memory).is_ok());
        assert!(text(bus_history("sqlite:/a", &Keep::Sqlite("/a".into()))).contains("can't be combined with sse.bus"));
        assert!(text(history("redis")).contains("is neither memory, sqlite:/path nor off"));
    }
}
