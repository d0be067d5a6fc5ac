//! What is announced, shared by the tasks of all peers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metal_bgp::rib_out::{Input, RibOut};
use metal_core::Machine;
use tokio::sync::Notify;

use crate::clock::Clock;

/// A peer, by its name.
pub(crate) type Name = Arc<str>;

/// The machine, and how its peers are woken. Locked for the time of one call only.
#[derive(Debug)]
pub(crate) struct Rib {
    clock: Clock,
    machine: Mutex<RibOut<Name>>,
    wakers: Mutex<BTreeMap<Name, Arc<Notify>>>,
    /// Something has been put in.
    changed: Notify,
}

impl Rib {
    pub(crate) fn new(clock: Clock) -> Self {
        let machine = Mutex::new(RibOut::new());
        Self { clock, machine, wakers: Mutex::default(), changed: Notify::new() }
    }

    /// How a peer is told that there is something for it.
    pub(crate) fn waker(&self, name: &Name) -> Arc<Notify> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.entry(name.clone()).or_default().clone()
    }

    pub(crate) fn forget(&self, name: &Name) {
        self.input(Input::Down { peer: name });
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(crate) fn input(&self, input: Input<'_, Name>) {
        self.machine().handle_input(self.clock.now(), input);
        self.changed.notify_one();
    }

    /// The next message to a peer.
    pub(crate) fn next_update(&self, name: &Name) -> Option<Arc<[u8]>> {
        self.machine().next_update(self.clock.now(), name)
    }

    /// Wakes peers when there is something for them, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let deadline = {
                let mut machine = self.machine();
                let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some(name) = machine.poll_output(self.clock.now()) {
                    if let Some(waker) = wakers.get(&name) {
                        waker.notify_one();
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
    fn machine(&self) -> MutexGuard<'_, RibOut<Name>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
