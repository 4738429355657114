//! Reads arguments of union types, and options.

use ext_php_rs::types::{ZendHashTable, Zval};
use sse_protocol::event::MAX_SPREAD;
use sse_protocol::topic;

use super::exceptions::Problem;
use crate::ini;
use crate::php::arguments::{self as coerced, ArrayKey, Unfit, entries, values};
use crate::php::engine::{Argument, ArrayArgument, Engine, Value};
use crate::php::zend::{type_name, value_name};
use crate::response;

/// A parameter, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The function, as PHP's messages name it.
    pub function: &'static str,
    /// Its position, from 1.
    pub position: u32,
    /// Its name, with the dollar sign. Empty for one of a variadic parameter, as in PHP's messages.
    pub name: &'static str,
    /// Its type.
    pub expected: &'static str,
}

impl Parameter {
    fn unfit(self, value: &str, why: Unfit) -> Problem {
        let Self { function, position, name, expected } = self;
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        match why {
            Unfit::Interrupted => Problem::Pending,
            Unfit::Type => {
                Problem::Type(format!("{function}: Argument #{position}{name} must be {expected}, {value} given"))
            }
        }
    }

    /// Reads text, converted as for PHP's own functions.
    ///
    /// # Errors
    /// `Type` for what PHP does not convert, worded as PHP does; `Argument` for invalid UTF-8; `Pending`.
    pub fn text(self, engine: &mut Engine, value: Value) -> Result<String, Problem> {
        let given = value_name(value.look(engine));
        let text = coerced::string(engine, value, self.position).map_err(|why| self.unfit(&given, why))?;
        match text.look(engine).str() {
            Some(text) => Ok(text.to_owned()),
            None if self.name == TOPICS => {
                Err(Problem::Argument(format!("{}: a topic must be valid UTF-8", self.function)))
            }
            None => Err(Problem::Argument(format!("{}: {} must be valid UTF-8", self.function, self.name))),
        }
    }

    /// As [`text`](Self::text), or `None` for null.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn optional_text(self, engine: &mut Engine, value: Option<Value>) -> Result<Option<String>, Problem> {
        let given = value.filter(|value| !value.look(engine).is_null());
        given.map(|value| self.text(engine, value)).transpose()
    }

    /// Reads an integer, converted as for PHP's own functions, or `None` for null.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn optional_number(self, engine: &mut Engine, value: Option<Value>) -> Result<Option<i64>, Problem> {
        let Some(value) = value.filter(|value| !value.look(engine).is_null()) else { return Ok(None) };
        let given = value_name(value.look(engine));
        coerced::number(engine, value, self.position).map(Some).map_err(|why| self.unfit(&given, why))
    }

    /// Reads a truth value, converted as for PHP's own functions; false where it was left out.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn flag(self, engine: &mut Engine, value: Option<Value>) -> Result<bool, Problem> {
        let Some(value) = value else { return Ok(false) };
        let given = value_name(value.look(engine));
        coerced::boolean(engine, value, self.position).map_err(|why| self.unfit(&given, why))
    }
}

impl Parameter {
    /// Reads a list of patterns; none where it is missing.
    ///
    /// # Errors
    /// `Type` for what is no array of strings, `Argument` for an invalid pattern or too many.
    pub fn patterns(self, engine: &mut Engine, value: Option<Value>) -> Result<Vec<String>, Problem> {
        let Some(value) = value else { return Ok(Vec::new()) };
        let Some(table) = value.look(engine).array() else {
            return Err(self.unfit(&value_name(value.look(engine)), Unfit::Type));
        };
        let (count, limit) = (table.len(), ini::max_topics()?);
        if count > limit {
            let Self { function, name, .. } = self;
            return Err(Problem::Argument(format!(
                "{function}: {count} topics given as {name}; sse.max_topics allows {limit}"
            )));
        }
        // Held one by one: the conversion of one may change the others.
        let items: Vec<Value> = values(table).map(Value::of).collect();
        let parameter = Self { expected: "an array of strings", ..self };
        let patterns: Vec<String> =
            items.into_iter().map(|item| parameter.text(engine, item)).collect::<Result<_, _>>()?;
        topic::check_patterns(&borrowed(&patterns), limit)?;
        Ok(patterns)
    }
}

const TOPICS: &str = "$topics";

/// Reads `string|array $topics`.
///
/// # Errors
/// As [`Parameter::text`]; `Argument` for an empty array.
pub fn strings(engine: &mut Engine, function: &'static str, value: Argument<'_>) -> Result<Vec<String>, Problem> {
    let parameter = Parameter { function, position: 1, name: TOPICS, expected: "of type array|string" };
    let Some(table) = value.look(engine).array() else { return Ok(vec![parameter.text(engine, value.hold())?]) };
    if table.is_empty() {
        return Err(Problem::Argument(format!("{function}: no topic given; name at least one")));
    }
    let parameter = Parameter { expected: "an array of strings", ..parameter };
    // Held one by one: the conversion of one may change the others.
    let items: Vec<Value> = values(table).map(Value::of).collect();
    items.into_iter().map(|item| parameter.text(engine, item)).collect()
}

/// The first key of an array that is a name and no number.
pub fn first_name(table: &ZendHashTable) -> Option<String> {
    entries(table).find_map(|(key, _)| match key {
        name @ ArrayKey::Bytes(_) => Some(name.into_text()),
        ArrayKey::Number(_) => None,
    })
}

/// Reads topics or patterns to watch.
///
/// # Errors
/// As [`strings`], and `Argument` for an invalid pattern.
pub fn patterns(engine: &mut Engine, function: &'static str, value: Argument<'_>) -> Result<Vec<String>, Problem> {
    let patterns = strings(engine, function, value)?;
    let (count, limit) = (patterns.len(), ini::max_topics()?);
    if count > limit {
        return Err(Problem::Argument(format!("{function}: {count} topics given; sse.max_topics allows {limit}")));
    }
    topic::check_patterns(&borrowed(&patterns), limit)?;
    Ok(patterns)
}

/// Checks a reconnection time that a call names.
///
/// # Errors
/// `Argument` if it is out of range.
pub fn retry(function: &str, retry: Option<i64>) -> Result<Option<u32>, Problem> {
    let limit = ini::MAX_RETRY;
    let retry = retry.map(|ms| u32::try_from(ms).ok().filter(|ms| *ms <= limit).ok_or(ms)).transpose();
    retry.map_err(|ms| {
        Problem::Argument(format!("{function}: $retry must be from 0 to {limit} milliseconds, {ms} given"))
    })
}

/// Checks the time over which clients are spread, in milliseconds.
///
/// # Errors
/// `Argument` if it is out of range.
pub fn spread(function: &str, spread: Option<i64>) -> Result<u32, Problem> {
    let ms = spread.unwrap_or(0);
    u32::try_from(ms).ok().filter(|ms| *ms <= MAX_SPREAD).ok_or_else(|| {
        Problem::Argument(format!("{function}: $spread must be from 0 to {MAX_SPREAD} milliseconds, {ms} given"))
    })
}

/// Borrows texts for a wire message.
pub fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn text(value: &Zval) -> Option<&str> {
    value.zend_str().and_then(|text| std::str::from_utf8(text.as_bytes()).ok())
}

/// Who is present, as an option names them.
#[derive(Debug)]
pub struct MemberOption {
    /// Not empty.
    pub id: String,
    /// Any PHP value.
    pub info: Option<Value>,
}

/// Options by name. The caller must take every key; a key that is left over is an error. Read all options before PHP code
/// runs that could change them.
pub struct Options<'a> {
    function: &'static str,
    left: Vec<(String, &'a Zval)>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// Wraps the options of a call.
    pub fn new(engine: &'a Engine, function: &'static str, table: Option<ArrayArgument<'a>>) -> Self {
        let table = table.map(|table| table.look(engine));
        let left = table.map(|table| entries(table).map(|(key, value)| (key.into_text(), value)).collect());
        Self { function, left: left.unwrap_or_default(), known: Vec::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Zval> {
        self.known.push(name);
        let at = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.swap_remove(at).1)
    }

    fn wrong<T>(&self, name: &str, expected: &str, value: &Zval) -> Result<T, Problem> {
        let shown = match value.long() {
            Some(number) => number.to_string(),
            None => type_name(value).into(),
        };
        Err(Problem::Argument(format!("{}: option '{name}' must be {expected}, {shown} given", self.function)))
    }

    /// Takes an integer from 0 to `max`.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn number(&mut self, name: &'static str, unit: &str, max: u32) -> Result<Option<u32>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.long().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= max && value.is_long()) {
            Some(number) => Ok(Some(number)),
            None => self.wrong(name, &format!("an int from 0 to {max} ({unit})"), value),
        }
    }

    /// Takes seconds, possibly fractional. `None` for null.
    ///
    /// # Errors
    /// `Argument` for anything but a number of seconds from 0.
    pub fn seconds(&mut self, name: &'static str) -> Result<Option<f64>, Problem> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else { return Ok(None) };
        #[allow(clippy::cast_precision_loss)]
        let seconds = value.double().or_else(|| value.long().map(|n| n as f64));
        match seconds.filter(|s| (0.0..=1e9).contains(s)) {
            Some(seconds) => Ok(Some(seconds)),
            None => self.wrong(name, "a number of seconds from 0", value),
        }
    }

    /// Takes a non-empty text.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match text(value).filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(text)),
            None => self.wrong(name, "a string of UTF-8 that is not empty", value),
        }
    }

    /// Takes one of two words. `None` for null.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn choice<T>(&mut self, name: &'static str, words: [(&str, T); 2]) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let expected = format!("'{}' or '{}', or null for neither", words[0].0, words[1].0);
        match words.into_iter().find(|(word, _)| text(value) == Some(word)) {
            Some((_, meaning)) => Ok(Some(meaning)),
            None => match text(value) {
                Some(other) => Err(Problem::Argument(format!(
                    "{}: option '{name}' must be {expected}, '{}' given",
                    self.function,
                    topic::shortened(other)
                ))),
                None => self.wrong(name, &expected, value),
            },
        }
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.bool() {
            Some(value) => Ok(Some(value)),
            None => self.wrong(name, "a bool", value),
        }
    }

    /// Takes the name of a header, or true for the usual one.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn header_name(&mut self, name: &'static str, usual: &'a str) -> Result<Option<&'a str>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match (value.bool(), text(value)) {
            (Some(wanted), _) => Ok(wanted.then_some(usual)),
            (None, Some(other)) if is_header_name(other) && !response::is_fixed(other) => Ok(Some(other)),
            _ => self.wrong(name, "a bool, or the name of a header", value),
        }
    }

    /// Takes a member: an array with an `id`, and `info` of any kind. `None` for null.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn member(&mut self, name: &'static str) -> Result<Option<MemberOption>, Problem> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let Some(table) = value.array() else {
            return self.wrong(name, "an array ['id' => …, 'info' => …]", value);
        };
        let (mut id, mut info) = (None, None);
        for (key, value) in entries(table) {
            match &*key.into_text() {
                "id" => id = Some(value),
                "info" => info = Some(Value::of(value)),
                other => {
                    return Err(Problem::Argument(format!(
                        "{}: option '{name}': unknown key '{}'; known are: id, info",
                        self.function,
                        topic::shortened(other)
                    )));
                }
            }
        }
        let number = id.and_then(|id| id.is_long().then(|| id.long()).flatten()).map(|number| number.to_string());
        match number.or_else(|| id.and_then(text).filter(|id| !id.is_empty()).map(str::to_owned)) {
            Some(id) => Ok(Some(MemberOption { id, info })),
            None => Err(Problem::Argument(format!(
                "{}: option '{name}' must have an 'id': an int, or a string of UTF-8 that is not empty",
                self.function
            ))),
        }
    }

    /// Takes response headers by name, as header lines.
    ///
    /// # Errors
    /// `Argument` for anything but an array of strings that form valid headers.
    pub fn headers(&mut self, name: &'static str) -> Result<Vec<String>, Problem> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let Some(table) = value.array() else { return self.wrong(name, "an array of header names and values", value) };
        let mut lines = Vec::new();
        for (key, value) in entries(table) {
            if matches!(key, ArrayKey::Number(_)) {
                let function = self.function;
                let message = format!(
                    "{function}: option '{name}' must be an array of name => value, such as ['X-A' => 'b']; a list was given"
                );
                return Err(Problem::Argument(message));
            }
            let key = key.into_text();
            if response::is_fixed(&key) {
                let function = self.function;
                let message = format!("{function}: option '{name}': '{key}' of an event stream can't be chosen");
                return Err(Problem::Argument(message));
            }
            let token = is_header_name(&key);
            let text = text(value).filter(|text| !text.contains(['\r', '\n', '\0']));
            match (token, text) {
                (true, Some(text)) => lines.push(format!("{key}: {text}")),
                _ => {
                    return Err(Problem::Argument(format!(
                        "{}: option '{name}': '{}' is not a header name with a one-line string value",
                        self.function,
                        topic::shortened(&key)
                    )));
                }
            }
        }
        Ok(lines)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `Argument` if an option was given that the caller did not take.
    pub fn finish(self) -> Result<(), Problem> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) => Err(Problem::Argument(format!(
                "{}: unknown option '{}'; known are: {}",
                self.function,
                topic::shortened(key),
                self.known.join(", ")
            ))),
        }
    }
}

/// RFC 9110, 5.1: "field-name = token".
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
