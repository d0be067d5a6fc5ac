//! What is announced, shared by the tasks of all peers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metal_bgp::rib_out::{Input, RibOut};
use metal_core::Machine;
use tokio::sync::Notify;

use metal_net::clock::Clock;

/// A peer, by its name.
pub(crate) type Name = Arc<str>;

/// The machine, and who has a seat at it. Locked for the time of one call only.
#[derive(Debug)]
pub(crate) struct Rib {
    clock: Clock,
    state: Mutex<State>,
    /// Something has been put in.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    machine: RibOut<Name>,
    seats: BTreeMap<Name, Arc<Notify>>,
}

/// A peer's place. Who takes a seat of the same name later has it alone: the task of a peer that was removed may still
/// be saying goodbye while the same one is configured again.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    name: Name,
    woken: Arc<Notify>,
}

impl Seat {
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Waits until there may be something to say.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Rib {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new() }
    }

    /// A seat for a peer. Whoever had it has no session any more, as far as this is concerned.
    pub(crate) fn take_seat(&self, name: &Name) -> Seat {
        let woken = Arc::new(Notify::new());
        let mut state = self.lock();
        state.machine.handle_input(self.clock.now(), Input::Down { peer: name });
        state.seats.insert(name.clone(), woken.clone());
        Seat { name: name.clone(), woken }
    }

    /// The peer is gone.
    pub(crate) fn leave_seat(&self, seat: &Seat) {
        self.input_from(seat, Input::Down { peer: &seat.name });
        let mut state = self.lock();
        if state.is_taken_by(seat) {
            state.seats.remove(&seat.name);
        }
    }

    /// For all peers.
    pub(crate) fn input(&self, input: Input<'_, Name>) {
        self.lock().machine.handle_input(self.clock.now(), input);
        self.changed.notify_one();
    }

    /// The same for many at once, which takes no longer than it has to.
    pub(crate) fn inputs<'a>(&self, inputs: impl Iterator<Item = Input<'a, Name>>) {
        let (mut state, now) = (self.lock(), self.clock.now());
        inputs.for_each(|input| state.machine.handle_input(now, input));
        self.changed.notify_one();
    }

    /// Of one peer.
    pub(crate) fn input_from(&self, seat: &Seat, input: Input<'_, Name>) {
        let mut state = self.lock();
        if state.is_taken_by(seat) {
            state.machine.handle_input(self.clock.now(), input);
            self.changed.notify_one();
        }
    }

    /// The next message to a peer.
    pub(crate) fn next_update(&self, seat: &Seat) -> Option<Arc<[u8]>> {
        let mut state = self.lock();
        if !state.is_taken_by(seat) {
            return None;
        }
        let update = state.machine.next_update(self.clock.now(), &seat.name);
        if update.is_none() {
            // Now it waits to be woken, which nobody had to think of before.
            self.changed.notify_one();
        }
        update
    }

    /// How many prefixes are announced to a peer, and how many are meant for it.
    pub(crate) fn count(&self, name: &Name) -> (usize, usize) {
        let State { machine, .. } = &*self.lock();
        (machine.announced(name), machine.meant_for(name))
    }

    /// Wakes peers when there is something for them, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let deadline = {
                let State { machine, seats } = &mut *self.lock();
                while let Some(name) = machine.poll_output(self.clock.now()) {
                    if let Some(woken) = seats.get(&name) {
                        woken.notify_one();
                    }
                }
                machine.poll_timeout()
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.clock.until(deadline) => {}
            }
        }
    }

    /// A panic while it was locked is the end of the process anyway, or of a test.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_taken_by(&self, seat: &Seat) -> bool {
        self.seats.get(&seat.name).is_some_and(|woken| Arc::ptr_eq(woken, &seat.woken))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metal_bgp::{
        rib_out::{Audience, Export, Route},
        wire::{Families, Family, Session, attribute::NextHop},
    };

    use super::*;

    fn announce(rib: &Rib, prefix: &str) {
        let (to, route) = (Audience::All, Route::default());
        let prefix = prefix.parse().unwrap();
        rib.input(Input::Route { to: &to, prefix, route: Some(&route) });
    }

    /// A peer whose socket was full when the pump looked, and which has nothing left to be told before the next changes
    /// may go out.
    #[tokio::test]
    async fn who_becomes_idle_is_woken_for_what_is_held_back() {
        let rib = Arc::new(Rib::new(Clock::start()));
        let seat = rib.take_seat(&"tor".into());
        let next_hop = Some(NextHop::V4([192, 0, 2, 1].into()));
        let families = Families::NONE.with(Family::IPV4_UNICAST);
        let session = Session { four_octet_as: true, ..Session::default() };
        let export = Export::new(session, 64_512, families, next_hop, None).unwrap();
        let peer = seat.name().clone();
        rib.input_from(&seat, Input::Up { peer, export, enhanced_refresh: false });
        assert!(rib.next_update(&seat).is_none());

        let pump = rib.clone();
        let pump = tokio::spawn(async move { pump.run().await });
        announce(&rib, "198.51.100.1/32");
        seat.woken().await;
        assert!(rib.next_update(&seat).is_some());
        // The peer is not idle, and this has to wait for a moment.
        announce(&rib, "198.51.100.2/32");
        tokio::task::yield_now().await;
        if rib.next_update(&seat).is_none() {
            let woken = tokio::time::timeout(Duration::from_secs(10), seat.woken()).await;
            woken.expect("the peer is woken when it may be told");
            assert!(rib.next_update(&seat).is_some());
        }
        pump.abort();
    }
}
