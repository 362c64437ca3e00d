//! Conditions in CEL over verified claims: `"oncall" in claims.groups`.
//!
//! A condition sees `claims`, `issuer`, `subject` and `ask` (`role`, `host`, `params`, `reason`; what was not asked is
//! absent, so `has(ask.host)` tells). All that is not plainly `true` is a refusal: an error, a missing claim, a value
//! that is no boolean. As everywhere in CEL, `a || b` holds when one side does, whatever the other's error.
//!
//! The evaluator recurses and has no budget of its own, so its work is bounded before it starts: the length, nesting
//! and loops of an expression when it is compiled ([`syntax`]), the size of claims when they are converted ([`eval_context`]).

pub mod eval_context;
mod patterns;
pub mod syntax;

use std::sync::{Arc, OnceLock};

use cel::{ExecutionError, Value, parser::Expression};
pub use eval_context::EvalContext;
pub use patterns::{Join, Patterns};

/// A compiled condition.
pub struct Condition {
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
    /// A sentence for the author of the policy.
    pub fn compile(source: &str) -> Result<Self, String> {
        let compiled = syntax::compile(source)?;
        Ok(Self {
            source: source.trim().to_owned(),
            expression: compiled.expression,
            patterns: compiled.patterns,
            reads_ask: compiled.reads_ask,
            branches: OnceLock::new(),
        })
    }

    /// As the policy file spells it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The patterns that [`EvalContext`] must know to evaluate it.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Whether it reads `ask`: if not, its answer for a person is the same for every ask.
    pub fn reads_ask(&self) -> bool {
        self.reads_ask
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why it has no answer: a missing claim, an operation on the wrong type, a result that is no boolean.
    pub fn evaluate(&self, eval_context: &EvalContext<'_>) -> Result<bool, String> {
        match Value::resolve(&self.expression, eval_context.context()) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gives a {}, not true or false", other.type_of())),
            Err(error) => Err(explain(&error)),
        }
    }

    /// The conditions that this one joins with a top-level `||`, or else with `&&`, to say which of them fails.
    /// They are compiled once, at the first use.
    pub fn branches(&self) -> (Join, &[Self]) {
        let (join, parts) = self.branches.get_or_init(|| {
            let (join, texts) = syntax::branches(&self.source);
            let parts = texts.iter().filter_map(|text| Self::compile(text).ok());
            (join, parts.collect())
        });
        (*join, parts)
    }
}

/// Unites the patterns of many conditions.
pub fn unite<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Arc<Patterns> {
    let patterns = conditions.flat_map(|condition| {
        condition
            .patterns
            .iter()
            .map(|(text, regex)| (text.clone(), regex.clone()))
    });
    Arc::new(patterns.collect())
}

/// The errors an author or a caller meets, in words.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("there is no `{name}`"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
