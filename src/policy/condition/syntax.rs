//! Checks of an expression: its size before it is parsed, then every name in it.

use cel::{
    Env,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr},
    parser::Expression,
};

use super::{Join, Patterns};
use crate::policy::pattern;

/// Largest expression, in bytes.
pub(crate) const MAX_SOURCE: usize = 2048;

/// Deepest nesting of brackets. The parser takes about 150 KiB of stack per bracket in a debug
/// build.
pub(crate) const MAX_BRACKETS: usize = 16;

/// Deepest parsed expression. The evaluator recurses once per level.
pub(crate) const MAX_DEPTH: usize = 48;

/// The internal name of `matches`, whose pattern is compiled at load instead of at each use.
pub(super) const MATCHES: &str = "@matches";

const VARIABLES: [&str; 4] = ["claims", "issuer", "subject", "ask"];
const ASK_FIELDS: [&str; 4] = ["role", "host", "params", "reason"];
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];
/// Functions that may be called, by name.
const FUNCTIONS: [&str; 25] = [
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "@in",
    "@not_strictly_false",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "string",
];

/// Parses and checks an expression.
///
/// # Errors
/// Returns a sentence for the policy's author.
pub(crate) fn compile(source: &str) -> Result<Compiled, String> {
    bound(source)?;
    let mut expression = Env::stdlib()
        .with_optional_support(false)
        .parser()
        .max_recursion_depth(64)
        .parse(source)
        .map_err(|errors| {
            let first = errors.errors.first().map(|error| error.msg.as_str());
            format!(
                "the condition is not valid CEL: {}",
                one_line(first.unwrap_or("it is empty"))
            )
        })?;
    let mut check = Check::default();
    check.expression(&mut expression, MAX_DEPTH)?;
    Ok(Compiled {
        expression,
        patterns: check.patterns,
        reads_ask: check.reads_ask,
    })
}

/// A checked expression and its needs.
pub(crate) struct Compiled {
    /// The expression.
    pub expression: Expression,
    /// The patterns of its `matches` calls.
    pub patterns: Patterns,
    /// Whether it reads `ask`. If not, its result for a person is the same for every ask.
    pub reads_ask: bool,
}

/// Refuses an expression that would cost the parser too much, by its text alone.
fn bound(source: &str) -> Result<(), String> {
    if source.trim().is_empty() {
        return Err(
            "the condition is empty; write `true` to allow everyone who signs in".to_owned(),
        );
    }
    if source.len() > MAX_SOURCE {
        return Err(format!(
            "the condition has {} bytes; shorten it to {MAX_SOURCE}",
            source.len()
        ));
    }
    let mut depth = 0_usize;
    let mut operators = 0_usize;
    for c in Outside::new(source) {
        match c.1 {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' | '!' | '-' => operators += 1,
            _ => {}
        }
        if depth > MAX_BRACKETS || operators > MAX_DEPTH {
            return Err(format!(
                "the condition nests too deep; use at most {MAX_BRACKETS} levels of brackets"
            ));
        }
    }
    Ok(())
}

/// A walk over an expression, with the names in scope.
#[derive(Default)]
struct Check {
    scope: Vec<String>,
    loops: usize,
    patterns: Patterns,
    reads_ask: bool,
}

impl Check {
    fn expression(&mut self, expression: &mut Expression, depth: usize) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or_else(|| {
            format!("the condition nests deeper than {MAX_DEPTH}; split it or use `in [...]`")
        })?;
        match &mut expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Call(call) => self.call(call, depth),
            Expr::Select(select) => self.select(select, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::List(list) => {
                let mut elements = list.elements.iter_mut();
                elements.try_for_each(|element| self.expression(element, depth))
            }
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.expression(&mut entry.key, depth)?;
                        self.expression(&mut entry.value, depth)
                    }
                    EntryExpr::StructField(_) => Err("a map has no fields".to_owned()),
                }),
            Expr::Struct(_) | Expr::Unspecified => {
                Err("the condition builds a message; compare claims with plain values".to_owned())
            }
        }
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        // No loop variable has this name.
        self.reads_ask |= name == "ask";
        let known = VARIABLES.contains(&name)
            || TYPES.contains(&name)
            || self.scope.iter().any(|inner| inner == name);
        if known {
            return Ok(());
        }
        Err(format!(
            "the condition names `{name}`; known are `claims`, `issuer`, `subject` and `ask`"
        ))
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), String> {
        if call.func_name == "matches" {
            self.matches(call)?;
        } else if !FUNCTIONS.contains(&call.func_name.as_str()) {
            return Err(format!(
                "the condition calls `{}`; known are size, contains, startsWith, endsWith, matches, has, all, exists, \
                 exists_one, filter, map, int and string",
                call.func_name
            ));
        }
        if let Some(target) = &mut call.target {
            self.expression(target, depth)?;
        }
        call.args
            .iter_mut()
            .try_for_each(|argument| self.expression(argument, depth))
    }

    /// Compiles the pattern of a `matches` call.
    fn matches(&mut self, call: &mut CallExpr) -> Result<(), String> {
        if call.target.is_none() && call.args.len() == 2 {
            call.target = Some(Box::new(call.args.remove(0)));
        }
        let [pattern] = call.args.as_slice() else {
            return Err("`matches` takes one pattern; write `text.matches('...')`".to_owned());
        };
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            return Err("`matches` takes a literal pattern, never one from a claim".to_owned());
        };
        let text = text.inner();
        self.patterns
            .insert(text.to_owned(), pattern::compile(text)?);
        call.func_name = MATCHES.to_owned();
        Ok(())
    }

    fn select(&mut self, select: &mut SelectExpr, depth: usize) -> Result<(), String> {
        let is_ask = matches!(&select.operand.expr, Expr::Ident(name) if name == "ask");
        if is_ask && !ASK_FIELDS.contains(&select.field.as_str()) {
            return Err(format!(
                "the condition names `ask.{}`; an ask has {}",
                select.field,
                ASK_FIELDS.join(", ")
            ));
        }
        self.expression(&mut select.operand, depth)
    }

    /// Checks a loop. A loop over claims must not contain another one: the work would be the
    /// product of their sizes.
    fn comprehension(&mut self, inner: &mut ComprehensionExpr, depth: usize) -> Result<(), String> {
        self.expression(&mut inner.iter_range, depth)?;
        self.expression(&mut inner.accu_init, depth)?;
        let counts = usize::from(!matches!(inner.iter_range.expr, Expr::List(_)));
        let names = [
            Some(&inner.iter_var),
            inner.iter_var2.as_ref(),
            Some(&inner.accu_var),
        ];
        let names: Vec<_> = names.into_iter().flatten().cloned().collect();
        if let Some(name) = names.iter().find(|name| VARIABLES.contains(&name.as_str())) {
            return Err(format!(
                "a loop variable is called `{name}`; choose another name"
            ));
        }
        self.loops += counts;
        if self.loops > 1 {
            return Err(
                "a loop over claims stands in another one; let one of them run over a list written out in the policy"
                    .to_owned(),
            );
        }
        let outer = self.scope.len();
        self.scope.extend(names);
        self.expression(&mut inner.loop_cond, depth)?;
        self.expression(&mut inner.loop_step, depth)?;
        self.expression(&mut inner.result, depth)?;
        self.scope.truncate(outer);
        self.loops -= counts;
        Ok(())
    }
}

/// The parts that `||`, or otherwise `&&`, joins at the top level.
pub(super) fn branches(source: &str) -> (Join, Vec<&str>) {
    let source = unwrap_brackets(source);
    for (join, operator) in [(Join::Any, "||"), (Join::All, "&&")] {
        let parts = split(source, operator);
        if parts.len() > 1 {
            return (join, parts);
        }
    }
    (Join::None, vec![source])
}

fn split<'a>(source: &'a str, operator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    for (at, c) in Outside::new(source) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            // A conditional binds more loosely than both operators, so its parts are not branches.
            '?' if depth == 0 => return vec![source],
            _ => {}
        }
        let here = source
            .get(at..)
            .is_some_and(|rest| rest.starts_with(operator));
        if depth == 0 && at >= from && here {
            parts.push(source.get(from..at).unwrap_or_default().trim());
            from = at + operator.len();
        }
    }
    parts.push(source.get(from..).unwrap_or_default().trim());
    parts
}

/// Removes outer brackets: `((x))` becomes `x`, but `(a) || (b)` stays.
fn unwrap_brackets(source: &str) -> &str {
    let source = source.trim();
    let inside = source
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(inside) = inside else { return source };
    let mut depth = 1_usize;
    for (_, c) in Outside::new(inside) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return source;
        }
    }
    unwrap_brackets(inside)
}

/// The characters of an expression outside its string literals.
struct Outside<'a> {
    characters: std::str::CharIndices<'a>,
    quote: Option<char>,
}

impl<'a> Outside<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            characters: source.char_indices(),
            quote: None,
        }
    }
}

impl Iterator for Outside<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, c) = self.characters.next()?;
            match (self.quote, c) {
                (Some(_), '\\') => {
                    self.characters.next();
                }
                (Some(quote), c) if c == quote => self.quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => self.quote = Some(c),
                (None, _) => return Some((at, c)),
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
