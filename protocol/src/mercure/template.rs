//! URI templates (RFC 6570), compiled to what they may expand to.
//!
//! A template matches a text if some values of its variables expand to that text: each may be undefined, a string, a list or pairs
//! of a name and a value. The length in `{var:3}` is not looked at.

use crate::mercure::pieces::{Naming, PieceVariable, SelectorPiece};
use crate::mercure::places::ByteSet;
use crate::mercure::{MAX_VARIABLES, MercureError};

/// A compiled template.
pub(super) struct Template {
    /// Bytes before its first expression.
    pub(super) prefix: usize,
    /// Bytes after its last one.
    pub(super) suffix: usize,
    /// What is in between.
    pub(super) pieces: Box<[SelectorPiece]>,
}

/// Compiles a text; `None` if it is no valid template with an expression.
pub(super) fn compile(text: &str) -> Option<Template> {
    let (prefix, suffix, expressions) = parse(text)?;
    Some(Template { prefix, suffix, pieces: compiled(&merged(expressions)) })
}

fn compiled(expressions: &[LiteralAndExpression<'_>]) -> Box<[SelectorPiece]> {
    let pieces = expressions.iter().flat_map(|(literal, expression)| {
        let literal = (!literal.is_empty()).then(|| SelectorPiece::Literal(literal.as_bytes().into()));
        literal.into_iter().chain([expression.piece()])
    });
    pieces.collect()
}

/// Checks the limits of a text that may be a template, without compiling it.
///
/// # Errors
/// The limit that is exceeded.
pub(super) fn check(text: &str) -> Result<(), MercureError> {
    let Some((_, _, expressions)) = parse(text) else { return Ok(()) };
    let variables: usize = expressions.iter().map(|(_, expression)| expression.variables.len()).sum();
    if variables > MAX_VARIABLES { Err(MercureError::Variables) } else { Ok(()) }
}

/// The same language in fewer expressions, so that templates that match the same are compared as one.
fn merged(expressions: Vec<LiteralAndExpression<'_>>) -> Vec<LiteralAndExpression<'_>> {
    let mut merged: Vec<LiteralAndExpression<'_>> = Vec::with_capacity(expressions.len());
    for (mut literal, mut expression) in expressions {
        expression.simplify();
        while literal.is_empty()
            && let Some(joined) = merged.last().and_then(|(_, before)| before.joined(&expression))
        {
            expression = joined;
            literal = merged.pop().map_or("", |(literal, _)| literal);
        }
        merged.push((literal, expression));
    }
    merged
}

type LiteralAndExpression<'a> = (&'a str, Expression<'a>);

/// The bytes before the first expression and after the last one, and the expressions, each with the literal before it; the first
/// one has none. `None` if the text is no template, or has no expression.
fn parse(text: &str) -> Option<(usize, usize, Vec<LiteralAndExpression<'_>>)> {
    let first = text.find('{')?;
    let mut rest = &text[first..];
    let mut expressions = Vec::new();
    while let Some((literal, after)) = rest.split_once('{') {
        let (expression, after) = after.split_once('}')?;
        expressions.push((is_literal(literal).then_some(literal)?, Expression::parse(expression)?));
        rest = after;
    }
    (is_literal(&text[..first]) && is_literal(rest)).then_some((first, rest.len(), expressions))
}

/// RFC 6570, 2.1: "The characters outside of expressions in a URI Template string are intended to be copied literally". The
/// apostrophe, which the RFC's grammar forgot, is one of them.
fn is_literal(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.char_indices().all(|(at, char)| match char {
        '%' => bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => false,
        char => !char.is_control(),
    })
}

/// An expression. RFC 6570, appendix A, has this table.
#[derive(Clone)]
struct Expression<'a> {
    /// What comes first, if any variable is defined.
    first: Option<u8>,
    separator: u8,
    naming: Naming,
    allowed: ByteSet,
    variables: Vec<Variable<'a>>,
}

#[derive(Clone)]
struct Variable<'a> {
    name: &'a str,
    /// Each item of a list or pair stands for itself.
    explode: bool,
}

impl<'a> Expression<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (first, separator, naming, allowed) = match text.as_bytes().first()? {
            b'+' => (None, b',', Naming::None, ByteSet::Reserved),
            b'#' => (Some(b'#'), b',', Naming::None, ByteSet::Reserved),
            b'.' => (Some(b'.'), b'.', Naming::None, ByteSet::Unreserved),
            b'/' => (Some(b'/'), b'/', Naming::None, ByteSet::Unreserved),
            b';' => (Some(b';'), b';', Naming::Parameter, ByteSet::Unreserved),
            b'?' => (Some(b'?'), b'&', Naming::Query, ByteSet::Unreserved),
            b'&' => (Some(b'&'), b'&', Naming::Query, ByteSet::Unreserved),
            _ => (None, b',', Naming::None, ByteSet::Unreserved),
        };
        let has_operator = first.is_some() || allowed == ByteSet::Reserved;
        let list = text.get(usize::from(has_operator)..)?;
        let variables = list.split(',').map(Variable::parse).collect::<Option<_>>()?;
        Some(Self { first, separator, naming, allowed, variables })
    }

    /// Leaves out variables without which it expands to the same texts.
    fn simplify(&mut self) {
        let exploded = self.variables.iter().any(|variable| variable.explode);
        match self.first {
            // The value of one variable may have all that is between several.
            _ if self.allowed == ByteSet::Reserved => self.variables.truncate(1),
            Some(b'.') if !exploded => self.variables.truncate(1),
            None => {
                self.variables.truncate(1);
                self.variables.iter_mut().for_each(|variable| variable.explode = exploded);
            }
            // Items of two lists in a row are items of one.
            Some(_) => self.variables.dedup_by(|next, variable| variable.explode && next.explode),
        }
        if self.allowed == ByteSet::Reserved {
            self.variables.iter_mut().for_each(|variable| variable.explode = false);
        }
    }

    /// The expression that expands to the same texts as this one and the next one, without a literal between them.
    fn joined(&self, next: &Self) -> Option<Self> {
        let plain = |one: &Self| one.variables.iter().all(|variable| !variable.explode);
        // It may be any text that a template expands to, and each expression may be nothing.
        let is_any = |one: &Self| one.allowed == ByteSet::Reserved && one.first.is_none();
        match (self.first, next.first) {
            _ if is_any(self) => Some(self.clone()),
            _ if is_any(next) => Some(next.clone()),
            (Some(b'#'), Some(b'#')) => Some(self.clone()),
            (None, None) | (Some(b'.'), Some(b'.')) if plain(self) && plain(next) => Some(self.clone()),
            (Some(b'/'), Some(b'/')) if plain(self) && plain(next) => {
                let variables = self.variables.iter().chain(&next.variables).cloned().collect();
                Some(Self { variables, ..self.clone() })
            }
            _ => None,
        }
    }
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, explode) = match (text.split_once(':'), text.strip_suffix('*')) {
            (Some((name, length)), _) => {
                let valid = (1..=4).contains(&length.len()) && length.bytes().all(|digit| digit.is_ascii_digit());
                (valid && !length.starts_with('0')).then_some((name, false))?
            }
            (None, Some(name)) => (name, true),
            (None, None) => (text, false),
        };
        let char = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '%');
        let valid = name.split('.').all(|part| !part.is_empty() && part.chars().all(char) && is_literal(part));
        valid.then_some(Self { name, explode })
    }
}

impl Expression<'_> {
    /// "for each variable … that is defined": any of them may be left out, and all.
    fn piece(&self) -> SelectorPiece {
        let Self { first, separator, naming, allowed, variables } = self;
        let explodes = variables.iter().any(|variable| variable.explode);
        let (separator, naming) = (*separator, *naming);
        match (allowed, *first) {
            // The values may have all that is between them.
            (ByteSet::Reserved, None) => SelectorPiece::Value(ByteSet::Reserved),
            (ByteSet::Reserved, Some(first)) => {
                SelectorPiece::Segments { separator: first, set: ByteSet::Reserved, most: 1 }
            }
            (_, None) if explodes => SelectorPiece::Items { separator, naming },
            (_, None) => SelectorPiece::Value(ByteSet::List),
            (_, Some(first)) if naming == Naming::None && !explodes => {
                let most = u8::try_from(variables.len()).unwrap_or(u8::MAX);
                SelectorPiece::Segments { separator: first, set: ByteSet::List, most }
            }
            (_, Some(first)) => {
                let variables = variables.iter().map(|variable| variable.piece(naming)).collect();
                SelectorPiece::Variables { first, separator, naming, variables }
            }
        }
    }
}

impl Variable<'_> {
    fn piece(&self, naming: Naming) -> PieceVariable {
        match naming {
            _ if self.explode => PieceVariable::Items,
            Naming::None => PieceVariable::Value,
            Naming::Parameter | Naming::Query => PieceVariable::Named(self.name.as_bytes().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mercure::pieces;
    use crate::mercure::places::TopicRows;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fewer_expressions_match_the_same(
            template in "(\\{[+#./;?&]?[ab]\\*?(,[ab]\\*?){0,2}\\}|[/a]){1,5}\\{a\\}",
            texts in proptest::collection::vec("[ab/.?&;=#,]{0,8}", 40),
        ) {
            let (_, _, expressions) = parse(&template).expect("a template");
            let (whole, short) = (compiled(&expressions), compiled(&merged(expressions)));
            for text in texts {
                let mut topic = TopicRows::default();
                topic.read(text.as_bytes());
                topic.prepare(true);
                let [whole, short] = [&whole, &short].map(|pieces| {
                    pieces::lead(pieces, &topic, (0, text.len()), &mut Vec::new()).0
                });
                prop_assert_eq!(whole, short, "{} {}", template, text);
            }
        }
    }
}
