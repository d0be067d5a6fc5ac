//! Prefixes to messages, each encoded when the first peer takes it and kept for the others.

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::cmp::Ordering;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    export::{Export, Said, family},
    route::Route,
};
use crate::wire::{Family, Packer, Safi, build::Encode, nlri};

/// A whole message that peers share.
pub type Shared = Arc<[u8]>;

/// What is to be told, in order: prefixes with equal attributes together, as few messages as hold them.
///
/// Where one message ends is decided when the first peer takes it; after that the pages keep their places, so that
/// the number of a page says what a peer has been told.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// By what is said and by family, withdrawals last.
    runs: Vec<Run>,
    pages: Vec<Page>,
    /// No longer to be told to those who have not been told yet.
    gone: BTreeSet<IpNet>,
}

/// Prefixes of which the same is said.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// None: they are withdrawn.
    pub(super) route: Option<Arc<Route>>,
    pub(super) prefixes: Prefixes,
}

/// Prefixes of one family in order.
#[derive(Clone, Debug)]
pub(super) enum Prefixes {
    V4(Vec<Ipv4Net>),
    V6(Vec<Ipv6Net>),
}

#[derive(Clone, Debug)]
struct Page {
    run: usize,
    start: usize,
    end: usize,
    /// None: not encoded since it changed.
    bytes: Option<Shared>,
}

/// What a page says.
pub(super) enum Told {
    /// A message.
    Message(Shared),
    /// Nothing any more.
    Nothing,
    /// There is no such page.
    End,
}

impl Prefixes {
    fn new(family: Family) -> Self {
        if family == Family::IPV4_UNICAST { Self::V4(Vec::new()) } else { Self::V6(Vec::new()) }
    }

    fn push(&mut self, prefix: IpNet) {
        match (self, prefix) {
            (Self::V4(list), IpNet::V4(prefix)) => list.push(prefix),
            (Self::V6(list), IpNet::V6(prefix)) => list.push(prefix),
            (Self::V4(_), IpNet::V6(_)) | (Self::V6(_), IpNet::V4(_)) => {}
        }
    }

    const fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::IPV4_UNICAST,
            Self::V6(_) => Family::IPV6_UNICAST,
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::V4(list) => list.len(),
            Self::V6(list) => list.len(),
        }
    }

    fn position(&self, prefix: IpNet) -> Option<usize> {
        match (self, prefix) {
            (Self::V4(list), IpNet::V4(prefix)) => list.binary_search(&prefix).ok(),
            (Self::V6(list), IpNet::V6(prefix)) => list.binary_search(&prefix).ok(),
            (Self::V4(_), IpNet::V6(_)) | (Self::V6(_), IpNet::V4(_)) => None,
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<IpNet> {
        match self {
            Self::V4(list) => list.get(index).copied().map(IpNet::V4),
            Self::V6(list) => list.get(index).copied().map(IpNet::V6),
        }
    }
}

impl Run {
    /// The prefix alone.
    pub(super) fn new(route: Option<Arc<Route>>, prefixes: impl IntoIterator<Item = IpNet>) -> Option<Self> {
        let mut prefixes = prefixes.into_iter();
        let first = prefixes.next()?;
        let mut list = Prefixes::new(family(first));
        list.push(first);
        prefixes.for_each(|prefix| list.push(prefix));
        Some(Self { route, prefixes: list })
    }

    /// As much of `start..end` as one message holds, without what is to be left out, and where it ends. No message:
    /// nothing is left of it.
    pub(super) fn encode(
        &self,
        start: usize,
        end: usize,
        export: &Export,
        leave_out: Option<&dyn Fn(IpNet) -> bool>,
        buffer: &mut [u8],
    ) -> (Option<Shared>, usize) {
        let said = match &self.route {
            Some(route) => match export.said(route, self.prefixes.family()) {
                Some(said) => Some(said),
                None => return (None, end),
            },
            None => None,
        };
        match &self.prefixes {
            Prefixes::V4(list) => pack(list, start, end, said, export, leave_out, buffer),
            Prefixes::V6(list) => pack(list, start, end, said, export, leave_out, buffer),
        }
    }
}

impl Pages {
    /// All of them announced or withdrawn, those with equal attributes together. Prefixes come in order.
    pub(super) fn new<'a>(
        export: &Export,
        prefixes: impl IntoIterator<Item = (IpNet, Option<Cow<'a, Arc<Route>>>)>,
    ) -> Self {
        let mut sorter = Sorter::new();
        for (prefix, route) in prefixes {
            sorter.put(export, prefix, route.as_deref());
        }
        sorter.pages()
    }

    /// The same for two streams at once: those of the first one, and those of the second one.
    pub(super) fn sort<'a>(
        export: &Export,
        prefixes: impl IntoIterator<Item = (usize, IpNet, Option<&'a Arc<Route>>)>,
    ) -> [Self; 2] {
        let mut sorters = [Sorter::new(), Sorter::new()];
        for (stream, prefix, route) in prefixes {
            sorters[stream].put(export, prefix, route);
        }
        sorters.map(Sorter::pages)
    }

    /// The page of a prefix that is told this; pages that nobody has taken yet share one number. `None` when it is on
    /// none, or gone.
    pub(super) fn page_of(
        &self,
        prefix: IpNet,
        route: Option<&Arc<Route>>,
        export: &Export,
    ) -> Option<usize> {
        if self.gone.contains(&prefix) {
            return None;
        }
        let wanted = order(route.map(|route| &**route), family(prefix), export);
        let of = |run: &Run| order(run.route.as_deref(), run.prefixes.family(), export).cmp(&wanted);
        let run = self.runs.binary_search_by(of).ok()?;
        let index = self.runs.get(run)?.prefixes.position(prefix)?;
        let after = self.pages.partition_point(|page| (page.run, page.start) <= (run, index));
        let last = after
            .checked_sub(1)
            .filter(|last| self.pages.get(*last).is_some_and(|page| page.run == run && index < page.end));
        Some(last.unwrap_or(self.pages.len()))
    }

    /// Whether some prefix has been taken out.
    pub(super) fn is_stale(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Takes a prefix out, also when it is on no page: whether it was not out before.
    pub(super) fn remove(&mut self, prefix: IpNet, page: Option<usize>) -> bool {
        if let Some(page) = page.and_then(|page| self.pages.get_mut(page)) {
            page.bytes = None;
        }
        self.gone.insert(prefix)
    }

    /// What a page says. Pages are taken one after the other; any number of times.
    pub(super) fn take(&mut self, number: usize, export: &Export, buffer: &mut [u8]) -> Told {
        if number >= self.pages.len() && !self.cut(export, buffer) {
            return Told::End;
        }
        let Some(page) = self.pages.get_mut(number) else { return Told::End };
        if let Some(bytes) = &page.bytes {
            return Told::Message(Arc::clone(bytes));
        }
        let Some(run) = self.runs.get(page.run) else { return Told::End };
        let gone = |prefix| self.gone.contains(&prefix);
        page.bytes = run.encode(page.start, page.end, export, Some(&gone), buffer).0;
        page.bytes.clone().map_or(Told::Nothing, Told::Message)
    }

    /// What a page says to a peer that is to be told less.
    pub(super) fn take_without(
        &self,
        number: usize,
        export: &Export,
        leave_out: &dyn Fn(IpNet) -> bool,
        buffer: &mut [u8],
    ) -> Option<Shared> {
        let page = self.pages.get(number)?;
        let run = self.runs.get(page.run)?;
        let leave_out = |prefix| self.gone.contains(&prefix) || leave_out(prefix);
        run.encode(page.start, page.end, export, Some(&leave_out), buffer).0
    }

    /// The prefixes of a page, and what is said of them.
    pub(super) fn prefixes(
        &self,
        number: usize,
    ) -> Option<(Option<&Arc<Route>>, impl Iterator<Item = IpNet>)> {
        let page = self.pages.get(number)?;
        let run = self.runs.get(page.run)?;
        let prefixes = (page.start..page.end).filter_map(|index| run.prefixes.get(index));
        Some((run.route.as_ref(), prefixes.filter(|prefix| !self.gone.contains(prefix))))
    }

    /// Where the next page begins.
    fn next(&self) -> Option<(usize, usize)> {
        let (run, start) = self.pages.last().map_or((0, 0), |page| (page.run, page.end));
        match self.runs.get(run) {
            Some(this) if start < this.prefixes.len() => Some((run, start)),
            Some(_) if run + 1 < self.runs.len() => Some((run + 1, 0)),
            Some(_) | None => None,
        }
    }

    /// One page more, if there is anything left.
    fn cut(&mut self, export: &Export, buffer: &mut [u8]) -> bool {
        let Some((run, start)) = self.next() else { return false };
        let Some(this) = self.runs.get(run) else { return false };
        let gone = |prefix| self.gone.contains(&prefix);
        let leave_out: Option<&dyn Fn(IpNet) -> bool> = if self.gone.is_empty() { None } else { Some(&gone) };
        let (bytes, end) = this.encode(start, this.prefixes.len(), export, leave_out, buffer);
        self.pages.push(Page { run, start, end, bytes });
        true
    }
}

/// Sorts prefixes by what is said of them.
struct Sorter<'e> {
    runs: Vec<Run>,
    by_key: BTreeMap<Key<'e>, usize>,
    /// Neighbours mostly have the same route.
    last: Option<(Arc<Route>, Family, usize)>,
}

/// A route, compared by what is said of it.
struct Key<'e> {
    export: &'e Export,
    route: Option<Arc<Route>>,
    family: Family,
}

/// Withdrawals last, else by what is said of which family.
type Order<'a> = (bool, Option<Said<'a>>, Family);

fn order<'a>(route: Option<&'a Route>, family: Family, export: &Export) -> Order<'a> {
    (route.is_none(), route.and_then(|route| export.said(route, family)), family)
}

impl Key<'_> {
    fn order(&self) -> Order<'_> {
        order(self.route.as_deref(), self.family, self.export)
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Key<'_> {}

impl<'e> Sorter<'e> {
    const fn new() -> Self {
        Self { runs: Vec::new(), by_key: BTreeMap::new(), last: None }
    }

    fn put(&mut self, export: &'e Export, prefix: IpNet, route: Option<&Arc<Route>>) {
        let family = family(prefix);
        let same = self
            .last
            .as_ref()
            .filter(|(last, of, _)| *of == family && route.is_some_and(|route| Arc::ptr_eq(route, last)));
        let index = match same {
            Some((_, _, index)) => *index,
            None => {
                let next = self.runs.len();
                let key = Key { export, route: route.cloned(), family };
                let index = *self.by_key.entry(key).or_insert(next);
                if index == next {
                    self.runs.push(Run { route: route.cloned(), prefixes: Prefixes::new(family) });
                }
                self.last = route.map(|route| (Arc::clone(route), family, index));
                index
            }
        };
        if let Some(run) = self.runs.get_mut(index) {
            run.prefixes.push(prefix);
        }
    }

    fn pages(self) -> Pages {
        let mut runs: Vec<_> = self.runs.into_iter().map(Some).collect();
        let runs = self.by_key.into_values().filter_map(|index| runs.get_mut(index)?.take()).collect();
        Pages { runs, ..Pages::default() }
    }
}

/// See [`Run::encode`].
fn pack<const LONGEST: usize, P>(
    list: &[P],
    start: usize,
    end: usize,
    said: Option<Said<'_>>,
    export: &Export,
    leave_out: Option<&dyn Fn(IpNet) -> bool>,
    buffer: &mut [u8],
) -> (Option<Shared>, usize)
where
    P: Encode<Longest = [u8; LONGEST]> + nlri::Route<Prefix = P> + Copy + Ord + Into<IpNet>,
{
    let slice = list.get(start..end).unwrap_or_default();
    let written = match leave_out {
        None => write(slice.iter(), said, export, buffer),
        Some(leave_out) => {
            write(slice.iter().filter(|prefix| !leave_out((**prefix).into())), said, export, buffer)
        }
    };
    // All that a packer refuses was refused before there were routes; should it refuse, the page says nothing.
    let Some((len, left_over)) = written else { return (None, end) };
    let end = match left_over.and_then(|prefix| slice.binary_search(&prefix).ok()) {
        Some(index) => start + index,
        None => end,
    };
    (buffer.get(..len).filter(|bytes| !bytes.is_empty()).map(Arc::from), end)
}

/// One message; its length, 0 if there was nothing to say, and what it had no room for.
fn write<'a, const LONGEST: usize, P, I>(
    prefixes: I,
    said: Option<Said<'_>>,
    export: &Export,
    buffer: &mut [u8],
) -> Option<(usize, Option<P>)>
where
    P: Encode<Longest = [u8; LONGEST]> + nlri::Route<Prefix = P> + Copy + 'a,
    I: Iterator<Item = &'a P>,
{
    let mut packer = match said {
        Some(said) => {
            let attributes = export.attributes(&said);
            Packer::announce(&attributes, said.next_hop, Safi::UNICAST, prefixes, export.session())
        }
        None => Packer::withdraw(Safi::UNICAST, prefixes, export.session()),
    }
    .ok()?;
    let len = packer.write(buffer).ok()?.unwrap_or_default();
    Some((len, packer.left_over().map(|prefix| **prefix)))
}
