//! Label selectors.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A Kubernetes label selector: all requirements must hold. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// What the labels must fulfil.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of its value.
    pub operator: Operator,
}

/// What a requirement asks of a label (the operators of `matchExpressions`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// The label is there with one of these values.
    In(Vec<String>),
    /// The label is absent, or has none of these values.
    NotIn(Vec<String>),
    /// The label is there, whatever its value.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl Selector {
    /// The selector that wants `key` to be `value`, as one entry of `matchLabels`.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        let operator = Operator::In(alloc::vec![value.into()]);
        Self { requirements: alloc::vec![Requirement { key: key.into(), operator }] }
    }

    /// Whether `labels` fulfil all requirements.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

/// Whether any of `selectors` matches; an empty list selects everything, as in MetalLB's resources.
#[must_use]
pub fn any_or_empty(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn each_operator_on_present_absent_and_other_value() {
        let labels = Labels::from([("zone".into(), "a".into())]);
        let of =
            |key: &str, operator| Selector { requirements: vec![Requirement { key: key.into(), operator }] };
        let values = || vec![String::from("a"), String::from("b")];
        assert!(of("zone", Operator::In(values())).matches(&labels));
        assert!(!of("rack", Operator::In(values())).matches(&labels));
        assert!(!of("zone", Operator::NotIn(values())).matches(&labels));
        assert!(of("rack", Operator::NotIn(values())).matches(&labels));
        assert!(of("zone", Operator::Exists).matches(&labels));
        assert!(!of("rack", Operator::Exists).matches(&labels));
        assert!(!of("zone", Operator::DoesNotExist).matches(&labels));
        assert!(of("rack", Operator::DoesNotExist).matches(&labels));
        assert!(Selector::default().matches(&labels));
    }

    #[test]
    fn an_empty_list_selects_everything() {
        assert!(any_or_empty(&[], &Labels::new()));
        assert!(!any_or_empty(&[Selector::label("zone", "a")], &Labels::new()));
    }
}
