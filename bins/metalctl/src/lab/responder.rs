//! What stands in for the Pods: on every node, pages that name the node, and an echo of datagrams.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use super::plan;

/// Something to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// Pages over HTTP.
    Pages(SocketAddr),
    /// Datagrams, sent back as they came.
    Echo(SocketAddr),
}

impl Target {
    /// Where it is served.
    pub(crate) const fn address(&self) -> SocketAddr {
        match self {
            Self::Pages(address) | Self::Echo(address) => *address,
        }
    }
}

/// What has to be served, and where to say that it is.
type Order = (Vec<Target>, oneshot::Sender<io::Result<()>>);

/// The way to tell a node's responder what to serve.
#[derive(Clone, Debug)]
pub(crate) struct Responder(mpsc::UnboundedSender<Order>);

/// The name of the header that tells the node.
pub(crate) const SERVED_BY: &str = "x-served-by";

/// How long a client may take over its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The targets of a Service on one of its addresses: its ports, and the echo that the lab probes.
pub(crate) fn targets(address: IpAddr, ports: &[u16]) -> impl Iterator<Item = Target> {
    let pages = ports.iter().map(move |port| Target::Pages(SocketAddr::new(address, *port)));
    pages.chain([Target::Echo(SocketAddr::new(address, plan::ECHO_PORT))])
}

impl Responder {
    /// The way to tell it, and what a thread in the node's network namespace has to run.
    pub(crate) fn new(node: String) -> (Self, impl FnOnce() -> io::Result<()> + Send + 'static) {
        let (sender, orders) = mpsc::unbounded_channel();
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(node, orders));
            Ok(())
        };
        (Self(sender), run)
    }

    /// Serves exactly these targets from now on; returns once it does.
    pub(crate) fn serve(&self, targets: Vec<Target>) -> io::Result<()> {
        let (answer, done) = oneshot::channel();
        let ended = |_| io::Error::other("the responder has ended");
        self.0.send((targets, answer)).map_err(|_| io::Error::other("the responder has ended"))?;
        done.blocking_recv().map_err(ended)?
    }
}

async fn serve(node: String, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut running: HashMap<Target, AbortHandle> = HashMap::new();
    while let Some((targets, done)) = orders.recv().await {
        running.retain(|target, task| targets.contains(target) || (task.abort(), false).1);
        let mut result = Ok(());
        for target in targets {
            if running.contains_key(&target) {
                continue;
            }
            match start(&node, target).await {
                Ok(task) => _ = running.insert(target, task),
                Err(error) => result = Err(error),
            }
        }
        // Nobody waits for the answer when the lab ends.
        let _unheard = done.send(result);
    }
}

async fn start(node: &str, target: Target) -> io::Result<AbortHandle> {
    Ok(match target {
        Target::Pages(address) => {
            let listener = TcpListener::bind(address).await?;
            tokio::spawn(accept(listener, node.to_owned())).abort_handle()
        }
        Target::Echo(address) => {
            let socket = UdpSocket::bind(address).await?;
            tokio::spawn(echo(socket)).abort_handle()
        }
    })
}

async fn echo(socket: UdpSocket) {
    let mut datagram = [0; 2048];
    loop {
        if let Ok((length, client)) = socket.recv_from(&mut datagram).await {
            // A datagram that cannot be sent back is a lost probe, which the prober counts.
            let _lost = socket.send_to(&datagram[..length], client).await;
        }
    }
}

async fn accept(listener: TcpListener, node: String) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let node = node.clone();
            tokio::spawn(tokio::time::timeout(PATIENCE, async move { answer(client, &node).await }));
        }
    }
}

async fn answer(mut client: TcpStream, node: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > 16 * 1024 || client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let page = format!("served by {node}\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{SERVED_BY}: {node}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    let body = if request.starts_with(b"HEAD ") { "" } else { &page };
    client.write_all(format!("{head}{body}").as_bytes()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::{net, thread};

    use super::*;
    use crate::lab::http;

    /// A port of this machine that is free for both protocols.
    fn free_port() -> u16 {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn it_serves_what_it_is_told_and_nothing_else() {
        let (responder, run) = Responder::new("node7".to_owned());
        let thread = thread::spawn(run);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        responder.serve(vec![Target::Pages(address), Target::Echo(address)]).unwrap();

        let fetch = http::fetch(address);
        assert_eq!((fetch.status, fetch.served_by.as_deref()), (Some(200), Some("node7")));
        let socket = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(b"ping", address).unwrap();
        let mut answer = [0; 16];
        assert_eq!(socket.recv(&mut answer).unwrap(), 4);
        assert_eq!(&answer[..4], b"ping");

        responder.serve(Vec::new()).unwrap();
        assert_eq!(http::fetch(address).status, None);
        drop(responder);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_taken_port_is_reported() {
        let taken = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let (responder, run) = Responder::new("node1".to_owned());
        let thread = thread::spawn(run);
        let error = responder.serve(vec![Target::Pages(address)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(responder);
        thread.join().unwrap().unwrap();
    }
}
