//! Processes that a hub follows.

use std::process::{Child, Command};

/// A process whose end is up to the test.
pub struct Owner(Child);

impl Owner {
    pub fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().expect("sleep runs"))
    }

    /// A process with this argument, and therefore with the title of all of the same; `daemon`: in a session of its own.
    pub fn titled(seconds: u32, daemon: bool) -> Self {
        let mut command = Command::new(if daemon { "setsid" } else { "sleep" });
        command.args(daemon.then_some("sleep")).arg(seconds.to_string());
        Self(command.spawn().expect("sleep and setsid run"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn end(&mut self) {
        self.0.kill().expect("own child");
        self.0.wait().expect("own child");
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
