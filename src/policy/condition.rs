//! Conditions in CEL over verified claims: `"oncall" in claims.groups`.
//!
//! A condition sees `claims`, `issuer`, `subject` and `ask` (`role`, `host`, `params`, `reason`;
//! unset fields are absent, so `has(ask.host)` works). Any result except `true` refuses: an error,
//! a missing claim, a value that is not a boolean. As in CEL generally, `a || b` holds if one side
//! does, even if the other is an error.
//!
//! The evaluator recurses without a limit of its own, so its work is bounded in advance: length,
//! nesting and loops of an expression when it is compiled ([`syntax`]), the size of claims when
//! they are converted ([`eval_context`]).

pub(crate) mod eval_context;
mod patterns;
pub(crate) mod syntax;

use std::sync::{Arc, OnceLock};

use cel::{ExecutionError, Value, parser::Expression};
pub(crate) use eval_context::EvalContext;
pub(crate) use patterns::{Join, Patterns};

/// A compiled condition.
pub(crate) struct Condition {
    source: String,
    expression: Expression,
    patterns: Patterns,
    reads_ask: bool,
    branches: OnceLock<(Join, Vec<Condition>)>,
}

impl Condition {
    /// Compiles a condition and checks every name in it.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let compiled = syntax::compile(source)?;
        Ok(Self {
            source: source.trim().to_owned(),
            expression: compiled.expression,
            patterns: compiled.patterns,
            reads_ask: compiled.reads_ask,
            branches: OnceLock::new(),
        })
    }

    /// The source text, as in the policy file.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The patterns that an [`EvalContext`] needs to evaluate it.
    pub(crate) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Whether it reads `ask`. If not, its result for a person is the same for every ask.
    pub(crate) fn reads_ask(&self) -> bool {
        self.reads_ask
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Returns the reason if there is no result: a missing claim, an operation on the wrong type,
    /// or a result that is not a boolean.
    pub(crate) fn evaluate(&self, eval_context: &EvalContext<'_>) -> Result<bool, String> {
        match Value::resolve(&self.expression, eval_context.context()) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gives a {}, not true or false", other.type_of())),
            Err(error) => Err(explain(&error)),
        }
    }

    /// The conditions that this one joins with a top-level `||`, or otherwise `&&`, to report which
    /// of them fails. Compiled once, at first use.
    pub(crate) fn branches(&self) -> (Join, &[Self]) {
        let (join, parts) = self.branches.get_or_init(|| {
            let (join, texts) = syntax::branches(&self.source);
            let parts = texts.iter().filter_map(|text| Self::compile(text).ok());
            (join, parts.collect())
        });
        (*join, parts)
    }
}

/// Unites the patterns of many conditions.
pub(crate) fn unite<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Arc<Patterns> {
    let patterns = conditions.flat_map(|condition| {
        condition
            .patterns
            .iter()
            .map(|(text, regex)| (text.clone(), regex.clone()))
    });
    Arc::new(patterns.collect())
}

/// Words an evaluation error for the author or the caller.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("there is no `{name}`"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
