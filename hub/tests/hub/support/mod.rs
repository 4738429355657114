//! A real hub in a process of its own.
//!
//! The process is this test binary once more: it runs nothing but [`hub_process`], with the listening socket as its
//! standard input.
#![allow(dead_code, reason = "not every test binary needs everything")]

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::{Map, Value, json};
use sse_hub::BusAddress;
use sse_hub::config::{BusConfig, Config, HttpAddress, HttpConfig, LogFormat};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, Framing, Reply, Request};
use tempfile::TempDir;

/// Long enough for the slowest machine; nothing that works ever takes so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait for a hub that is not to answer.
pub const BRIEFLY: Duration = Duration::from_secs(2);

pub mod bus;
pub mod calls;
pub mod cluster;
pub mod flow;
pub mod network;
pub mod owner;
pub mod reader;
pub mod redis;
pub mod sentinel;
pub mod server;

#[allow(unused_imports, reason = "as above")]
pub use self::{calls::*, reader::*};

const SETTINGS: &str = "SSE_HUB_TEST_SETTINGS";

/// Not a test: what the hub's process runs.
#[test]
#[ignore = "not a test: the process of a hub that the tests start"]
fn hub_process() {
    let settings: Value = serde_json::from_str(&std::env::var(SETTINGS).expect("settings")).expect("settings");
    // No hub outlives its test, however that ends.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("a valid signal");
    if let Some(user) = settings["user"].as_u64() {
        // The system's own call would do it for one thread only.
        // SAFETY: no pointers are involved.
        let status = unsafe { libc::setuid(user as u32) };
        assert_eq!(status, 0, "root can become anybody");
    }
    if let Some(limit) = settings["descriptors"].as_u64() {
        let limit = Rlimit { current: Some(limit / 2), maximum: Some(limit) };
        rustix::process::setrlimit(Resource::Nofile, limit).expect("lower than before");
    }
    if let Some(report) = settings["report"].as_str() {
        take_over(&settings, report);
        return;
    }
    // SAFETY: the parent has made the listening socket this process's standard input, and nothing else here uses it.
    let listener = unsafe { UnixListener::from(OwnedFd::from_raw_fd(0)) };
    sse_hub::run(config(&settings), listener).expect("the hub runs");
}

/// Takes over from the hub that runs, and writes what came of it into a file.
fn take_over(settings: &Value, report: &str) {
    let config = config(settings);
    let lock = sse_hub::socket::lock(&config.socket, PATIENCE).expect("free in the end");
    let path = PathBuf::from(report);
    let write = move |json: Value| {
        let unfinished = path.with_extension("part");
        std::fs::write(&unfinished, json.to_string()).expect("a folder of the test's own");
        std::fs::rename(&unfinished, &path).expect("a folder of the test's own");
    };
    let said = write.clone();
    let result = sse_hub::take_over(config, lock, move |succeeded| {
        let pause = succeeded.pause.map(|pause| u64::try_from(pause.as_micros()).expect("short"));
        write(json!({ "streams": succeeded.streams, "pause_us": pause }));
    });
    if let Err(error) = result {
        said(json!({ "error": error.to_string() }));
    }
}

/// A configuration from the settings of a test; what they leave out is as small or as quiet as it can be.
pub fn config(settings: &Value) -> Config {
    let number = |name: &str, default: u64| settings[name].as_u64().unwrap_or(default);
    let text = |name: &str| settings[name].as_str();
    Config {
        socket: text("socket").expect("a socket").into(),
        socket_mode: number("socket_mode", 0o600) as u32,
        socket_group: settings["socket_group"].as_u64().map(|group| group as u32),
        http: HttpConfig {
            address: text("http")
                .map_or(HttpAddress::Auto, |address| sse_hub::config::http(address).expect("an address")),
            connections: number("http_connections", 256) as usize,
            timeout: Duration::from_millis(number("redirect_timeout_ms", 3_600_000)),
            bytes: number("redirect_bytes", 16 << 20) as usize,
            ..HttpConfig::default()
        },
        udp: text("udp").map(|address| address.parse().expect("an address")),
        udp_key: text("udp_key").map(|key| key.as_bytes().to_vec()),
        udp_rate: number("udp_rate", 50) as usize,
        max_streams: number("max_streams", 0) as usize,
        max_streams_per_ip: number("max_streams_per_ip", 0) as usize,
        max_topics: number("max_topics", 100) as usize,
        topic_bytes: number("topic_bytes", 64 << 20) as usize,
        template_steps: number("template_steps", 1 << 15) as usize,
        presence_grace: Duration::from_millis(number("presence_grace_ms", 5000)),
        max_event_size: number("max_event_size", 2 << 20) as usize,
        stream_buffer: number("stream_buffer", 4 << 20) as usize,
        queue_bytes: number("queue_bytes", 1 << 30) as usize,
        stall_timeout: Duration::from_secs(number("stall_timeout", 3600)),
        history_file: text("history_file").map(PathBuf::from),
        history_fsync: settings["history_fsync"].as_bool().unwrap_or(false),
        bus: text("bus").map(|url| BusConfig {
            address: BusAddress::parse(url, "").expect("a Redis URL").expect("not empty"),
            outage_timeout: Duration::from_millis(number("bus_outage_ms", 3_600_000)),
            queue: number("bus_queue", 16 << 20) as usize,
            presence_ttl: Duration::from_millis(number("presence_ttl_ms", 10_000)),
            presence_bytes: number("presence_bytes", 64 << 20) as usize,
        }),
        history_events: number("history_events", 0) as usize,
        history_ttl: Duration::from_millis(number("history_ttl_ms", 60_000)),
        history_bytes: number("history_bytes", 1 << 20) as usize,
        key_ttl: Duration::from_millis(number("key_ttl_ms", 60_000)),
        key_bytes: number("key_bytes", 1 << 20) as usize,
        finished_ttl: Duration::from_millis(number("finished_ttl_ms", 60_000)),
        finished_bytes: number("finished_bytes", 1 << 20) as usize,
        retain_bytes: number("retain_bytes", 1 << 20) as usize,
        render_concurrency: number("render_concurrency", 2) as usize,
        render_bytes: number("render_bytes", 64 << 20) as usize,
        render_timeout: Duration::from_millis(number("render_timeout_ms", 30_000)),
        follow_owners: settings["follow_owners"].as_bool().unwrap_or(true),
        idle_exit: settings["idle_exit_ms"].as_u64().map(Duration::from_millis),
        log: text("log").map(PathBuf::from),
        log_level: text("log_level").unwrap_or("off").parse().expect("a level"),
        log_format: LogFormat::parse(text("log_format").unwrap_or("text")).expect("a format"),
        shards: number("shards", 2) as usize,
        processes: processes(settings),
        may_fork: true,
        foreground: settings["foreground"].as_bool().unwrap_or(false),
        successor: None,
    }
}

/// As `SSE_HUB_TEST_PROCESSES` says for all tests that don't care.
fn processes(settings: &Value) -> Option<usize> {
    let all = std::env::var("SSE_HUB_TEST_PROCESSES").ok().map_or(1, |count| count.parse().expect("a number"));
    match settings["processes"].as_str() {
        Some("auto") => None,
        _ => Some(settings["processes"].as_u64().map_or(all, |count| count as usize)),
    }
}

/// Gives the tests that run side by side all the descriptors that their process may have, and returns how many.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("up to the hard one");
    limit.maximum
}

/// Where the hub's standard error goes: to the file of the setting `stderr`, or where this process's goes.
fn errors(settings: &Value) -> Stdio {
    let Some(path) = settings["stderr"].as_str() else { return Stdio::inherit() };
    Stdio::from(std::fs::OpenOptions::new().write(true).open(path).expect("it can be written"))
}

/// A command for a program, in this network namespace if one is given.
pub fn in_namespace(name: Option<&str>, program: &OsStr) -> Command {
    let Some(name) = name else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name]).arg(program);
    command
}

/// A hub that runs until it is dropped.
pub struct Hub {
    child: Child,
    settings: Value,
    pub folder: TempDir,
    pub socket: PathBuf,
}

impl Hub {
    pub fn new() -> Self {
        Self::with(json!({}))
    }

    /// A hub with these settings.
    pub fn with(settings: Value) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a temporary folder"), settings)
    }

    pub fn in_folder(folder: TempDir, mut settings: Value) -> Self {
        raise_descriptor_limit();
        let socket = folder.path().join("hub.sock");
        settings["socket"] = json!(socket);
        let listener = UnixListener::bind(&socket).expect("a new socket");
        let exe = std::env::current_exe().expect("this test");
        let child = in_namespace(settings["network_namespace"].as_str(), exe.as_os_str())
            .args(["--exact", "support::hub_process", "--ignored", "--nocapture"])
            .env(SETTINGS, settings.to_string())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(errors(&settings))
            .spawn()
            .expect("this test runs");
        Self { child, settings, folder, socket }
    }

    /// Starts another hub, with some other settings, to take over from this one.
    pub fn successor(&self, changes: &Value) -> Successor {
        let mut settings = self.settings.clone();
        let count = std::fs::read_dir(self.folder.path()).expect("own folder").count();
        let report =
            self.folder.path().join(format!("report-{}-{count}", settings["report"].as_str().unwrap_or("").len()));
        settings["report"] = json!(report);
        for (name, value) in changes.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "support::hub_process", "--ignored", "--nocapture"])
            .env(SETTINGS, settings.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test runs");
        Successor { child: Some(child), settings, report }
    }

    /// Has another hub, with some other settings, take over from this one, which then ends.
    pub fn upgrade(&mut self, changes: &Value) -> Value {
        let mut successor = self.successor(changes);
        let report = successor.report();
        assert_eq!(report["error"], Value::Null, "{report}");
        self.replace(successor);
        report
    }

    /// The other hub has taken over, and this one ends.
    pub fn replace(&mut self, mut successor: Successor) {
        assert!(self.ended().success());
        self.child = successor.child.take().expect("started");
        self.settings = std::mem::take(&mut successor.settings);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process");
        rustix::process::kill_process(pid, signal).expect("the hub's process is there");
    }

    /// Kills it, wherever it is.
    pub fn kill(&mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }

    /// Waits for the end that something else has caused.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the hub has ended", || {
            status = self.child.try_wait().expect("own child");
            status.is_some()
        });
        status.expect("just seen")
    }

    pub fn client(&self) -> Client {
        self.client_of(None)
    }

    pub fn client_of(&self, owner: Option<u32>) -> Client {
        Client::connect(&self.socket, owner, PATIENCE).expect("the hub listens")
    }

    /// A connection without a greeting.
    pub fn raw(&self) -> UnixStream {
        patient(UnixStream::connect(&self.socket).expect("the hub listens"))
    }

    /// The counters, read over a connection of their own.
    pub fn stats(&self) -> Value {
        stats(&mut self.client())
    }

    /// Waits until the counters say so.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let mut client = self.client();
        let mut last = Value::Null;
        until(what, || {
            last = stats(&mut client);
            holds(&last)
        });
        last
    }

    /// Open descriptors of the hub's process.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the hub's process is there").count()
    }

    /// An open stream over a pair of sockets, and the client that attached it.
    pub fn stream(&self, patterns: &[&str], framing: Framing) -> Reader {
        let mut client = self.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        let stream = attach(&mut client, near.into(), patterns, 0).expect("attached");
        commit(&client, stream, framing);
        Reader::new(far, stream, client)
    }

    /// A held stream like this one over a pair of sockets, and its public id, if it has one.
    pub fn hold(&self, wanted: Attach<'_>) -> (Reader, String) {
        let mut client = self.client();
        let (near, far) = UnixStream::pair().expect("a pair");
        let (stream, public) = match client.call(&Request::Attach(wanted), Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, public, .. }) => (stream, public.to_owned()),
            other => panic!("not attached: {other:?}"),
        };
        (Reader::new(far, stream, client), public)
    }

    /// One over TCP, with small buffers at both ends.
    pub fn tcp_stream(&self, patterns: &[&str], framing: Framing) -> (TcpStream, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let far = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        far.set_recv_buffer_size(4096).expect("small");
        far.connect(&listener.local_addr().expect("bound").into()).expect("loopback");
        let (near, _) = listener.accept().expect("connected");
        socket2::SockRef::from(&near).set_send_buffer_size(4096).expect("small");
        let mut client = self.client();
        let stream = attach(&mut client, near.into(), patterns, 0).expect("attached");
        commit(&client, stream, framing);
        let far = TcpStream::from(far);
        far.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (far, client)
    }
}

/// A hub that is to take over.
pub struct Successor {
    child: Option<Child>,
    settings: Value,
    report: PathBuf,
}

impl Successor {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("started").id()
    }

    /// Waits for the end that something else has caused.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.as_mut().expect("started").wait().expect("own child")
    }

    /// Kills it, wherever it is.
    pub fn kill(&mut self) {
        let child = self.child.as_mut().expect("started");
        child.kill().expect("own child");
        child.wait().expect("own child");
    }

    /// What became of it.
    pub fn report(&mut self) -> Value {
        let mut ended = false;
        until("the other hub has said what became of it", || {
            ended = self.child.as_mut().expect("started").try_wait().expect("own child").is_some();
            ended || self.report.exists()
        });
        match read_to_string(&self.report).as_str() {
            "" => json!({ "error": "ended without a word" }),
            text => serde_json::from_str(text).expect("JSON"),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The numbers of a JSON object that are not 0, for short assertions.
pub fn nonzero(value: &Value) -> Value {
    let object = value.as_object().expect("an object");
    Value::Object(
        object.iter().filter(|(_, v)| **v != json!(0)).map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>(),
    )
}

pub fn text<T: Debug>(result: Result<T, ClientError>) -> String {
    result.expect_err("this should be refused").to_string()
}

/// A free port of loopback for a server that may come back to it: below the range that the system takes for outgoing
/// connections, of which one, even one to that very port, could have it meanwhile.
pub fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let port = 10_000 + (RandomState::new().hash_one(()) % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Says that a test could not be done, also where the output of tests that pass is not shown: `tools/test` reads it. The reason
/// begins with the name of what is missing, as in `tests/optional`: "root: only root can become other users".
pub fn skipped(why: &str) {
    let test = std::thread::current();
    // On a line of its own, and in one piece, whatever other tests print.
    let line = format!("\nSKIPPED: {}: {why}\n", test.name().unwrap_or("?"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub fn read_to_string(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
