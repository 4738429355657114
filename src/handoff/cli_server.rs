//! `php -S`: the browser's own connection. Output goes to it unbuffered and unframed, and it is closed afterwards.

use super::obstacle::Obstacle;
use super::{Connection, Sapi, peer};

/// The connection to the browser.
pub(super) fn find() -> Result<Connection, Obstacle> {
    Connection::new(peer::find()?, Sapi::CliServer)
}
