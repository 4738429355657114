//! Tokens of renders. Whoever has overheard one is not taken for the process that was sent it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::wire::{Attach, ErrorCode, Framing, Reply, Request, Whose};

use crate::support::{self, Hub, PATIENCE, commit, server, trigger};

/// A server whose streams are rendered, and the client of one.
struct Site {
    server: TcpListener,
    reader: TcpStream,
    client: Client,
}

fn site(hub: &Hub) -> Site {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let reader = TcpStream::connect(server.local_addr().expect("its address")).expect("a connection");
    reader.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (near, _) = server.accept().expect("the connection");
    let request = Request::Attach(Attach { patterns: vec!["a"], replay: Some(server::replay()), ..Default::default() });
    let mut client = hub.client();
    let Ok(Reply::Attached { stream, .. }) = client.call(&request, Some(near.as_fd()), PATIENCE) else {
        panic!("not attached")
    };
    commit(&client, stream, Framing::Raw);
    Site { server, reader, client }
}

/// The request that the hub sends for a wake, and its token.
fn replayed(site: &Site) -> (TcpStream, String) {
    trigger(&site.client, &["a"]);
    let (mut asked, _) = site.server.accept().expect("the hub sends the request again");
    let head = support::http_head(&mut asked);
    let token = head.lines().find_map(|line| line.to_lowercase().strip_prefix("sse-render-token:").map(str::to_owned));
    (asked, token.expect("the hub's token").trim().to_owned())
}

fn frames<'a>(token: &'a str, frames: &'a [u8]) -> Request<'a> {
    let (share, patterns, last_id) = (None, vec!["a"], None);
    Request::Rendered {
        whose: Whose::Token(token),
        render: true,
        share,
        patterns,
        last_id,
        ends: false,
        frames,
        answer: true,
    }
}

fn refusal(client: &mut Client, request: &Request<'_>) -> ErrorCode {
    match client.call(request, None, PATIENCE) {
        Err(ClientError::Hub { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Attack: a token that a page has printed is sent along with another request, whose script then has the victim's address, and
/// whose output the victim gets.
#[test]
fn a_token_is_that_of_the_first_who_comes_with_it() {
    let mut hub = Hub::new();
    let mut site = site(&hub);
    let (mut asked, token) = replayed(&site);
    let (mut own, mut other) = (hub.client(), hub.client());
    let claim = Request::Replayed { token: &token };
    let Ok(Reply::Replayed { remote: ("192.0.2.7", "5000"), .. }) = own.call(&claim, None, PATIENCE) else {
        panic!("not known")
    };
    // As often as it likes, and in the hub that has taken over as well.
    own.call(&claim, None, PATIENCE).expect("known");
    for upgrade in [false, true] {
        if upgrade {
            hub.upgrade(&json!({}));
        }
        assert_eq!(refusal(&mut other, &claim), ErrorCode::Unknown);
        let render = Request::Render { token: &token, patterns: vec!["a", "stolen"] };
        assert_eq!(refusal(&mut other, &render), ErrorCode::Over);
        assert_eq!(refusal(&mut other, &frames(&token, b"data: forged\n\n")), ErrorCode::Over);
        other.call(&Request::NotRendered { token: &token, reason: "forged" }, None, PATIENCE).expect("no harm done");
        assert_eq!(refusal(&mut hub.client(), &claim), ErrorCode::Unknown);
    }
    own.call(&Request::Render { token: &token, patterns: vec!["a"] }, None, PATIENCE).expect("known");
    own.call(&frames(&token, b"data: own\n\n"), None, PATIENCE).expect("taken");
    support::expect(&mut site.reader, b":\n\ndata: own\n\n");
    asked.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").expect("sent");
    drop(asked);
    hub.until("the run is over", |stats| stats["renders"]["running"] == json!(0));
    assert_eq!(refusal(&mut own, &claim), ErrorCode::Unknown, "a token that was used is worthless to everybody");
}
