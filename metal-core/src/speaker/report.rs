//! What people are told.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::net::IpAddr;

use super::{Output, Reason, Speaker, Status};
use crate::{
    event::{Event, Severity},
    name::ObjectKey,
    view::{LinkIndex, Scope},
};

impl Speaker {
    pub(super) fn note(&mut self, text: String) {
        self.reports.push_back(Output::Note(text));
    }

    /// Tells when there is a new reason why nobody is in line for an address.
    pub(super) fn report_reason(&mut self, address: IpAddr, reason: Option<Reason>) {
        let Some(carried) = self.addresses.get_mut(&address) else { return };
        if carried.reason == reason {
            return;
        }
        carried.reason = reason;
        let Some(reason) = reason else { return };
        let services: Vec<String> = carried.services.iter().map(|service| format!("{service}")).collect();
        let services = services.join(", ");
        self.note(match reason {
            Reason::AllNodesExcluded => format!("{services}: {address}: {reason}"),
            Reason::InterfaceMissing => {
                let named = self.named_interfaces(address);
                format!("{services}: {address} is not announced: {reason} ({named})")
            }
            _ => format!("{services}: {address} is not announced: {reason}"),
        });
    }

    /// Which advertisements of an address name which interfaces.
    pub(super) fn named_interfaces(&self, address: IpAddr) -> String {
        let carriers = self.carriers(address);
        let named: BTreeSet<String> = carriers
            .iter()
            .flat_map(|carrier| &carrier.advertisements)
            .filter(|advertisement| !advertisement.interfaces.is_all())
            .map(|advertisement| format!("{}: {}", advertisement.object, advertisement.interfaces))
            .collect();
        named.into_iter().collect::<Vec<_>>().join("; ")
    }

    /// Tells what this node does for a Service, if that has changed.
    pub(super) fn report_service(&mut self, key: &ObjectKey) {
        let status = self.status(key);
        let before = match status.clone() {
            Some(status) => self.statuses.insert(key.clone(), status),
            None => self.statuses.remove(key),
        };
        if before == status {
            return;
        }
        let begins = before.is_none();
        self.reports.push_back(Output::Status { service: key.clone(), status });
        if begins {
            let message = format!("announcing from node \"{}\" with protocol \"layer2\"", self.setup.node);
            let event = Event { severity: Severity::Normal, reason: "nodeAssigned", message };
            self.reports.push_back(Output::Event { service: key.clone(), event });
        }
    }

    fn status(&self, key: &ObjectKey) -> Option<Status> {
        let service = self.services.get(key).filter(|service| service.scope == Scope::Ours)?;
        let links = |address: IpAddr| {
            let owns = move |link: &LinkIndex| {
                let place = (*link, address);
                self.ownership.owns(place) && !self.is_withheld(place)
            };
            self.nics.iter().filter(move |(link, _)| owns(link)).map(|(_, nic)| nic.link.name.clone())
        };
        let owned = |address: &&IpAddr| links(**address).next().is_some();
        let addresses: Vec<IpAddr> = service.assigned.iter().filter(owned).copied().collect();
        let interfaces: BTreeSet<String> = addresses.iter().flat_map(|address| links(*address)).collect();
        let serves = !addresses.is_empty();
        serves.then(|| Status { addresses, interfaces: interfaces.into_iter().collect() })
    }
}
