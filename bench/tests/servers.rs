//! Every server that is measured, for real: it starts, holds a stream, delivers what is published, and ends with all its
//! processes. Those that php-sse is compared with are skipped where they are not installed; `tools/setup bench` brings them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Long enough for the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an event may take to a stream that follows its topic, before another is published.
const FOLLOWS: Duration = Duration::from_secs(3);

/// A server as `sse-bench serve` runs it.
struct Served {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    lines: Vec<String>,
}

impl Served {
    fn start(name: &str) -> Self {
        Self::start_in(name, &std::env::temp_dir())
    }

    /// With its temporary files in this folder.
    fn start_in(name: &str, folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sse-bench"));
        command
            .env("TMPDIR", folder)
            .args(["serve", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut served = Self { process, output, lines: Vec::new() };
        while !served.lines.last().is_some_and(|line| line.starts_with("Enter")) {
            let Some(line) = served.line() else {
                let mut errors = String::new();
                served.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("{name} does not start: {errors}");
            };
            served.lines.push(line);
        }
        served
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.ends_with('\n').then(|| line.trim_end().to_owned())
    }

    /// What it said behind this word.
    fn said(&self, word: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect()
    }

    fn publish(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let answer = self.line();
        assert!(answer.as_ref().is_some_and(|line| line.starts_with("published")), "{answer:?}");
    }
}

/// Requests a URL; the lines of the answer.
fn get(url: &str) -> impl Iterator<Item = String> + use<> {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // At once: `php -S` calls a request malformed that comes in pieces.
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    BufReader::new(stream).lines().map(Result::unwrap).inspect(move |line| {
        // What has only heartbeats would be read for ever.
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}; the last line is '{line}'");
    })
}

fn delivers(name: &str) {
    let mut served = Served::start(name);
    let mut lines = get(served.said("stream")[0]);
    assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
    let kind = lines.find(|line| line.to_lowercase().starts_with("content-type:")).unwrap();
    assert!(kind.contains("text/event-stream"), "{kind}");
    // A comment or an id comes at once, so that a client knows that it is connected before anything happens.
    lines.find(String::is_empty).unwrap();
    lines.find(String::is_empty).unwrap();
    let (sender, events) = mpsc::channel();
    // Ends with the stream, which the server's end ends.
    let reader = thread::spawn(move || {
        for line in lines.filter(|line| line.starts_with("data: ")) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    // Some servers begin the response before the stream follows its topic.
    let mut published = 0;
    let first = loop {
        served.publish();
        published += 1;
        match events.recv_timeout(FOLLOWS) {
            Ok(event) => break event,
            Err(error) => assert!(published < 10, "no event has come: {error}"),
        }
    };
    assert!(first.starts_with("data: "), "{first}");
    // What came late may have been the answer to an earlier one.
    let mut last = first;
    for _ in 0..3 {
        served.publish();
        published += 1;
        while !last.starts_with(&format!("data: {} ", published - 1)) {
            last = events.recv_timeout(PATIENCE).unwrap();
            assert_eq!(last.len(), "data: ".len() + 100);
        }
    }
    for hello in served.said("hello") {
        assert!(get(hello).any(|line| line == "hello"));
    }

    let processes: Vec<String> = served.said("process").into_iter().map(str::to_owned).collect();
    drop(served.process.stdin.take());
    assert!(served.process.wait().unwrap().success());
    drop(events);
    let _ = reader.join();
    let deadline = Instant::now() + PATIENCE;
    while let Some(process) = processes.iter().find(|process| lives(process)) {
        assert!(Instant::now() < deadline, "{process} has not ended");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process, given by a line that begins with its id, still runs. In a container nobody may ask for how orphans
/// have ended, so that they stay listed.
fn lives(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.split(' ').next().unwrap())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn php_s_delivers() {
    delivers("php-s");
}

#[test]
fn nginx_and_fpm_deliver() {
    delivers("nginx-fpm");
}

#[test]
fn mod_php_delivers() {
    delivers("mod-php");
}

#[test]
fn the_plain_loops_deliver() {
    delivers("loops");
}

#[test]
fn nchan_delivers() {
    if is_installed("nchan", &["nginx", "/usr/lib/nginx/modules/ngx_nchan_module.so"]) {
        delivers("nchan");
    }
}

#[test]
fn pushpin_delivers() {
    let programs = ["pushpin-proxy", "pushpin-handler", "/usr/lib/pushpin/internal.conf", "condure", "zurl"];
    if is_installed("pushpin", &programs) {
        delivers("pushpin");
    }
}

/// Whether all these programs, or files, of an optional server are there. If not, says so in the form that `tools/test` reads.
fn is_installed(server: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    // An absolute path stays what it is when it is joined to a folder.
    let missing = programs.iter().find(|program| !folders.iter().any(|folder| folder.join(program).is_file()));
    if let Some(missing) = missing {
        let test = thread::current();
        let line = format!("\nSKIPPED: {}: {server}: {missing} is not installed\n", test.name().unwrap_or("?"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    missing.is_none()
}

#[test]
fn servers_end_when_the_bench_is_killed() {
    // What is killed leaves its files.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut served = Served::start_in("nginx-fpm", folder.path());
    served.process.kill().unwrap();
    served.process.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let Some(process) = served.said("process").into_iter().find(|process| lives(process)) {
        assert!(Instant::now() < deadline, "{process} has not ended");
        thread::sleep(Duration::from_millis(10));
    }
}
