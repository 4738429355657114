//! Machines for the tests: network namespaces that a server of its own namespace is joined to, each by a cable that can be
//! cut without anybody being told.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A server and some machines around it.
pub struct Network {
    name: String,
    machines: usize,
}

/// What a cut cable lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Both,
    /// What the machine sends, and not what it should get.
    Answers,
}

impl Network {
    /// One with so many machines; `None`, and a line on standard error, where this user or system refuses it.
    pub fn of(machines: usize) -> Option<Self> {
        // What is not installed is no refusal.
        for program in ["ip", "nft"] {
            let version = Command::new(program).arg("-V").stdout(Stdio::null()).status();
            assert!(version.is_ok(), "{program}: {version:?}; tools/setup test installs it");
        }
        // Other tests of this process may have networks, too.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let network = Self { name: format!("sse-test-{}-{nth}", std::process::id()), machines };
        match network.build() {
            Ok(()) => Some(network),
            Err(why) => {
                super::skipped(&format!("network-namespaces: they are refused here (root is needed): {}", why.trim()));
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let server = self.server();
        ip(&format!("netns add {server}"))?;
        for machine in 0..self.machines {
            let name = self.machine(machine);
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {server} link add m{machine} type veth peer name s netns {name}"))?;
            ip(&format!("-n {server} address add {}/24 dev m{machine}", address(machine)))?;
            ip(&format!("-n {name} address add 10.77.{machine}.2/24 dev s"))?;
            ip(&format!("-n {server} link set m{machine} up"))?;
            ip(&format!("-n {name} link set s up"))?;
        }
        self.rules(None)
    }

    /// The server's namespace.
    pub fn server(&self) -> String {
        format!("{}-s", self.name)
    }

    /// A machine's namespace.
    pub fn machine(&self, machine: usize) -> String {
        format!("{}-{machine}", self.name)
    }

    /// A connection that a machine has made to the server: the server's end, and the machine's.
    pub fn connection(&self, machine: usize) -> (TcpStream, TcpStream) {
        let listener = within(&self.server(), move || TcpListener::bind((address(machine), 0)).expect("its address"));
        let port = listener.local_addr().expect("bound").port();
        let far =
            within(&self.machine(machine), move || TcpStream::connect((address(machine), port)).expect("a cable"));
        (listener.accept().expect("connected").0, far)
    }

    /// Loses the packets of one machine's cable from now on.
    pub fn cut(&self, machine: usize, cut: Cut) {
        self.rules(Some((machine, cut))).expect("nft works");
    }

    /// Joins all cables.
    pub fn join(&self) {
        self.rules(None).expect("nft works");
    }

    fn rules(&self, cut: Option<(usize, Cut)>) -> Result<(), String> {
        let mut rules = "add table inet cable\ndelete table inet cable\n".to_owned();
        if let Some((machine, cut)) = cut {
            rules += "add table inet cable\n";
            let mut add = |hook: &str, what: &str| {
                rules += &format!("add chain inet cable {hook} {{ type filter hook {hook} priority 0; }}\n");
                rules += &format!("add rule inet cable {hook} {what} m{machine} drop\n");
            };
            add("output", "oifname");
            if cut == Cut::Both {
                add("input", "iifname");
            }
        }
        let mut command = super::in_namespace(Some(&self.server()), "nft".as_ref());
        let child = command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        child.stdin.take().expect("piped").write_all(rules.as_bytes()).map_err(|error| error.to_string())?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in 0..self.machines {
            let _ = ip(&format!("netns delete {}", self.machine(machine)));
        }
        let _ = ip(&format!("netns delete {}", self.server()));
    }
}

/// Does something in a namespace, in a thread of its own. A socket stays in that where it was made.
fn within<T: Send + 'static>(name: &str, make: impl FnOnce() -> T + Send + 'static) -> T {
    let path = format!("/run/netns/{name}");
    let thread = std::thread::spawn(move || {
        let namespace = File::open(path).expect("it was made");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
        make()
    });
    thread.join().expect("no panic")
}

/// Of the server, as a machine sees it.
pub fn address(machine: usize) -> String {
    format!("10.77.{machine}.1")
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
