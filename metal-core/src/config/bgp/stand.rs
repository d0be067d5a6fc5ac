//! What stands for being in force, of one kind.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

use super::Source;
use crate::{
    config::{ObjectRef, Refusal, kept},
    view::Created,
};

/// All that stands for being in force of one kind: `D` is what is valid by itself, `T` what is in force.
#[derive(Debug)]
pub(super) struct Stand<D, T> {
    entries: BTreeMap<Source, Entry<D, T>>,
}

#[derive(Debug)]
struct Entry<D, T> {
    created: Created,
    /// Its last version that was valid by itself.
    draft: Option<D>,
    /// What is wrong with its last version.
    refusals: Vec<Refusal>,
    in_force: Option<Arc<T>>,
    /// What keeps the draft from coming into force.
    obstacles: Vec<Refusal>,
}

impl<D, T> Default for Stand<D, T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<D, T: PartialEq> Stand<D, T> {
    /// Takes something as it is written now.
    pub(super) fn set(&mut self, source: Source, created: Created, judged: Result<D, Vec<Refusal>>) {
        let entry = self.entries.entry(source).or_insert_with(|| Entry {
            created,
            draft: None,
            refusals: Vec::new(),
            in_force: None,
            obstacles: Vec::new(),
        });
        entry.created = created;
        match judged {
            Ok(draft) => (entry.draft, entry.refusals) = (Some(draft), Vec::new()),
            Err(refusals) => entry.refusals = refusals,
        }
    }

    /// Forgets what `object` does not have any more: all but `sources`. Says whether there was such.
    pub(super) fn keep_only(&mut self, object: &ObjectRef, sources: &BTreeSet<Source>) -> bool {
        let own = self.entries.range(Source::whole(object)..);
        let own = own.take_while(|(source, _)| source.object == *object).map(|(source, _)| source);
        let gone: Vec<_> = own.filter(|source| !sources.contains(*source)).cloned().collect();
        for source in &gone {
            self.entries.remove(source);
        }
        !gone.is_empty()
    }

    /// Puts in force whatever can be, oldest first; only what is `among` these, if that is given. What is in force
    /// stays, as long as it is wanted. Answers with the objects of which something else is to be told now.
    pub(super) fn settle(
        &mut self,
        among: Option<&BTreeSet<ObjectRef>>,
        resolve: impl Fn(&D) -> Result<T, Vec<Refusal>>,
        clash: impl Fn(&T, &Source, &T) -> Option<Refusal>,
    ) -> BTreeSet<ObjectRef> {
        let mut told = BTreeSet::new();
        let mut contenders: BTreeMap<(Created, Source), T> = BTreeMap::new();
        for (source, entry) in &mut self.entries {
            let Some(draft) = &entry.draft else { continue };
            if among.is_some_and(|among| !among.contains(&source.object)) {
                continue;
            }
            let before = core::mem::take(&mut entry.obstacles);
            match resolve(draft) {
                Ok(value) if entry.in_force.as_deref() == Some(&value) => {}
                Ok(value) => drop(contenders.insert((entry.created, source.clone()), value)),
                Err(obstacles) => entry.obstacles = obstacles,
            }
            if entry.obstacles != before {
                told.insert(source.object.clone());
            }
        }
        'again: loop {
            for (created, source) in contenders.keys().cloned().collect::<Vec<_>>() {
                let contender = (created, source);
                let Some(value) = contenders.get(&contender) else { continue };
                let others = self.entries.iter().filter(|(other, _)| **other != contender.1);
                let mut others = others.filter_map(|(other, entry)| Some((other, entry.in_force.as_ref()?)));
                let obstacle = others.find_map(|(other, holder)| clash(value, other, holder));
                let Some(entry) = self.entries.get_mut(&contender.1) else { continue };
                told.insert(contender.1.object.clone());
                if let Some(obstacle) = obstacle {
                    entry.obstacles = Vec::from([obstacle]);
                    continue;
                }
                let was_in_force = entry.in_force.is_some();
                entry.in_force = contenders.remove(&contender).map(Arc::new);
                entry.obstacles.clear();
                if was_in_force {
                    // An older one may have waited for exactly this.
                    continue 'again;
                }
            }
            return told;
        }
    }

    /// What is in force.
    pub(super) fn in_force(&self) -> impl Iterator<Item = (&Source, &Arc<T>)> {
        self.entries.iter().filter_map(|(source, entry)| Some((source, entry.in_force.as_ref()?)))
    }

    /// Whether anything of `object` is in force.
    pub(super) fn has(&self, object: &ObjectRef) -> bool {
        self.of(object).any(|entry| entry.in_force.is_some())
    }

    /// What is wrong with `object`.
    pub(super) fn refusals(&self, object: &ObjectRef) -> impl Iterator<Item = Refusal> {
        self.of(object).flat_map(|entry| {
            let is_in_force = entry.in_force.is_some();
            let refusals = entry.refusals.iter().chain(&entry.obstacles);
            refusals.map(move |refusal| kept(refusal, is_in_force))
        })
    }

    fn of(&self, object: &ObjectRef) -> impl Iterator<Item = &Entry<D, T>> {
        let entries = self.entries.range(Source::whole(object)..);
        entries.take_while(move |(source, _)| source.object == *object).map(|(_, entry)| entry)
    }
}
