//! A server whose requests the hub sends again: it is the test that answers them.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use serde_bytes::Bytes;
use sse_protocol::client::Client;
use sse_protocol::wire::{Attach, Framing, OriginalRequest, Protocol, Replay, Reply, Request, User, Whose};

use super::{Hub, PATIENCE, commit, http_head, until};

/// Where requests come in.
pub struct Server(TcpListener);

/// Whose stream it is, and how it is run again.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    pub address: &'a str,
    pub cookie: Option<&'a str>,
    pub session: Option<&'a str>,
    pub user: Option<&'a str>,
    pub render: bool,
    pub reauthorize: u32,
}

impl Default for Owner<'_> {
    fn default() -> Self {
        Self { address: "192.0.2.1", cookie: None, session: None, user: None, render: true, reauthorize: 0 }
    }
}

/// A client's end of a stream over TCP, and the worker that it came from.
pub struct OpenStream {
    pub socket: TcpStream,
    pub stream: u64,
    pub client: Client,
}

/// A request that was sent again and waits for its answer.
pub struct Asked {
    socket: TcpStream,
    pub head: String,
    pub token: String,
}

impl Server {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// An open stream that watches this topic, of a request that came to this server.
    pub fn stream(&self, hub: &Hub, topic: &str, owner: Owner<'_>) -> OpenStream {
        let open = self.held(hub, topic, owner);
        commit(&open.client, open.stream, Framing::Raw);
        open
    }

    /// A stream whose worker has not handed it off yet.
    pub fn held(&self, hub: &Hub, topic: &str, owner: Owner<'_>) -> OpenStream {
        let socket = TcpStream::connect(self.0.local_addr().expect("bound")).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (near, _) = self.0.accept().expect("the connection");
        let cookie = owner.cookie.map(|cookie| (Bytes::new(b"Cookie"), Bytes::new(cookie.as_bytes())));
        let target = format!("/{topic}");
        let replay = Replay {
            render: owner.render,
            only_changes: true,
            reauthorize: owner.reauthorize,
            request: OriginalRequest {
                protocol: Protocol::Http { method: "GET", target: &target },
                fields: cookie.into_iter().collect(),
                remote: (owner.address, "1"),
                session: owner.session,
                ..original_request()
            },
            ..replay()
        };
        let request = Request::Attach(Attach {
            patterns: vec![topic],
            address: Some(owner.address),
            user: owner.user.map(|key| User { key, limit: 0, replace: false }),
            replay: Some(replay),
            ..Default::default()
        });
        let mut client = hub.client();
        let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
            Ok(Reply::Attached { stream, .. }) => stream,
            other => panic!("not attached: {other:?}"),
        };
        OpenStream { socket, stream, client }
    }

    /// The next request that the hub sends.
    pub fn asked(&self) -> Asked {
        let mut accepted = Err(std::io::ErrorKind::WouldBlock.into());
        self.0.set_nonblocking(true).expect("own socket");
        until("the hub sends a request", || {
            accepted = self.0.accept();
            accepted.is_ok()
        });
        let (mut socket, _) = accepted.expect("just seen");
        self.0.set_nonblocking(false).expect("own socket");
        socket.set_nonblocking(false).expect("own socket");
        let head = http_head(&mut socket);
        let token = head.lines().find_map(|line| line.strip_prefix("Sse-Render-Token: ")).expect("a token").to_owned();
        Asked { socket, head, token }
    }
}

impl Asked {
    /// The topic of the stream that it is for.
    pub fn topic(&self) -> &str {
        self.head.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()).expect("a target")
    }

    /// PHP has begun with it.
    pub fn reach(&self, client: &mut Client) {
        let replayed = client.call(&Request::Replayed { token: &self.token }, None, PATIENCE);
        assert!(matches!(replayed, Ok(Reply::Replayed { .. })), "{replayed:?}");
    }

    /// The script calls `sse_stream()` without a callback, with this topic.
    pub fn confirm(&self, client: &mut Client, topic: &str) {
        let request = Request::Rendered {
            whose: Whose::Token(&self.token),
            render: false,
            share: None,
            patterns: vec![topic],
            last_id: None,
            ends: false,
            frames: b"",
            answer: true,
        };
        assert!(matches!(client.call(&request, None, PATIENCE), Ok(Reply::Done)));
    }

    /// The script's callback begins to run.
    pub fn run(&self, client: &mut Client) {
        let request = Request::Render { token: &self.token, patterns: vec![self.topic()] };
        assert!(matches!(client.call(&request, None, PATIENCE), Ok(Reply::Events { .. })));
    }

    /// The callback ends its streams with this output.
    pub fn end(&self, client: &mut Client, frames: &str) {
        let request = Request::Rendered {
            whose: Whose::Token(&self.token),
            render: true,
            share: None,
            patterns: vec![self.topic()],
            last_id: None,
            ends: true,
            frames: frames.as_bytes(),
            answer: true,
        };
        assert!(matches!(client.call(&request, None, PATIENCE), Ok(Reply::Done)));
    }

    /// The response, and its end.
    pub fn answer(mut self, status: u16) {
        let response = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n");
        self.socket.write_all(response.as_bytes()).expect("the hub reads");
    }
}

/// How a stream with a callback is replayed.
pub fn replay<'a>() -> Replay<'a> {
    let request = original_request();
    Replay { render: true, only_changes: false, poll: 0, reauthorize: 0, share: None, request }
}

/// A GET request by HTTP.
pub fn original_request<'a>() -> OriginalRequest<'a> {
    OriginalRequest {
        script: "/srv/stream.php",
        protocol: Protocol::Http { method: "GET", target: "/stream.php" },
        fields: Vec::new(),
        body: Bytes::new(b""),
        remote: ("192.0.2.7", "5000"),
        last_event_id: None,
        session: None,
    }
}
