//! The variables of conditions, converted once for all conditions of a policy, without copying the
//! claims.

use std::{collections::HashMap, sync::Arc, sync::LazyLock};

use cel::{
    Context, Env, ExecutionError, FunctionContext,
    common::{
        types::{
            CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
        },
        value::Val,
    },
};
use serde_json::{Map, Number, Value};

use super::{Patterns, syntax::MATCHES};
use crate::policy::{Ask, Person};

/// Largest number of elements in a list claim, and of entries in an object claim.
pub(crate) const MAX_LIST: usize = 512;

/// Largest number of values in all claims together.
pub(crate) const MAX_VALUES: usize = 8192;

/// Deepest nesting of claims.
pub(crate) const MAX_DEPTH: usize = 16;

/// CEL's functions and types, shared by all conditions.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The variables of a condition.
pub(crate) struct EvalContext<'a> {
    context: Context<'a, 'a>,
}

impl<'a> EvalContext<'a> {
    /// Converts the claims and one ask.
    ///
    /// # Errors
    /// Returns the reason if the claims are too large to be evaluated in bounded time.
    pub(crate) fn new(
        person: Person<'a>,
        ask: &'a Ask,
        patterns: &Arc<Patterns>,
    ) -> Result<Self, String> {
        let mut values = MAX_VALUES;
        let claims = object(person.claims, MAX_DEPTH, &mut values)?;
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.add_variable_as_val("claims", claims);
        context.add_variable_as_val("issuer", text(person.issuer));
        context.add_variable_as_val("subject", text(person.subject));
        context.add_variable_as_val("ask", asked(ask));
        if !patterns.is_empty() {
            let patterns = Arc::clone(patterns);
            // The name cannot clash: it is not an identifier, so the language never declares it.
            let _ = context.add_function(MATCHES, move |call: &FunctionContext<'_, '_>| {
                matches(&patterns, call)
            });
        }
        Ok(Self { context })
    }

    /// Changes to another ask by the same person.
    pub(crate) fn ask(&mut self, ask: &'a Ask) {
        self.context.add_variable_as_val("ask", asked(ask));
    }

    pub(super) fn context(&self) -> &Context<'a, 'a> {
        &self.context
    }
}

/// `text.matches(pattern)`, with patterns that were compiled at load.
fn matches(patterns: &Patterns, call: &FunctionContext<'_, '_>) -> Result<bool, ExecutionError> {
    let subject = call
        .this
        .as_ref()
        .and_then(|this| this.downcast_ref::<CelString<'_>>());
    let pattern = call
        .args
        .first()
        .and_then(|pattern| pattern.downcast_ref::<CelString<'_>>());
    match (
        subject,
        pattern.and_then(|pattern| patterns.get(pattern.inner())),
    ) {
        (Some(subject), Some(regex)) => Ok(regex.is_match(subject.inner())),
        _ => Err(ExecutionError::function_error(
            "matches",
            "it works on strings only",
        )),
    }
}

type Converted<'a> = Box<dyn Val + 'a>;

fn asked(ask: &Ask) -> Converted<'_> {
    let params = ask
        .params
        .iter()
        .map(|(name, value)| (CelMapKey::from(name.as_str()), text(value)));
    let mut fields: HashMap<CelMapKey<'_>, Converted<'_>> = HashMap::from([
        (CelMapKey::from("role"), text(&ask.role)),
        (CelMapKey::from("params"), map(params.collect())),
    ]);
    if let Some(host) = &ask.host {
        fields.insert(CelMapKey::from("host"), text(host));
    }
    if let Some(reason) = &ask.reason {
        fields.insert(CelMapKey::from("reason"), text(reason));
    }
    map(fields)
}

fn convert<'a>(value: &'a Value, depth: usize, left: &mut usize) -> Result<Converted<'a>, String> {
    match value {
        Value::Null => Ok(Box::new(CelNull)),
        Value::Bool(value) => Ok(Box::new(CelBool::from(*value))),
        Value::Number(value) => Ok(number(value)),
        Value::String(value) => Ok(text(value)),
        Value::Array(values) => list(values, depth, left),
        Value::Object(entries) => object(entries, depth, left),
    }
}

fn text(value: &str) -> Converted<'_> {
    Box::new(CelString::from(value))
}

fn map<'a>(entries: HashMap<CelMapKey<'a>, Converted<'a>>) -> Converted<'a> {
    Box::new(CelMap::from(entries))
}

fn number<'a>(value: &Number) -> Converted<'a> {
    if let Some(value) = value.as_i64() {
        Box::new(CelInt::from(value))
    } else if let Some(value) = value.as_u64() {
        Box::new(CelUInt::from(value))
    } else {
        Box::new(CelDouble::from(value.as_f64().unwrap_or(f64::NAN)))
    }
}

fn list<'a>(values: &'a [Value], depth: usize, left: &mut usize) -> Result<Converted<'a>, String> {
    let depth = bound(values.len(), depth, left)?;
    let values: Vec<Converted<'a>> = values
        .iter()
        .map(|value| convert(value, depth, left))
        .collect::<Result<_, _>>()?;
    Ok(Box::new(CelList::from(values)))
}

fn object<'a>(
    entries: &'a Map<String, Value>,
    depth: usize,
    left: &mut usize,
) -> Result<Converted<'a>, String> {
    let depth = bound(entries.len(), depth, left)?;
    let entries = entries
        .iter()
        .map(|(name, value)| Ok((CelMapKey::from(name.as_str()), convert(value, depth, left)?)))
        .collect::<Result<_, String>>()?;
    Ok(map(entries))
}

/// Subtracts `count` values from the remaining budget.
fn bound(count: usize, depth: usize, left: &mut usize) -> Result<usize, String> {
    if count > MAX_LIST {
        return Err(format!(
            "a claim has {count} entries, and at most {MAX_LIST} are allowed"
        ));
    }
    *left = left
        .checked_sub(count)
        .ok_or_else(|| format!("the claims hold more than {MAX_VALUES} values"))?;
    depth
        .checked_sub(1)
        .ok_or_else(|| format!("the claims nest deeper than {MAX_DEPTH}"))
}
