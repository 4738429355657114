//! `php -S`: the browser's own connection. Output goes to it unbuffered and unframed, and it is closed afterwards.

use super::{Connection, NoHandOff, Sapi, peer};

/// The connection to the browser.
pub(super) fn find() -> Result<Connection, NoHandOff> {
    Connection::new(peer::find()?, Sapi::CliServer)
}
