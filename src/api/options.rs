//! The topics and options of an `sse_stream()` call, checked.

use std::time::Duration;

use sse_hub::config::Detach;
use sse_hub::util::random;
use sse_protocol::wire::{MAX_KEY, TopicsAs};

use super::arguments::{self, Options};
use super::exceptions::Problem;
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::{ini, variables, zend};

const FUNCTION: &str = "sse_stream()";

/// Maximum of `reauthorize`, in seconds.
const MAX_REAUTHORIZE: u32 = 86_400;

/// Range of `poll`: seconds between two renders without a notification.
const POLL: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// The checked arguments of a call, without the callback. All are copies: the callback may change the variables.
#[derive(Debug)]
pub struct Wanted {
    /// The patterns to watch.
    pub patterns: Vec<String>,
    /// The event type for results of the callback that are plain values.
    pub event: Option<String>,
    /// Seconds of silence before a comment; 0: never.
    pub heartbeat: u32,
    /// Reconnection time for the client, in milliseconds; 0: none.
    pub retry: u32,
    /// Seconds after which the hub ends the stream; 0: never.
    pub max_lifetime: u32,
    /// The stream's owner.
    pub user: Option<User>,
    /// Whether the stream may, or must, leave the worker.
    pub detach: Detach,
    /// The caller wants the worker to serve the stream.
    pub stays: bool,
    /// Additional response headers, as lines.
    pub headers: Vec<String>,
    /// The client's last event id. Only without a callback.
    pub last_event_id: Option<String>,
    /// How the client receives the topics of events; `None`: not at all.
    pub topics_as: Option<TopicsAs>,
    /// Whether the callback runs at the start.
    pub initial: bool,
    /// Whether to suppress output that equals the last output sent.
    pub only_changes: bool,
    /// Time between renders without a notification; zero: none.
    pub poll: Duration,
    /// Time between authorization checks; zero: none except by renders.
    pub reauthorize: Duration,
    /// Streams of the same script with this key share one render.
    pub share: Option<String>,
}

/// A user, and the limit of their streams.
#[derive(Debug)]
pub struct User {
    /// The user's key.
    pub key: String,
    /// Maximum number of streams; 0: unlimited.
    pub limit: u32,
    /// Whether a stream over the limit replaces the oldest one.
    pub replace: bool,
}

impl Wanted {
    /// Reads and checks the arguments.
    ///
    /// # Errors
    /// `Argument` or `Type`.
    pub fn new(
        engine: &mut Engine,
        topics: Argument<'_>,
        render: Option<&Value>,
        options: Option<ArrayArgument<'_>>,
    ) -> Result<Self, Problem> {
        let patterns = arguments::patterns(engine, FUNCTION, topics)?;
        if let Some(other) = render
            && !zend::is_callable(engine, other).map_err(|why| Problem::no_value("is_callable", why))?
        {
            let given = zend::type_name(other.look(engine));
            return Err(Problem::Type(format!(
                "{FUNCTION}: Argument #2 ($render) must be of type ?callable, {given} given; options are the third argument, \
                 or named: options: [...]"
            )));
        }
        let mut options = Options::new(engine, FUNCTION, options);
        let heartbeat = options.number("heartbeat", "seconds, 0 for none", ini::MAX_HEARTBEAT)?;
        let retry = options.number("retry", "milliseconds, 0 for none", ini::MAX_RETRY)?;
        let max_lifetime = options.number("max_lifetime", "seconds, 0 for no end", ini::MAX_LIFETIME)?;
        let user = user(&mut options)?;
        let detach = options.boolean("detach")?;
        let headers = options.headers("headers")?;
        let reauthorize = options.number("reauthorize", "seconds, 0 for never", MAX_REAUTHORIZE)?;
        let last_event_id = options.text("last_event_id")?;
        let topics_as = options.choice("topics_as", [("field", TopicsAs::Field), ("envelope", TopicsAs::Envelope)])?;
        let of_render = OfRender::new(&mut options)?;
        options.finish()?;
        if let (None, Some(name)) = (render, of_render.given()) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option '{name}' is for streams with a $render, and there is none"
            )));
        }
        if render.is_some() && topics_as.is_some() {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'topics_as' is for streams without a $render: what that returns has no topic"
            )));
        }
        let OfRender { event, initial, only_changes, poll, share } = of_render;
        Ok(Self {
            patterns,
            event: event.map(str::to_owned),
            heartbeat: heartbeat.map_or_else(ini::heartbeat, Ok)?,
            retry: spread(retry.map_or_else(ini::retry, Ok)?, ini::retry_jitter()?),
            max_lifetime: max_lifetime.map_or_else(ini::max_lifetime, Ok)?,
            user,
            detach: ini::detach()?,
            stays: detach == Some(false),
            headers,
            last_event_id: last_event_id.map(str::to_owned).or_else(of_request).filter(|_| render.is_none()),
            topics_as,
            initial: initial.unwrap_or(true),
            only_changes: only_changes.unwrap_or(true),
            poll: poll.map_or(Duration::ZERO, Duration::from_secs_f64),
            reauthorize: Duration::from_secs(reauthorize.unwrap_or(0).into()),
            share: share.map(str::to_owned),
        })
    }
}

/// Adds a random part of up to `percent` to a client's reconnection time, so that clients that lost their streams
/// together do not reconnect together.
fn spread(retry: u32, percent: u32) -> u32 {
    let most = u64::from(retry) * u64::from(percent) / 100;
    retry + random::up_to(u32::try_from(most).unwrap_or(u32::MAX - retry))
}

/// Reads the user and the limit of their streams.
fn user(options: &mut Options<'_>) -> Result<Option<User>, Problem> {
    let key = key(options, "user")?;
    let limit = options.number("max_per_user", "streams, 0 for any number", ini::MAX_STREAMS)?;
    let over_limit = options.choice("over_limit", [("refuse", false), ("replace", true)])?;
    let lonely = [(limit.is_some(), "max_per_user"), (over_limit.is_some(), "over_limit")];
    match (key, lonely.into_iter().find_map(|(given, name)| given.then_some(name))) {
        (Some(key), _) => {
            let limit = limit.map_or_else(ini::max_streams_per_user, Ok)?;
            Ok(Some(User { key: key.to_owned(), limit, replace: over_limit.unwrap_or(false) }))
        }
        (None, Some(name)) => {
            Err(Problem::Argument(format!("{FUNCTION}: option '{name}' needs the option 'user': whose streams?")))
        }
        (None, None) => Ok(None),
    }
}

/// Reads a key chosen by the caller.
fn key<'a>(options: &mut Options<'a>, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let key = options.text(name)?;
    match key.filter(|key| key.len() > MAX_KEY) {
        Some(long) => Err(Problem::Argument(format!(
            "{FUNCTION}: option '{name}' must be at most {MAX_KEY} bytes long, {} given; a hash of the key will do",
            long.len()
        ))),
        None => Ok(key),
    }
}

/// The last event id in the request: from the header that an EventSource sends when it reconnects, or from a query
/// parameter that a page sets for its first connection.
fn of_request() -> Option<String> {
    let header = variables::of_server("HTTP_LAST_EVENT_ID");
    header.or_else(|| variables::of_query("lastEventId")).filter(|id| !id.is_empty())
}

/// The options that need a callback.
struct OfRender<'a> {
    event: Option<&'a str>,
    initial: Option<bool>,
    only_changes: Option<bool>,
    poll: Option<f64>,
    share: Option<&'a str>,
}

impl<'a> OfRender<'a> {
    fn new(options: &mut Options<'a>) -> Result<Self, Problem> {
        let event = options.text("event")?;
        let initial = options.boolean("initial")?;
        let only_changes = options.boolean("only_changes")?;
        let poll = options.seconds("poll")?;
        if let Some(seconds) = poll.filter(|seconds| !POLL.contains(seconds)) {
            return Err(Problem::Argument(format!(
                "{FUNCTION}: option 'poll' must be from {} to {} seconds, {seconds} given; null for none",
                POLL.start(),
                POLL.end()
            )));
        }
        let share = key(options, "share")?;
        Ok(Self { event, initial, only_changes, poll, share })
    }

    /// The name of an option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            (self.event.is_some(), "event"),
            (self.initial.is_some(), "initial"),
            (self.only_changes.is_some(), "only_changes"),
            (self.poll.is_some(), "poll"),
            (self.share.is_some(), "share"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }
}
