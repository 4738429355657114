//! Offers a stream to the hub, and its callback's first output with it.

use std::os::fd::BorrowedFd;

use sse_protocol::client::ClientError;
use sse_protocol::wire::ErrorCode;

use super::arguments;
use super::exceptions::Problem;
use super::options::WantedStream;
use crate::handoff::obstacle::{Obstacle, ObstacleKind, Stays};
use crate::hub_connection::{self, CallbackFrames, HeldStream};
use crate::php::engine::Engine;
use crate::replay::original::Original;
use crate::response::{self, Interrupted};
use crate::spawn::SpawnError;
use crate::stream::{CallOutcome, StreamCall, without_hub};

/// Maximum number of hubs to offer a stream to, where each ends before it has the stream for good.
const HUBS: usize = 4;

/// What has become of an offered stream.
pub(super) enum Offered<T> {
    /// The hub has it for good. With it: what the worker has to do next.
    Taken(T),
    /// The call is complete without the hub.
    Concluded(CallOutcome),
}

/// Why a hub that holds a stream does not keep it.
pub(super) enum NotTaken {
    /// The call has failed, or an obstacle was found.
    Stays(Stays),
    /// The callback has ended the stream for good.
    Over(CallbackFrames),
    /// User code did not return.
    Interrupted(Interrupted),
    /// The hub did not accept it.
    Refused(SpawnError),
}

impl From<Interrupted> for NotTaken {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

impl From<SpawnError> for NotTaken {
    fn from(error: SpawnError) -> Self {
        Self::Refused(error)
    }
}

impl StreamCall {
    /// Offers the stream to the running hub; `complete` then makes it the hub's for good. If that hub has ended meanwhile, the
    /// next one gets all data anew, and the callback runs again: no hub has kept what happened since. With `opens`, this process
    /// sends the stream's first lines, unless it has for an earlier hub.
    pub(super) fn offer<T>(
        &self,
        engine: &mut Engine,
        descriptor: BorrowedFd<'_>,
        opens: bool,
        complete: impl Fn(&mut Engine, &HeldStream) -> Result<T, NotTaken>,
    ) -> Result<Offered<T>, Stays> {
        let render = self.callback.is_some();
        let original = if self.wanted.replays(render) { Some(Original::capture(engine)?) } else { None };
        for _ in 0..HUBS {
            let replay = original.as_ref().map(|original| self.wanted.replay(render, original));
            let held = self.attach(descriptor, opens && !response::begun(), replay)?;
            // From here on the hub keeps notifications for this stream, so none is lost after the callback has read its data.
            let taken = self.give_first_output(engine, &held).and_then(|()| complete(engine, &held));
            let why = match taken {
                Ok(next) => return Ok(Offered::Taken(next)),
                Err(why) => why,
            };
            hub_connection::abort(&held);
            match why {
                NotTaken::Stays(stays) => return Err(stays),
                NotTaken::Over(frames) => return Ok(Offered::Concluded(self.conclude(engine, &frames))),
                NotTaken::Interrupted(interrupted) => return Ok(Offered::Concluded(interrupted.into())),
                NotTaken::Refused(error) if has_ended(&error) => {}
                NotTaken::Refused(error) => return Err(without_hub(error)),
            }
        }
        let reason = format!("{HUBS} hubs have ended, one after the other, while they had it");
        Err(Obstacle::new(ObstacleKind::Load, reason).into())
    }

    /// Runs the callback, where the hub has no output of it yet, and gives the hub what it returns.
    fn give_first_output(&self, engine: &mut Engine, held: &HeldStream) -> Result<(), NotTaken> {
        if held.rendered {
            return Ok(());
        }
        let frames = self.run_first(engine, held).map_err(|problem: Problem| NotTaken::Stays(problem.into()))?;
        if frames.ends {
            return Err(NotTaken::Over(frames));
        }
        if frames.bytes.is_empty() {
            return Ok(());
        }
        let WantedStream { share, patterns, .. } = &self.wanted;
        Ok(hub_connection::rendered_first(held, share.as_deref(), &arguments::borrowed(patterns), &frames)?)
    }
}

/// Whether the hub that held the stream has ended, or has dropped the stream.
fn has_ended(error: &SpawnError) -> bool {
    let SpawnError::Client(error) = error else { return false };
    matches!(
        error,
        ClientError::Closed
            | ClientError::Unanswered
            | ClientError::NotRunning { .. }
            | ClientError::Hub { code: ErrorCode::Over, .. }
    )
}
