//! A request to a server, for what is not measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Requests a path, and returns the whole answer: head and body as they came.
///
/// # Errors
/// There is no answer within 10 seconds, or it is not a 2xx.
pub fn ok(address: SocketAddr, path: &str) -> io::Result<String> {
    // HTTP/1.0, to which nobody answers in chunks.
    let limit = Duration::from_secs(10);
    let mut connection = TcpStream::connect_timeout(&address, limit)?;
    connection.set_read_timeout(Some(limit))?;
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.starts_with("HTTP/1.1 2") || answer.starts_with("HTTP/1.0 2") {
        Ok(answer)
    } else {
        Err(io::Error::other(format!("{path} is not answered with 2xx: {answer}")))
    }
}

/// Requests a path whose answer has no end, and returns when its head has come.
///
/// # Errors
/// There is none within a second, or it is not a 200.
pub fn begins(address: SocketAddr, path: &str) -> io::Result<()> {
    let limit = Duration::from_secs(1);
    let mut connection = TcpStream::connect_timeout(&address, limit)?;
    connection.set_read_timeout(Some(limit))?;
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut begin = [0; 12];
    connection.read_exact(&mut begin)?;
    if begin == *b"HTTP/1.1 200" { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&begin).into_owned())) }
}
