//! Checks that several kinds share.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::fmt::Display;

use super::Refusal;
use crate::selector::{Operator, Selector};

/// A refusal of `field`.
pub(super) fn refusal(field: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal { field: field.into(), message: message.into() }
}

/// Refuses every entry of `list` that stands there before.
pub(super) fn duplicates<T: Ord + Display>(field: &str, list: &[T], refusals: &mut Vec<Refusal>) {
    let mut seen = BTreeSet::new();
    for (index, entry) in list.iter().enumerate() {
        if !seen.insert(entry) {
            refusals
                .push(refusal(format!("{field}[{index}]"), format!("{entry} is listed twice: remove one")));
        }
    }
}

/// Refuses selectors that stand there before, and selectors that repeat themselves.
pub(super) fn selectors(field: &str, list: &[Selector], refusals: &mut Vec<Refusal>) {
    let mut seen = BTreeSet::new();
    for (index, entry) in list.iter().enumerate() {
        let field = format!("{field}[{index}]");
        selector(&field, entry, refusals);
        if !seen.insert(normal(entry)) {
            refusals.push(refusal(field, "the same selector is listed twice: remove one"));
        }
    }
}

/// Refuses a selector that repeats itself or compares with an empty list.
pub(super) fn selector(field: &str, selector: &Selector, refusals: &mut Vec<Refusal>) {
    let mut seen = BTreeSet::new();
    for requirement in &selector.requirements {
        let key = &requirement.key;
        if key.is_empty() {
            refusals.push(refusal(field, "the key of a label is empty"));
        }
        if !seen.insert(requirement) {
            refusals.push(refusal(field, format!("the same requirement on label {key:?} is listed twice")));
        }
        if let Operator::In(values) | Operator::NotIn(values) = &requirement.operator {
            if values.is_empty() {
                refusals.push(refusal(field, format!("the requirement on label {key:?} has no values")));
            }
            if let Some(value) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
                let message = format!("the requirement on label {key:?} lists the value {:?} twice", value.1);
                refusals.push(refusal(field, message));
            }
        }
    }
}

/// Whether two lists have the same selectors, in whatever order.
pub(super) fn same_selectors(one: &[Selector], other: &[Selector]) -> bool {
    let set = |list: &[Selector]| list.iter().map(normal).collect::<BTreeSet<_>>();
    set(one) == set(other)
}

/// The selector with its parts in order, so that equal ones compare equal.
fn normal(selector: &Selector) -> Selector {
    let mut selector = selector.clone();
    for requirement in &mut selector.requirements {
        if let Operator::In(values) | Operator::NotIn(values) = &mut requirement.operator {
            values.sort();
        }
    }
    selector.requirements.sort();
    selector
}
