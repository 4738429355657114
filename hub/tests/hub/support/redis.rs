//! Real Redis servers for the tests, each in a temporary folder, that end with their tests.

use std::fmt::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use redis::{Connection, FromRedisValue, cmd};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::{free_port, in_namespace, until};

/// A Redis server on a free port and a Unix socket.
pub struct Redis {
    child: Child,
    pub folder: TempDir,
    pub port: u16,
    program: &'static str,
    namespace: Option<String>,
    options: Vec<String>,
}

impl Redis {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// One with these options, as on its command line.
    pub fn with(options: &[&str]) -> Self {
        Self::of("redis-server", options)
    }

    /// Another program that is the same.
    pub fn of(program: &'static str, options: &[&str]) -> Self {
        Self::start(program, None, options)
    }

    /// One in a network namespace, which listens at all its addresses.
    pub fn in_namespace(name: &str) -> Self {
        Self::start("redis-server", Some(name.into()), &["--bind", "0.0.0.0", "--protected-mode", "no"])
    }

    fn start(program: &'static str, namespace: Option<String>, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let child = start(program, namespace.as_deref(), folder.path(), port, &options);
        let redis = Self { child, folder, port, program, namespace, options };
        redis.ready();
        redis
    }

    fn ready(&self) {
        until("Redis answers", || {
            std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
                && self.try_connection().is_some_and(|mut redis| {
                    // One that wants a password is there as well.
                    !cmd("PING").query::<String>(&mut redis).is_err_and(|error| error.code() == Some("LOADING"))
                })
        });
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// A URL with these parameters.
    pub fn url(&self, parameters: &str) -> String {
        format!("redis://127.0.0.1:{}/0?{parameters}", self.port)
    }

    pub fn try_connection(&self) -> Option<Connection> {
        let url = format!("unix://{}", self.socket().display());
        redis::Client::open(url).expect("a URL").get_connection().ok()
    }

    /// The answer to a command of words.
    pub fn call<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut command = cmd(words.next().expect("a command"));
        words.for_each(|word| {
            command.arg(word);
        });
        let mut connection = self.try_connection().expect("Redis is there");
        command.query(&mut connection).expect("an answer")
    }

    /// Adds an event as any program could.
    pub fn add(&self, topic: &str, data: &str) -> String {
        self.call(&format!("XADD sse * topic {topic} data {data}"))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process");
        rustix::process::kill_process(pid, signal).expect("Redis is there");
    }

    /// Ends it at once, as kill -9 does.
    pub fn kill(&mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }

    /// Starts it again at the same place.
    pub fn restart(&mut self) {
        self.child = start(self.program, self.namespace.as_deref(), self.folder.path(), self.port, &self.options);
        self.ready();
    }

    /// Without what it has kept.
    pub fn restart_empty(&mut self) {
        for entry in std::fs::read_dir(self.folder.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.expect("removed");
        }
        self.restart();
    }

    /// What redis-cli would show of the stream, for messages of failed tests.
    pub fn stream(&self) -> String {
        let entries: Vec<(String, Vec<String>)> = self.call("XRANGE sse - +");
        entries.iter().fold(String::new(), |mut text, (id, fields)| {
            let _ = writeln!(text, "{id} {}", fields.join(" "));
            text
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(program: &str, namespace: Option<&str>, folder: &Path, port: u16, options: &[String]) -> Child {
    let mut command = in_namespace(namespace, program.as_ref());
    command.args(["--save", "", "--dir"]).arg(folder).arg("--port").arg(port.to_string());
    command.arg("--unixsocket").arg(folder.join("redis.sock")).args(["--bind", "127.0.0.1", "--logfile", "redis.log"]);
    command.args(options).stdout(Stdio::null()).stdin(Stdio::null());
    // SAFETY: only a system call that is allowed between fork and exec, and no memory is touched.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        });
    }
    command.spawn().expect("redis-server is installed (tools/setup test)")
}

/// What stands before servers where one takes over from another: a port whose connections go to the server of the moment.
pub struct Door {
    pub port: u16,
    inner: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    target: u16,
    open: Vec<TcpStream>,
}

impl Door {
    /// One to this port.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let inner = Arc::new(Mutex::new(Inside { target, open: Vec::new() }));
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let mut inside = shared.lock().expect("no panic");
                // A target that isn't there refuses, as it would without a door.
                let Ok(far) = TcpStream::connect(("127.0.0.1", inside.target)) else { continue };
                let copy = |socket: &TcpStream| socket.try_clone().expect("a descriptor");
                inside.open.extend([copy(&near), copy(&far)]);
                for (mut from, mut to) in [(copy(&near), copy(&far)), (far, near)] {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, inner }
    }

    /// From now on it leads to this port.
    pub fn lead_to(&self, target: u16) {
        let mut inside = self.inner.lock().expect("no panic");
        inside.target = target;
        for socket in inside.open.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub fn url(&self, parameters: &str) -> String {
        format!("redis://127.0.0.1:{}/0?{parameters}", self.port)
    }
}
