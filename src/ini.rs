//! The `sse.*` settings: their table, and functions that read them.

mod masked;
pub mod remembered;

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs};
use sse_hub::BusAddress;
use sse_hub::config::{
    self, BusConfig, Config, ConfigError, Detach, HttpConfig, Keep, LogFormat, OtherHubRule, PadRule, Program,
    PublishMode,
};
use sse_hub::socket::private::{self, Private};
use sse_hub::socket::{Folder, SocketError};
use sse_hub::util::topic_map::TopicMap;
use thiserror::Error;

use self::masked::{MaskedBus, MaskedKey};
use crate::php::{setting as php_setting, zend};

/// Every setting with its default and its scope. `tools/docs` generates docs/reference/settings.md and tools/sse.ini from
/// the comments here, so document a new setting only here.
static SETTINGS: IniEntryDefs<62> = IniEntryDefs::new([
    // # Where the hub is
    // The hub's socket. Empty: `php-sse-UID/hub.sock` in PHP's temporary folder, closed to other users. If another user
    // has taken that name: `php-sse-UID-1` to `-9`, then `/run/user/UID/php-sse`, whichever first belongs to this user. A
    // path of your own must be in a folder of the user or of root that nobody else can write to.
    setting(c"sse.socket", c"", SYSTEM),
    // Permissions of the socket. `0660` admits `sse.socket_group`.
    setting(c"sse.socket_mode", c"0600", SYSTEM),
    // Group, by name or number, whose members may publish and watch, and nothing else. For them, the folder may belong to
    // the hub's user.
    setting(c"sse.socket_group", c"", SYSTEM),
    // Separates sites that run as one user: each namespace has its own hub. Up to 64 letters, digits, `_` and `-`.
    setting(c"sse.namespace", c"", PER_DIR),
    // `off`: PHP starts no hub and uses only one that already runs. The calling process reads it.
    setting(c"sse.spawn", c"auto", SYSTEM),
    // What a process on the command line does that would start a hub in its default folder, while the web server's PHP (PHP-FPM,
    // Apache) has the hub of another user or of another temporary folder, so that nothing that it publishes would reach a page.
    // `warn`: PHP's error log tells both paths. `refuse`: the call throws `SseUnavailable` instead. `off`: nothing. The calling
    // process reads it.
    setting(c"sse.other_hub", c"warn", SYSTEM),
    // # Streams
    // Whether streams leave their workers. `auto`: where the server can hand off; elsewhere the worker serves the stream.
    // `require`: a stream that cannot be handed off gets 503 with `Retry-After`, and PHP's error log says why. `off`: the
    // worker serves all streams. The command line has no client, so `require` equals `auto` there. `redirect`: PHP answers with
    // a header by which the web server in front fetches the stream from the hub (`sse.http`); it must be set up for that.
    setting(c"sse.detach", c"auto", PER_DIR),
    // Seconds of silence after which a stream gets a comment. `0`: never.
    setting(c"sse.heartbeat", c"15", ALL),
    // Milliseconds after which a browser reconnects, sent at the start of a stream. `0`: not sent; the browser uses its
    // default.
    setting(c"sse.retry", c"2000", ALL),
    // Maximum random delay that is added to `sse.retry` for each client, in percent of it, so that clients that lost
    // their streams together do not reconnect together. `0`: none.
    setting(c"sse.retry_jitter", c"50", ALL),
    // Seconds after which the hub ends a stream, shortened at random by up to a tenth; the browser reconnects and
    // resumes. `0`: never.
    setting(c"sse.max_lifetime", c"0", ALL),
    // Whether what is written to a stream is filled up by a comment, for a web server that passes output on only once it has
    // enough of it. `auto`: with PHP-FPM behind Apache, up to 4096 bytes over HTTP, 8192 over HTTPS, none over HTTP/2. `off`: never,
    // as with Apache's `flushpackets=on`, which PHP can't see. A number of bytes, 64 to 32768: always, up to so many.
    setting(c"sse.pad", c"auto", ALL),
    // # Streams by redirect
    // Where the web server fetches streams with `sse.detach=redirect`. `auto`: the hub's socket with `.http`, from the first such
    // stream on. `unix:/path`: another socket, in a folder that only its owner can write to. `127.0.0.1:PORT`: an address of this
    // machine, to which every user of it can connect. `off`: nowhere. There are streams whose names nobody can guess, and
    // `/health`.
    setting(c"sse.http", c"auto", SYSTEM),
    // Group, by name or number, whose members may connect to that socket: the web server's, where it runs as another user.
    // Empty: only the hub's user.
    setting(c"sse.http_group", c"", SYSTEM),
    // Maximum number of connections there, 1 to 10000, that have not sent a whole request yet; for one more, the oldest ends.
    // They get at most a quarter of the hub's descriptors, and where others than its own user may connect (an address,
    // `sse.http_group`), these are not for streams.
    setting(c"sse.http_connections", c"256", SYSTEM),
    // The header that the web server follows: `X-Accel-Redirect`, `X-LiteSpeed-Location`. `auto`: by `SERVER_SOFTWARE`, for nginx,
    // Caddy, FrankenPHP and LiteSpeed; behind another server the worker serves the stream.
    setting(c"sse.redirect_header", c"auto", PER_DIR),
    // The path in that header, to which the stream's name is added: an internal one of the web server, where no client gets.
    setting(c"sse.redirect_path", c"/.sse/", PER_DIR),
    // Seconds, 1 to 300, after which a stream that the web server has not fetched ends, and a connection without a whole request.
    setting(c"sse.redirect_timeout", c"10", SYSTEM),
    // Maximum bytes of what the web server has not fetched yet: about 400 for a stream, and its response's headers. One client
    // address (for IPv6, one /64 network) may use an eighth. Above either limit a new stream gets 503 or 429 with `Retry-After`.
    setting(c"sse.redirect_bytes", c"16M", SYSTEM),
    // # Calls
    // Milliseconds that a call may wait for the hub. A web request waits no longer than this over all its calls for a hub
    // that does not answer.
    setting(c"sse.timeout", c"2000", ALL),
    // When `sse_publish()` sends: `ack`, `async` or `commit`. `commit` holds for `SseTrigger::push()` too.
    setting(c"sse.publish", c"ack", ALL),
    // Bytes that one request may hold back with `commit`; above that, `sse_publish()` throws and `SseTrigger::push()`
    // returns false.
    setting(c"sse.commit_bytes", c"8M", ALL),
    // # Limits
    // Maximum number of streams. A further client gets 503 with `Retry-After` (an `EventSource` does not retry by itself
    // after that). `0`: what the descriptor limit of one process allows.
    setting(c"sse.max_streams", c"0", SYSTEM),
    // Processes that hold the streams. `auto`: one, the hub itself, unless `sse.max_streams` exceeds what its descriptor
    // limit allows; then as many as needed.
    setting(c"sse.processes", c"auto", SYSTEM),
    // Maximum number of streams of one client address (for IPv6, of one /64 network); a further one gets 429 with
    // `Retry-After`. `0`: unlimited.
    setting(c"sse.max_streams_per_ip", c"0", SYSTEM),
    // Maximum number of streams of one user, where the script names users by the option `user`; a further one gets 429.
    // `0`: unlimited.
    setting(c"sse.max_streams_per_user", c"0", ALL),
    // Maximum number of topics of one stream.
    setting(c"sse.max_topics", c"100", SYSTEM),
    // Maximum bytes for the subscriptions of all streams: about 200 for a topic and its name, 64 more for each segment of
    // a pattern with a wildcard, 1 KiB for a URI template of Mercure; for a stream with `presence` also about 200, its id and info, and 640 for each topic. One client address (for IPv6, one /64 network) may use an eighth. Above the total a
    // new stream gets 503, above the share 429, each with `Retry-After`.
    setting(c"sse.topic_bytes", c"128M", SYSTEM),
    // Maximum steps of comparing 64 bytes of a topic with all URI templates of Mercure's clients: eight for a template, one
    // for each variable and one for each byte between two, counted once however many streams have it, and only where they begin
    // with the same. 32768 steps take about 0.1 ms. One client address (for IPv6, one /64 network) may use an eighth.
    // Above either limit, a stream with another template gets 503 or 429 with `Retry-After`.
    setting(c"sse.template_steps", c"32768", SYSTEM),
    // Milliseconds, 0 to 3600000, for which a user whose last stream has ended stays present: a page that is loaded anew,
    // or a client that reconnects, is no leave.
    setting(c"sse.presence_grace", c"5000", SYSTEM),
    // Maximum bytes of data of one event.
    setting(c"sse.max_event_size", c"1M", SYSTEM),
    // Bytes that may wait behind the event that is being sent to a slow client; above that the hub closes the stream, and
    // the browser reconnects. Make it several times `sse.max_event_size`. After a gap, a client gets at most half of this
    // in events.
    setting(c"sse.stream_buffer", c"4M", SYSTEM),
    // Maximum bytes kept only for slow clients: events that the history has dropped (each once, however many clients wait
    // for it), and rendered output. Above that the hub ends streams, first those of addresses that use more than an
    // eighth, then those of the clients that have waited longest; they resume. With several processes (`sse.processes`),
    // each keeps its own copy of what its clients have missed, and each copy counts.
    setting(c"sse.queue_bytes", c"64M", SYSTEM),
    // Seconds, 1 to 86400, after which a stream ends if its client accepts none of the waiting data; twice its heartbeat
    // if that is longer.
    setting(c"sse.stall_timeout", c"30", SYSTEM),
    // # Notifications by datagram
    // Address and port that receive notifications by datagram. Empty: none.
    setting(c"sse.udp", c"127.0.0.1:8099", SYSTEM),
    // Key for authenticated datagrams, of any bytes; required beyond this machine. `phpinfo()` does not show it.
    IniEntryDef { displayer: Some(php_setting::show::<MaskedKey>), ..setting(c"sse.udp_key", c"", SYSTEM) },
    // Maximum notifications per second by datagrams without a key, 1 to 10,000 in total; ten for one topic, one for
    // `WAKEUP` without a topic. Faster ones are delivered later, and once.
    setting(c"sse.udp_rate", c"50", SYSTEM),
    // # History
    // Where events are kept for clients that were away. `sqlite:/path`: in this file as well, so that they outlive the
    // hub; one file per hub, and its folder must exist. `off`: nowhere.
    setting(c"sse.history", c"memory", SYSTEM),
    // `1`: an event is on the disk itself, not only with the operating system, before `sse_publish()` returns. It then
    // survives a power cut too.
    setting(c"sse.history_fsync", c"0", SYSTEM),
    // Events kept of each topic. After a gap, a client gets at most this many, the newest ones.
    setting(c"sse.history_events", c"1000", SYSTEM),
    // Seconds that events are kept.
    setting(c"sse.history_ttl", c"3600", SYSTEM),
    // Memory for all kept events, with the names of their topics and all other data kept for them: about 500 bytes for
    // the smallest. Above that the oldest events are dropped. A history on disk is in memory as well. The hub's own events, of
    // Mercure's subscriptions, take an eighth of it at most, and push out no others.
    setting(c"sse.history_bytes", c"64M", SYSTEM),
    // Seconds, 1 to 86400, in which `sse_publish()` with a `key` that it had before publishes nothing.
    setting(c"sse.key_ttl", c"300", SYSTEM),
    // Memory for the keys of publications, about 200 bytes for each; above that the oldest are dropped. With `sse.bus`
    // Redis keeps them, a 256th of this number at most.
    setting(c"sse.key_bytes", c"16M", SYSTEM),
    // Seconds, 1 to 31536000, that the hub remembers that a topic is finished (`sse_finish()`), with its last event.
    setting(c"sse.finished_ttl", c"3600", SYSTEM),
    // Maximum bytes of the last events of finished topics; above that the oldest are forgotten. With `sse.history=sqlite:…`
    // they are in the file as well.
    setting(c"sse.finished_bytes", c"8M", SYSTEM),
    // Memory for the last values, the newest event of each topic that was published with `retain`, about 500 bytes for the
    // smallest; above that the oldest are dropped. The same on all machines that share a Redis.
    setting(c"sse.retain_bytes", c"16M", SYSTEM),
    // # Several machines
    // A Redis through which this hub shares its events with hubs on other machines: `redis://`, `rediss://` (TLS), `unix://`,
    // `redis+sentinel://HOST,HOST/MASTER` or `redis+cluster://HOST,HOST`. Quote it, on the command line too:
    // `-d 'sse.bus="redis://…"'`.
    IniEntryDef { displayer: Some(php_setting::show::<MaskedBus>), ..setting(c"sse.bus", c"", SYSTEM) },
    // Behavior of publishing while Redis is unreachable. `wait`: wait, up to `sse.timeout`; `fail`: throw at once.
    setting(c"sse.bus_outage", c"wait", SYSTEM),
    // Maximum bytes of events that wait for Redis.
    setting(c"sse.bus_queue", c"16M", SYSTEM),
    // With `sse.bus`: milliseconds, 1000 to 3600000, after which the users of another machine leave, if its hub says nothing any
    // more, as it was killed or cut off from Redis. Longer than such cuts usually last.
    setting(c"sse.presence_ttl", c"10000", SYSTEM),
    // With `sse.bus`: maximum bytes for the users of other machines, about 400 for each topic of a user, and id and info. Those
    // beyond that are not known here, which the log and `sse_stats()` tell.
    setting(c"sse.presence_bytes", c"64M", SYSTEM),
    // # Renders
    // Maximum number of concurrent replays of the whole hub, 1 to 256. Keep it below the number of workers.
    setting(c"sse.render_concurrency", c"2", SYSTEM),
    // Bytes that the hub keeps for all streams with callbacks (or `reauthorize`) together: their requests, and the events
    // not passed to callbacks yet. One client address (for IPv6, one /64 network) may use an eighth. Above the total a
    // new stream gets 503, above the share 429, each with `Retry-After`, and callbacks are told that anything may have
    // changed.
    setting(c"sse.render_bytes", c"64M", SYSTEM),
    // Seconds that a replay may take, 1 to 3600. A longer one has failed; its place stays taken for the same time again,
    // because its worker may still be busy.
    setting(c"sse.render_timeout", c"30", SYSTEM),
    // # The hub's life and log
    // Seconds without any connection after which a hub ends. `0`: never.
    setting(c"sse.idle_exit", c"300", SYSTEM),
    // The hub's log. Empty: the socket's path with `.log`; standard error in the foreground. A FIFO's reader must be there first.
    setting(c"sse.log", c"", SYSTEM),
    // `off`, `error`, `warn`, `info`, `debug` or `trace`.
    setting(c"sse.log_level", c"warn", SYSTEM),
    // `text`, or `json`: one JSON object a line.
    setting(c"sse.log_format", c"text", SYSTEM),
    // # Scripts that write event streams themselves
    // `1`: adopt scripts that write an event stream by themselves.
    setting(c"sse.adopt", c"0", PER_DIR),
    // Which topics end the sleep of which adopted script: `"chat/*.php=chat.** users.*, report.php=reports"`. A script
    // that no entry names sleeps for all its time.
    setting(c"sse.adopt_topics", c"", PER_DIR),
    IniEntryDef::end(),
]);

const SYSTEM: IniEntryPermission = IniEntryPermission::System;
const PER_DIR: IniEntryPermission = IniEntryPermission::PerDir;
const ALL: IniEntryPermission = IniEntryPermission::All;

const fn setting(name: &'static CStr, default: &'static CStr, permission: IniEntryPermission) -> IniEntryDef {
    IniEntryDef {
        on_modify: Some(php_setting::changed::<remembered::Changes>),
        ..IniEntryDef::new(name, default, permission)
    }
}

/// Registers the settings with PHP.
pub fn register(module: i32) {
    IniEntryDef::register(SETTINGS.as_slice(), module);
}

/// The names of all settings.
pub fn names() -> impl Iterator<Item = &'static CStr> {
    php_setting::names(SETTINGS.as_slice())
}

/// The value of a setting as text; empty if it is not set.
///
/// # Errors
/// Invalid text. It must not count as empty: that could open what the setting was meant to close.
fn text(name: &'static CStr) -> Result<String, ConfigError> {
    let problem = match String::from_utf8(zend::ini(name)) {
        Ok(text) if !text.contains('\0') => return Ok(text),
        Ok(_) => "has a NUL byte in it",
        Err(_) => "is not UTF-8",
    };
    // The address of a bus contains a password.
    let shown = if name == c"sse.bus" { "…".into() } else { zend::ini(name).escape_ascii().to_string() };
    Err(ConfigError::new(&name.to_string_lossy(), &shown, problem))
}

/// The value of a setting that contains a path, as raw bytes; empty if it is not set.
///
/// # Errors
/// A NUL byte, at which every system call would end the path.
fn path(name: &'static CStr) -> Result<OsString, ConfigError> {
    let value = zend::ini(name);
    if value.contains(&0) {
        return Err(ConfigError::new(
            &name.to_string_lossy(),
            &value.escape_ascii().to_string(),
            "has a NUL byte in it",
        ));
    }
    Ok(OsString::from_vec(value))
}

/// Why the hub's socket is not known.
#[derive(Debug, Error)]
pub enum AddressError {
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The default folder is unusable.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// The hub's socket for this request, and the protection of its folder.
///
/// # Errors
/// An invalid namespace, or a default folder that is unusable.
pub fn socket() -> Result<(PathBuf, Folder), AddressError> {
    let namespace = text(c"sse.namespace")?;
    config::namespace(&namespace)?;
    let chosen = path(c"sse.socket")?;
    if chosen.is_empty() {
        let user = rustix::process::geteuid().as_raw();
        let name = if namespace.is_empty() { "hub.sock".into() } else { format!("hub.{namespace}.sock") };
        let folder = private::find(&zend::temporary_folder(), user)?;
        tell_instead(&folder, user);
        return Ok((folder.path.join(name), Folder::Private));
    }
    let mut path = config::absolute("sse.socket", &chosen)?;
    if !namespace.is_empty() {
        let mut extension = OsString::from(namespace + ".");
        extension.push(path.extension().unwrap_or("sock".as_ref()));
        path.set_extension(extension);
    }
    let mode = config::socket_mode(&text(c"sse.socket_mode")?)?;
    let shared = mode & 0o066 != 0 || !zend::ini(c"sse.socket_group").is_empty();
    Ok((path, if shared { Folder::Shared } else { Folder::Chosen }))
}

/// Logs to PHP's error log, once per process, that the hub's folder is not the expected one.
fn tell_instead(folder: &Private, user: u32) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if let Some((expected, why)) = &folder.instead_of
        && !TOLD.swap(true, Ordering::Relaxed)
    {
        let (expected, path) = (expected.display(), folder.path.display());
        zend::log(&format!(
            "sse: {expected} {why}; the hub of user {user} is in {path}; to have it elsewhere, set sse.socket"
        ));
    }
}

/// The value of `sse.socket` that leads to this socket under the current namespace.
pub fn without_namespace(socket: &Path) -> PathBuf {
    let namespace = [b".", &*zend::ini(c"sse.namespace")].concat();
    let stem = socket.file_stem().and_then(|stem| stem.as_bytes().strip_suffix(&*namespace));
    match (stem, socket.extension()) {
        (Some(stem), Some(extension)) if namespace != b"." => {
            socket.with_file_name(OsStr::from_bytes(&[stem, b".", extension.as_bytes()].concat()))
        }
        _ => socket.into(),
    }
}

/// Maximum time that a call may wait for the hub.
///
/// # Errors
/// Not a number of milliseconds.
pub fn timeout() -> Result<Duration, ConfigError> {
    let read = || config::number("sse.timeout", &text(c"sse.timeout")?, 1, 600_000).map(Duration::from_millis);
    remembered::with(|settings| settings.timeout.get(read))
}

/// The default mode of publishing.
///
/// # Errors
/// Not the name of a mode.
pub fn publish() -> Result<PublishMode, ConfigError> {
    remembered::with(|settings| settings.publish.get(|| config::publish(&text(c"sse.publish")?)))
}

/// Bytes that a request may hold back until its end.
///
/// # Errors
/// Not a number of bytes.
pub fn commit_bytes() -> Result<usize, ConfigError> {
    size(c"sse.commit_bytes", 1, 1 << 30)
}

/// Seconds of silence before a comment; 0: never.
///
/// # Errors
/// Not a number of seconds up to a day.
pub fn heartbeat() -> Result<u32, ConfigError> {
    small(c"sse.heartbeat", MAX_HEARTBEAT)
}

/// Maximum heartbeat, in seconds.
pub const MAX_HEARTBEAT: u32 = 86_400;

/// Reconnection time for clients, in milliseconds; 0: not sent.
///
/// # Errors
/// Not a number of milliseconds up to a day.
pub fn retry() -> Result<u32, ConfigError> {
    small(c"sse.retry", MAX_RETRY)
}

/// Maximum reconnection time, in milliseconds.
pub const MAX_RETRY: u32 = sse_protocol::event::MAX_RETRY;

/// Maximum random addition to [`retry`], in percent of it.
///
/// # Errors
/// Not a number up to 100.
pub fn retry_jitter() -> Result<u32, ConfigError> {
    small(c"sse.retry_jitter", 100)
}

/// Seconds after which the hub ends a stream; 0: never.
///
/// # Errors
/// Not a number of seconds up to a year.
pub fn max_lifetime() -> Result<u32, ConfigError> {
    small(c"sse.max_lifetime", MAX_LIFETIME)
}

/// Maximum lifetime of a stream, in seconds.
pub const MAX_LIFETIME: u32 = 31_536_000;

/// Maximum number of streams of one user, where the script names users; 0: unlimited.
///
/// # Errors
/// Not a number of streams.
pub fn max_streams_per_user() -> Result<u32, ConfigError> {
    small(c"sse.max_streams_per_user", MAX_STREAMS)
}

/// The upper bound of every limit of streams.
pub const MAX_STREAMS: u32 = 10_000_000;

/// Maximum bytes of data of one event.
///
/// # Errors
/// Not a number of bytes.
pub fn max_event_size() -> Result<usize, ConfigError> {
    remembered::with(|settings| {
        settings.max_event_size.get(|| size(c"sse.max_event_size", 1, sse_protocol::wire::MAX_EVENT_SIZE))
    })
}

/// Maximum number of topics of one stream or one event.
///
/// # Errors
/// Not a number.
pub fn max_topics() -> Result<usize, ConfigError> {
    remembered::with(|settings| settings.max_topics.get(|| size(c"sse.max_topics", 1, sse_protocol::wire::MAX_TOPICS)))
}

/// Whether streams may, or must, leave the worker.
///
/// # Errors
/// Not `auto`, `require` or `off`.
pub fn detach() -> Result<Detach, ConfigError> {
    config::detach(&text(c"sse.detach")?)
}

/// Whether what is written to a stream is filled up by comments.
///
/// # Errors
/// Neither `auto` nor `off`, nor a number of bytes.
pub fn pad() -> Result<PadRule, ConfigError> {
    config::pad(&text(c"sse.pad")?)
}

/// The header by which a web server fetches a stream; `None`: that of the one that runs.
///
/// # Errors
/// Not the name of a header.
pub fn redirect_header() -> Result<Option<String>, ConfigError> {
    config::redirect_header(&text(c"sse.redirect_header")?)
}

/// The path in that header, before the stream's name.
///
/// # Errors
/// Not a path that begins and ends with a slash.
pub fn redirect_path() -> Result<String, ConfigError> {
    config::redirect_path(&text(c"sse.redirect_path")?)
}

/// Whether a process may start a hub if none runs.
///
/// # Errors
/// Neither `auto` nor `off`.
pub fn spawn() -> Result<bool, ConfigError> {
    config::switch("sse.spawn", &text(c"sse.spawn")?)
}

/// What to do where the web server uses another hub.
///
/// # Errors
/// None of `warn`, `refuse` and `off`.
pub fn other_hub() -> Result<OtherHubRule, ConfigError> {
    config::other_hub(&text(c"sse.other_hub")?)
}

/// Whether to adopt scripts that send an event stream by themselves.
///
/// # Errors
/// Neither on nor off.
pub fn adopt() -> Result<bool, ConfigError> {
    config::boolean("sse.adopt", &text(c"sse.adopt")?)
}

/// The patterns whose notifications wake an adopted script.
///
/// # Errors
/// The first entry that is invalid.
pub fn adopt_topics(script: &str) -> Result<Vec<String>, ConfigError> {
    let map = text(c"sse.adopt_topics")?;
    Ok(TopicMap::parse(&map)?.topics(script).into_iter().map(Into::into).collect())
}

/// The configuration of a new hub at this socket, which upgrades by this program.
///
/// # Errors
/// The first setting that is invalid.
pub fn hub_config(socket: PathBuf, successor: Option<Program>) -> Result<Config, ConfigError> {
    // Any bytes: a randomly generated key needs no encoding.
    let key = zend::ini(c"sse.udp_key");
    let idle = small(c"sse.idle_exit", u32::MAX)?;
    let log = path(c"sse.log")?;
    let keep = config::history(&path(c"sse.history")?)?;
    Ok(Config {
        socket,
        socket_mode: config::socket_mode(&text(c"sse.socket_mode")?)?,
        socket_group: config::group("sse.socket_group", &text(c"sse.socket_group")?)?,
        http: http()?,
        udp: config::udp(&text(c"sse.udp")?, !key.is_empty())?,
        udp_key: (!key.is_empty()).then_some(key),
        udp_rate: size(c"sse.udp_rate", 1, config::MAX_UDP_RATE)?,
        max_streams: size(c"sse.max_streams", 0, MAX_STREAMS.into())?,
        max_streams_per_ip: size(c"sse.max_streams_per_ip", 0, MAX_STREAMS.into())?,
        max_topics: max_topics()?,
        max_event_size: max_event_size()?,
        topic_bytes: size(c"sse.topic_bytes", 1 << 16, 1 << 40)?,
        template_steps: size(c"sse.template_steps", 1 << 10, 1 << 30)?,
        presence_grace: Duration::from_millis(small(c"sse.presence_grace", config::MAX_PRESENCE_GRACE)?.into()),
        stream_buffer: size(c"sse.stream_buffer", 4096, 1 << 30)?,
        queue_bytes: size(c"sse.queue_bytes", 1 << 16, 1 << 40)?,
        stall_timeout: Duration::from_secs(config::number(
            "sse.stall_timeout",
            &text(c"sse.stall_timeout")?,
            1,
            86_400,
        )?),
        history_events: if keep == Keep::Off { 0 } else { size(c"sse.history_events", 1, 10_000_000)? },
        history_fsync: config::boolean("sse.history_fsync", &text(c"sse.history_fsync")?)?,
        bus: bus(&keep)?,
        history_file: if let Keep::Sqlite(path) = keep { Some(path) } else { None },
        history_ttl: Duration::from_secs(config::number("sse.history_ttl", &text(c"sse.history_ttl")?, 1, 31_536_000)?),
        finished_ttl: Duration::from_secs(config::number(
            "sse.finished_ttl",
            &text(c"sse.finished_ttl")?,
            1,
            31_536_000,
        )?),
        finished_bytes: size(c"sse.finished_bytes", 1 << 16, 1 << 40)?,
        history_bytes: size(c"sse.history_bytes", 1 << 16, 1 << 40)?,
        key_ttl: Duration::from_secs(config::number("sse.key_ttl", &text(c"sse.key_ttl")?, 1, 86_400)?),
        key_bytes: size(c"sse.key_bytes", 1 << 12, 1 << 40)?,
        retain_bytes: size(c"sse.retain_bytes", 1 << 12, 1 << 40)?,
        render_concurrency: size(c"sse.render_concurrency", 1, 256)?,
        render_bytes: size(c"sse.render_bytes", 1 << 16, 1 << 40)?,
        render_timeout: Duration::from_secs(config::number(
            "sse.render_timeout",
            &text(c"sse.render_timeout")?,
            1,
            3600,
        )?),
        follow_owners: true,
        idle_exit: (idle > 0).then(|| Duration::from_secs(idle.into())),
        log: if log.is_empty() { None } else { Some(config::absolute("sse.log", &log)?) },
        log_level: config::log_level(&text(c"sse.log_level")?)?,
        log_format: LogFormat::parse(&text(c"sse.log_format")?)?,
        shards: 0,
        processes: config::processes(&text(c"sse.processes")?)?,
        // A forked hub has one thread; other callers override this.
        may_fork: true,
        foreground: false,
        successor,
    })
}

/// Where and how the hub answers the web server.
fn http() -> Result<HttpConfig, ConfigError> {
    let timeout = config::number("sse.redirect_timeout", &text(c"sse.redirect_timeout")?, 1, 300)?;
    Ok(HttpConfig {
        address: config::http(&text(c"sse.http")?)?,
        group: config::group("sse.http_group", &text(c"sse.http_group")?)?,
        connections: size(c"sse.http_connections", 1, 10_000)?,
        timeout: Duration::from_secs(timeout),
        bytes: size(c"sse.redirect_bytes", 1 << 16, 1 << 40)?,
    })
}

/// The Redis through which the hub shares its events.
fn bus(keep: &Keep) -> Result<Option<BusConfig>, ConfigError> {
    let address = BusAddress::parse(&text(c"sse.bus")?, &text(c"sse.namespace")?)?;
    let Some(address) = address else { return Ok(None) };
    config::bus_history(&path(c"sse.history")?.to_string_lossy(), keep)?;
    let wait = config::bus_outage(&text(c"sse.bus_outage")?)?;
    // Half the time, so that a publisher gets the reason before its own timeout.
    let outage_timeout = if wait { timeout()? / 2 } else { Duration::ZERO };
    let (shortest, longest) = config::PRESENCE_TTL.into_inner();
    let ttl = config::number("sse.presence_ttl", &text(c"sse.presence_ttl")?, shortest, longest)?;
    Ok(Some(BusConfig {
        address,
        outage_timeout,
        queue: size(c"sse.bus_queue", 1 << 16, 1 << 40)?,
        presence_ttl: Duration::from_millis(ttl),
        presence_bytes: size(c"sse.presence_bytes", 1 << 16, 1 << 40)?,
    }))
}

fn small(name: &'static CStr, max: u32) -> Result<u32, ConfigError> {
    let number = config::number(&name.to_string_lossy(), &text(name)?, 0, max.into())?;
    Ok(u32::try_from(number).unwrap_or(max))
}

fn size(name: &'static CStr, min: u64, max: u64) -> Result<usize, ConfigError> {
    let number = config::number(&name.to_string_lossy(), &text(name)?, min, max)?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}
