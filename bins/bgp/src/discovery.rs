//! Who is at the other end of an unnumbered link.

use std::{convert::Infallible, io, net::Ipv6Addr, time::Duration};

use metal_core::view::LinkIndex;
use metal_net::{RouterDiscovery, router_discovery::Message};
use tokio::{sync::mpsc, time::sleep};

use crate::peer::Order;

/// Advertises this speaker on the link and tells whom it hears, for ever.
pub(crate) async fn discover(link: LinkIndex, orders: mpsc::UnboundedSender<Order>) {
    loop {
        let Err(error) = try_discover(link, &orders).await;
        // The peer may have been removed just now.
        let _gone = orders.send(Order::Unheard(error.to_string()));
        sleep(PAUSE).await;
    }
}

async fn try_discover(
    link: LinkIndex,
    orders: &mpsc::UnboundedSender<Order>,
) -> Result<Infallible, io::Error> {
    let discovery = RouterDiscovery::open(link)?;
    let _gone = orders.send(Order::Unheard(format!(
        "no router has advertised itself on interface {link} yet: does the peer send router advertisements there?"
    )));
    let mut heard: Option<Ipv6Addr> = None;
    let mut said = 0;
    loop {
        // Nothing can be sent while the interface is down: then the next time.
        let _down = discovery.send(&Message::PRESENT).await;
        if heard.is_none() {
            let _down = discovery.send(&Message::SOLICITATION).await;
        }
        said += 1;
        let pause = if said < FIRST || heard.is_none() { PAUSE } else { PERIOD };
        let next = sleep(pause);
        tokio::pin!(next);
        loop {
            let (from, message) = tokio::select! {
                received = discovery.receive() => received?,
                () = &mut next => break,
            };
            match message {
                Message::Advertisement { .. } if heard == Some(from) => {}
                Message::Advertisement { .. } => {
                    heard = Some(from);
                    let _gone = orders.send(Order::Heard(from));
                    // It may have begun just now, and not know of us.
                    break;
                }
                Message::Solicitation { .. } => {
                    let _down = discovery.send(&Message::PRESENT).await;
                }
            }
        }
    }
}

/// Until the first advertisements have been sent, or somebody is there.
const PAUSE: Duration = Duration::from_secs(1);
/// So many are sent at that pace.
const FIRST: u32 = 3;
/// Between two advertisements from then on.
const PERIOD: Duration = Duration::from_secs(10);
