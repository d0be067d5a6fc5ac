//! What is wanted, as the peers of one group see it.

use alloc::{borrow::Cow, sync::Arc};

use ipnet::IpNet;

use super::{
    export::{Export, family},
    route::Route,
    table::{AudienceId, Entry, Table, View},
};
use crate::wire::Families;

/// Which of the routes peers are told, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) export: Export,
    pub(super) view: View,
}

/// A scope of a table.
pub(super) struct Wanted<'a, P> {
    pub(super) table: &'a Table<P>,
    pub(super) scope: &'a Scope,
}

impl Scope {
    /// Routes of this audience count, too.
    pub(super) fn see(&mut self, audience: AudienceId) {
        if let Err(place) = self.view.binary_search(&audience) {
            self.view.insert(place, audience);
        }
    }

    /// What peers are to be told of a prefix with these routes.
    pub(super) fn route<'a>(&self, prefix: IpNet, entry: &'a Entry) -> Option<Cow<'a, Arc<Route>>> {
        if !self.export.takes(prefix) {
            return None;
        }
        entry.route(&self.view).filter(|route| self.export.said(route, family(prefix)).is_some())
    }
}

impl<'a, P: Ord + Clone> Wanted<'a, P> {
    pub(super) fn route(&self, prefix: IpNet) -> Option<Arc<Route>> {
        let entry = self.table.get(&prefix)?;
        self.scope.route(prefix, entry).map(Cow::into_owned)
    }

    /// Everything, in order.
    pub(super) fn all(&self, families: Families) -> impl Iterator<Item = (IpNet, Cow<'a, Arc<Route>>)> {
        let scope = self.scope;
        let all = self.table.iter(families);
        all.filter_map(move |(prefix, entry)| scope.route(prefix, entry).map(|route| (prefix, route)))
    }

    /// Whether a withdrawal comes after announcements: traffic may have another way, by a prefix around or inside.
    pub(super) fn is_late(&self, prefix: IpNet) -> bool {
        self.table.overlaps(prefix, |prefix, entry| self.scope.route(prefix, entry).is_some())
    }
}
