//! What the hub answers page by page, as one array.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::ZendHashTable;

use super::exceptions::Problem;
use crate::php::engine::Engine;
use crate::php::zend;

/// Entries that a call returns if it does not say.
const USUAL: i64 = 1000;

/// Most entries that a call returns.
const MOST: i64 = 1_000_000;

/// An array, with an empty one as default: `function::run` needs one when an exception is pending.
pub struct Table(pub ZBox<ZendHashTable>);

impl Default for Table {
    fn default() -> Self {
        Self(ZendHashTable::new())
    }
}

/// A page.
pub struct ReplyPage {
    /// The members of a JSON object, or the elements of an array, without its braces.
    pub json: String,
    count: u32,
    /// The last one's name, if more follow.
    pub last: Option<String>,
}

impl ReplyPage {
    /// A page of the hub's reply.
    pub fn new(json: &str, count: u32, last: Option<&str>) -> Self {
        Self { json: json.to_owned(), count, last: last.map(str::to_owned) }
    }
}

/// Checks how many entries a call is to return.
///
/// # Errors
/// `Argument` if it is out of range.
pub fn limit(function: &str, limit: Option<i64>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(USUAL);
    let checked = u32::try_from(limit).ok().filter(|_| (1..=MOST).contains(&limit));
    checked.ok_or_else(|| Problem::Argument(format!("{function}: $limit must be from 1 to {MOST}, {limit} given")))
}

/// Asks for pages of at most so many entries after one, up to `limit` entries; returns them as one page.
///
/// # Errors
/// Those of `ask`.
pub fn gather(
    after: Option<String>,
    limit: u32,
    mut ask: impl FnMut(Option<&str>, u32) -> Result<ReplyPage, Problem>,
) -> Result<ReplyPage, Problem> {
    let mut all = ReplyPage { json: String::new(), count: 0, last: after };
    loop {
        let ReplyPage { json, count, last } = ask(all.last.as_deref(), limit - all.count)?;
        if !all.json.is_empty() && !json.is_empty() {
            all.json.push(',');
        }
        all.json.push_str(&json);
        all.count = all.count.saturating_add(count);
        all.last = last;
        if all.last.is_none() || all.count >= limit {
            return Ok(all);
        }
    }
}

/// As [`gather`], for members of a JSON object. `what` they are is for messages; they have less than `depth` nested arrays.
///
/// # Errors
/// Those of `ask`, and if the answer makes no sense.
pub fn read(
    engine: &mut Engine,
    (what, depth): (&str, i64),
    after: Option<String>,
    limit: u32,
    ask: impl FnMut(Option<&str>, u32) -> Result<ReplyPage, Problem>,
) -> Result<Table, Problem> {
    let ReplyPage { json, .. } = gather(after, limit, ask)?;
    let decoded = zend::call(engine, "json_decode", &[&format!("{{{json}}}"), &true, &depth]);
    let decoded = decoded.map_err(|why| Problem::no_value("json_decode", why))?;
    let table = decoded.look(engine).array().map(ToOwned::to_owned);
    table.map(Table).ok_or_else(|| Problem::Other(format!("the hub's answer about {what} makes no sense")))
}
