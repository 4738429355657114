//! Pushpin, a proxy that holds streams for an HTTP origin (GRIP). Its condure writes to the clients.
//!
//! Debian's package does not answer as it is configured: its proxy looks for zurl, which makes requests to the origin, in a
//! folder where only a zurl that runs as a service listens. Here its four processes are started as its runner does,
//! with sockets in one folder. The limits on messages are raised, since by default it delivers 2,500 a second and drops
//! the rest, and those on connections. The origin is an nginx that answers each request with what holds a stream.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::child::Child;
use super::folder::Folder;
use super::nginx::Nginx;
use super::{Process, Server, http, port, programs};
use crate::publisher::{self, Form, Paced};

/// What Debian's package wires its processes together with.
const WIRING: &str = "/usr/lib/pushpin/internal.conf";

/// See the module's text.
#[derive(Debug)]
pub struct Pushpin {
    // In the order in which they are to end.
    condure: Child,
    proxy: Child,
    handler: Child,
    zurl: Child,
    origin: Child,
    address: SocketAddr,
    control: SocketAddr,
    _folder: Folder,
}

impl Pushpin {
    /// Starts it.
    ///
    /// # Errors
    /// A program is not there, or something does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let path = folder.path();
        let (origin, origin_address) = Nginx {
            server: "
        location / {
            default_type text/event-stream;
            add_header Grip-Hold stream;
            add_header Grip-Channel $arg_topic;
            add_header Cache-Control no-cache;
            return 200 \":\\n\\n\";
        }",
            workers: 1,
            connections: 10_000,
            ..Nginx::default()
        }
        .start(&folder, "origin")?;

        let wiring =
            fs::read_to_string(WIRING).with_context(|| format!("can't read {WIRING}; run tools/setup bench"))?;
        folder.file("internal.conf", wiring.replace("ipc:///var/run/zurl/", "ipc://{rundir}/{ipc_prefix}"))?;
        folder.file("routes", format!("* {origin_address}\n"))?;
        let [address, control, messages, subscriptions, commands] = free_addresses()?;
        let at = path.display();
        let configuration = folder.file(
            "pushpin.conf",
            format!(
                "[global]
include={at}/internal.conf
rundir={at}
ipc_prefix=pushpin-
port_offset=0
[proxy]
routesfile={at}/routes
sig_key=bench
updates_check=off
[handler]
push_in_spec=tcp://{messages}
push_in_sub_specs=tcp://{subscriptions}
push_in_http_addr={}
push_in_http_port={}
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
command_spec=tcp://{commands}
message_rate=1000000000
message_hwm=10000000
",
                control.ip(),
                control.port()
            ),
        )?;
        let zurl_configuration = folder.file(
            "zurl.conf",
            format!(
                "[General]
in_spec=ipc://{at}/pushpin-zurl-in
in_stream_spec=ipc://{at}/pushpin-zurl-in-stream
out_spec=ipc://{at}/pushpin-zurl-out
defpolicy=allow
max_open_requests=20000
buffer_size=200000
timeout=600
in_hwm=100000
out_hwm=100000
"
            ),
        )?;
        let start = |name: &str, arguments: &[String]| -> Result<Child> {
            let log = path.join(format!("{name}.log"));
            Ok(Child::start(Command::new(programs::find(&[name])?).args(arguments), &log)?)
        };
        let mut condure = start(
            "condure",
            &[
                "--log-level=1".to_owned(),
                format!("--listen={address},stream"),
                format!("--zclient-stream=ipc://{at}/pushpin-condure"),
                "--buffer-size=8192".to_owned(),
                "--stream-maxconn=15000".to_owned(),
            ],
        )?;
        let zurl = start("zurl", &[format!("--config={}", zurl_configuration.display()), "--loglevel=1".to_owned()])?;
        let common = [
            format!("--config={}", configuration.display()),
            "--ipc-prefix=pushpin-".to_owned(),
            "--loglevel=1".to_owned(),
        ];
        let proxy = start("pushpin-proxy", &common)?;
        let mut handler = start("pushpin-handler", &common)?;
        condure.wait_until("condure listens", || port::listens(address))?;
        handler.wait_until("Pushpin takes events", || port::listens(control))?;
        handler.wait_until("Pushpin answers", || http::begins(address, "/?topic=ready").is_ok())?;
        Ok(Self { condure, proxy, handler, zurl, origin, address, control, _folder: folder })
    }

    /// Where events are POSTed, as JSON.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// The path there.
    pub const PUBLISH: &str = "/publish/";
}

/// Free ones, for all that listens.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, port) in addresses.iter_mut().zip(port::several(N)?) {
        address.set_port(port);
    }
    Ok(addresses)
}

impl Server for Pushpin {
    fn name(&self) -> &'static str {
        "pushpin"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, topic: &str) -> String {
        format!("/?topic={topic}")
    }

    fn loses_streams(&self) -> bool {
        // A few of 5,000, however many come at once: its handler is told of some before it has taken them over from its
        // proxy ("received message out of sequence, canceling"), and a few are answered with 502.
        true
    }

    fn publisher(&self, paced: &Paced) -> Result<Command> {
        publisher::command(paced, Form::Pushpin, self.control, Self::PUBLISH)
    }

    fn processes(&self) -> Result<Vec<Process>> {
        let mut processes = vec![
            Process::new("condure", self.condure.pid()),
            Process::new("pushpin-proxy", self.proxy.pid()),
            Process::new("pushpin-handler", self.handler.pid()),
            Process::new("zurl", self.zurl.pid()),
        ];
        processes.extend(Process::tree("origin", self.origin.pid())?);
        Ok(processes)
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        let version = |package: &str| (package.to_owned(), programs::debian_version(package));
        Ok(["pushpin", "condure", "zurl"].map(version).to_vec())
    }
}
