//! The extension's section of phpinfo().

use std::path::Path;

use serde_json::Value;
use sse_hub::config::Detach;
use sse_hub::socket::{Folder, others};
use sse_hub::udp::notify;
use sse_protocol::wire::{Reply, Request};

use crate::hub_connection;
use crate::ini;
use crate::php::{fork, info, zend};
use crate::spawn;

/// The version, the hub's address, and how this SAPI serves streams.
pub struct SseSection;

impl info::Section for SseSection {
    const TITLE: &'static str = "sse support";

    fn rows() -> Vec<(&'static str, String)> {
        let (socket, notify) = match ini::socket() {
            Ok((path, _)) => (path.display().to_string(), notify::path(&path).display().to_string()),
            Err(error) => (error.to_string(), String::new()),
        };
        let detach = ini::detach();
        let required = matches!(detach, Ok(Detach::Require));
        let streams = match zend::sapi_name().to_bytes() {
            b"cli" | b"phpdbg" => "served in the worker",
            _ if matches!(detach, Ok(Detach::Redirect)) => {
                "fetched from the hub by the web server (sse.detach=redirect)"
            }
            b"fpm-fcgi" | b"cli-server" => "handed over to the hub",
            b"apache2handler" if cfg!(php_zts) && fork::has_other_threads() => match required {
                true => "refused (Apache with threads, sse.detach=require)",
                false => "served in the worker (Apache with threads)",
            },
            b"apache2handler" if required => "handed over to the hub (HTTPS: refused)",
            b"apache2handler" => "handed over to the hub (HTTPS: served in the worker)",
            _ if required => "refused (sse.detach=require)",
            _ => "served in the worker",
        };
        let mut rows = vec![
            ("Version", sse_protocol::wire::VERSION.to_string()),
            ("Hub", socket),
            ("Running hub", running()),
            ("Wakes by this user", notify),
            ("Streams of this SAPI", streams.to_owned()),
        ];
        rows.extend(elsewhere().map(|other| ("Web server's hub", other)));
        rows
    }
}

/// Whether a hub runs there, whose it is, and how many streams it has. Starts none.
fn running() -> String {
    let answer = hub_connection::call_running(&Request::Stats, |reply| match reply {
        Reply::Stats { json } => Ok(serde_json::from_str::<Value>(json).unwrap_or_default()),
        other => Err(other.unexpected("a question for the counters")),
    });
    match answer {
        Ok(stats) => {
            let user = ini::socket().ok().and_then(|(path, _)| owner(&path)).map(|user| format!(" of user {user}"));
            let open = &stats["streams"]["open"];
            format!(
                "process {}{}, {open} {} open, php-sse {}",
                stats["pid"],
                user.unwrap_or_default(),
                if *open == 1 { "stream" } else { "streams" },
                stats["version"].as_str().unwrap_or_default()
            )
        }
        Err(error) if error.is_missing() => "none".into(),
        Err(error) => error.to_string(),
    }
}

/// The hub that the web server uses, where the command line uses another one and nobody has chosen its path.
fn elsewhere() -> Option<String> {
    let (path, _) = ini::socket().ok().filter(|(_, folder)| zend::is_command_line() && *folder == Folder::Private)?;
    let other = others::find(&path, rustix::process::geteuid().as_raw(), spawn::answers(&path))?;
    Some(format!("{other}; {}", other.advice()))
}

/// The user who listens at the socket: its file belongs to whoever has made it.
fn owner(socket: &Path) -> Option<u32> {
    rustix::fs::lstat(socket).ok().map(|stat| stat.st_uid)
}
