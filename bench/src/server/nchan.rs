//! nchan, an event server inside nginx (Debian: libnginx-mod-nchan). nginx writes to the clients itself.
//!
//! Beside the same head as every nginx here: two workers as the cores are two here, messages in memory, its own default of
//! ten kept a channel, no pings (its default), no authorisation or subscriber callbacks.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::nginx::Nginx;
use super::{Process, Server, programs};
use crate::publisher::{self, Form, Paced};

/// See the module's text.
#[derive(Debug)]
pub struct Nchan {
    nginx: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Nchan {
    /// Starts it.
    ///
    /// # Errors
    /// nginx or the module is not there, or it does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let module = programs::module("/usr/lib/nginx/modules/ngx_nchan_module.so")?;
        let (nginx, address) = Nginx {
            top: &format!("load_module {};", module.display()),
            http: "nchan_shared_memory_size 256M;",
            server: "
        location = /subscribe {
            nchan_subscriber eventsource;
            nchan_channel_id $arg_topic;
            nchan_subscriber_first_message newest;
            nchan_message_buffer_length 10;
        }
        location = /publish {
            nchan_publisher http;
            nchan_channel_id $arg_topic;
            nchan_message_buffer_length 10;
            nchan_message_timeout 1h;
        }",
            ..Nginx::default()
        }
        .start(&folder, "nginx")?;
        Ok(Self { nginx, address, _folder: folder })
    }

    /// The path that events of a topic are POSTed to, each the body.
    #[must_use]
    pub fn publish(topic: &str) -> String {
        format!("/publish?topic={topic}")
    }
}

impl Server for Nchan {
    fn name(&self) -> &'static str {
        "nchan"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, topic: &str) -> String {
        format!("/subscribe?topic={topic}")
    }

    fn publisher(&self, paced: &Paced) -> Result<Command> {
        publisher::command(paced, Form::Body, self.address, &Self::publish(&paced.topic))
    }

    fn processes(&self) -> Result<Vec<Process>> {
        Process::tree("nginx", self.nginx.pid())
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        let version = programs::debian_version("libnginx-mod-nchan");
        Ok(vec![("nginx".to_owned(), programs::nginx_version()?), ("nchan".to_owned(), version)])
    }
}
