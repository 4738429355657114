//! `php -S`: finds the browser's own connection. Output is unbuffered and unframed, and the server closes it afterwards.

use super::obstacle::Obstacle;
use super::{ProvedConnection, Sapi, peer};

/// Finds the connection to the browser.
pub(super) fn find() -> Result<ProvedConnection, Obstacle> {
    ProvedConnection::new(peer::find()?, Sapi::CliServer)
}
