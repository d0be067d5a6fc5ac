//! Finding what selects a Service without asking everything that could.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec,
    vec::Vec,
};
use core::iter;

use crate::selector::{Labels, Operator, Selector};

/// Entries by a feature that the Services they are for must have. That is necessary, not sufficient: what is
/// found has still to be asked.
#[derive(Clone, Debug)]
pub(super) struct Triggers<T> {
    by_namespace: BTreeMap<String, BTreeSet<T>>,
    by_namespace_label: ByLabel<T>,
    by_label: ByLabel<T>,
    anybody: BTreeSet<T>,
}

type ByLabel<T> = BTreeMap<String, BTreeMap<String, BTreeSet<T>>>;

/// A feature of a Service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trigger<'a> {
    Namespace(&'a str),
    NamespaceLabel(&'a str, &'a str),
    Label(&'a str, &'a str),
    Anybody,
}

/// A Service that looks for what selects it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) namespace: &'a str,
    pub(super) namespace_labels: &'a Labels,
    pub(super) labels: &'a Labels,
}

/// The features of which a Service must have one to be selected: in one of the namespaces, by name or by
/// label, unless there are neither; and with the labels, unless there are none.
pub(super) fn triggers<'a>(
    namespaces: &'a BTreeSet<String>,
    namespace_selectors: &'a [Selector],
    service_selectors: &'a [Selector],
) -> Vec<Trigger<'a>> {
    let (selectors, of): (_, fn(&'a str, &'a str) -> Trigger<'a>) =
        if namespaces.is_empty() && namespace_selectors.is_empty() {
            (service_selectors, Trigger::Label)
        } else {
            (namespace_selectors, Trigger::NamespaceLabel)
        };
    let mut triggers: Vec<_> = namespaces.iter().map(|name| Trigger::Namespace(name)).collect();
    for selector in selectors {
        let values = selector.requirements.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((&requirement.key, values)),
            _ => None,
        });
        match values {
            Some((key, values)) => triggers.extend(values.iter().map(|value| of(key, value))),
            None => return vec![Trigger::Anybody],
        }
    }
    if triggers.is_empty() { vec![Trigger::Anybody] } else { triggers }
}

impl<T: Clone + Ord> Triggers<T> {
    /// Adds an entry, or removes it.
    pub(super) fn set(&mut self, trigger: Trigger<'_>, entry: &T, present: bool) {
        match trigger {
            Trigger::Namespace(name) => put_under(&mut self.by_namespace, name, entry, present),
            Trigger::NamespaceLabel(key, value) => {
                put_by_label(&mut self.by_namespace_label, key, value, entry, present);
            }
            Trigger::Label(key, value) => put_by_label(&mut self.by_label, key, value, entry, present),
            Trigger::Anybody => put(&mut self.anybody, entry, present),
        }
    }

    /// The entries that may be for a Service, in order, each once.
    pub(super) fn find(&self, asking: Asking<'_>) -> impl Iterator<Item = &T> {
        let mut lists: Vec<_> = self.by_namespace.get(asking.namespace).into_iter().collect();
        for (map, labels) in
            [(&self.by_namespace_label, asking.namespace_labels), (&self.by_label, asking.labels)]
        {
            if !map.is_empty() {
                lists.extend(labels.iter().filter_map(|(key, value)| map.get(key)?.get(value)));
            }
        }
        lists.extend(Some(&self.anybody).filter(|list| !list.is_empty()));
        let mut lists: Vec<_> = lists.into_iter().map(|list| list.iter().peekable()).collect();
        iter::from_fn(move || {
            let next = lists.iter_mut().filter_map(|list| list.peek().copied()).min()?;
            for list in &mut lists {
                list.next_if_eq(&next);
            }
            Some(next)
        })
    }
}

impl<T> Default for Triggers<T> {
    fn default() -> Self {
        Self {
            by_namespace: BTreeMap::new(),
            by_namespace_label: BTreeMap::new(),
            by_label: BTreeMap::new(),
            anybody: BTreeSet::new(),
        }
    }
}

/// Adds an entry, or removes it.
pub(super) fn put<T: Clone + Ord>(set: &mut BTreeSet<T>, entry: &T, present: bool) {
    if present {
        set.insert(entry.clone());
    } else {
        set.remove(entry);
    }
}

fn put_under<T: Clone + Ord>(map: &mut BTreeMap<String, BTreeSet<T>>, name: &str, entry: &T, present: bool) {
    if let Some(set) = map.get_mut(name) {
        put(set, entry, present);
        if set.is_empty() {
            map.remove(name);
        }
    } else if present {
        map.insert(name.into(), BTreeSet::from([entry.clone()]));
    }
}

fn put_by_label<T: Clone + Ord>(map: &mut ByLabel<T>, key: &str, value: &str, entry: &T, present: bool) {
    if !map.contains_key(key) && present {
        map.insert(key.into(), BTreeMap::new());
    }
    let Some(values) = map.get_mut(key) else { return };
    put_under(values, value, entry, present);
    if values.is_empty() {
        map.remove(key);
    }
}
