//! `php -S`: finds the browser's own connection. Output is unbuffered and unframed, and the server closes it afterwards.

use super::obstacle::Obstacle;
use super::{Connection, Sapi, peer};

/// Finds the connection to the browser.
pub(super) fn find() -> Result<Connection, Obstacle> {
    Connection::new(peer::find()?, Sapi::CliServer)
}
