//! Namespaces and the processes in them.

mod lan;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    net::{IpAddr, TcpListener, UdpSocket},
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lan::{DEADLINE, hosts, namespace};
use metal_net::{Child, Namespace, Network, Signal};

/// What tells one namespace from another.
fn inode() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").expect("/proc").ino()
}

#[test]
fn within_runs_inside_and_leaves_the_caller_outside() {
    let outside = inode();
    let namespace = namespace();
    let inside = namespace.within(inode).expect("a thread");
    assert_ne!(inside, outside);
    assert_eq!(inode(), outside);
    assert_eq!(fs::metadata(namespace.path()).expect("the path").ino(), inside);
    assert!(namespace.network().expect("a socket").link("lo").is_ok_and(|(_, lo)| !lo.up));
    // The same port twice: these are two networks.
    let _first = TcpListener::bind("[::]:7946");
    namespace.within(|| TcpListener::bind("0.0.0.0:7946")).expect("a thread").expect("a free port");
}

#[test]
fn a_panic_inside_goes_on_outside() {
    let namespace = namespace();
    let panic = std::panic::catch_unwind(|| namespace.within(|| panic!("boom"))).expect_err("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
}

#[tokio::test]
async fn tokio_sockets_opened_within_belong_to_the_callers_runtime() {
    let (left, right) = hosts().await;
    left.network.add_address("eth0", "192.0.2.1/24".parse().expect("an address")).expect("added");
    right.network.add_address("eth0", "192.0.2.2/24".parse().expect("an address")).expect("added");
    let bind = |namespace: &Namespace, address: &'static str| {
        let socket = namespace.within(|| {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            tokio::net::UdpSocket::from_std(socket)
        });
        socket.expect("a thread").expect("a socket")
    };
    let (here, there) = (bind(&left.namespace, "192.0.2.1:9"), bind(&right.namespace, "192.0.2.2:9"));
    here.send_to(b"hello", "192.0.2.2:9").await.expect("sent");
    let mut buf = [0; 16];
    let (length, from) =
        tokio::time::timeout(DEADLINE, there.recv_from(&mut buf)).await.expect("late").expect("it");
    assert_eq!((&buf[..length], from.to_string().as_str()), (b"hello".as_slice(), "192.0.2.1:9"));
}

#[test]
fn settings_belong_to_the_namespace() {
    let (first, second) = (namespace(), namespace());
    let setting = "ipv4/conf/all/arp_ignore";
    first.set_sysctl(setting, "2").expect("set");
    let read = |namespace: &Namespace| {
        let text = namespace.within(|| fs::read_to_string(format!("/proc/sys/net/{setting}")));
        text.expect("a thread").expect("the setting").trim().to_owned()
    };
    assert_eq!((read(&first).as_str(), read(&second).as_str()), ("2", "0"));
    let error = first.set_sysctl("ipv4/no_such_setting", "1").expect_err("unknown");
    assert!(error.to_string().contains("/proc/sys/net/ipv4/no_such_setting"), "{error}");
}

#[test]
fn routes_lead_through_gateways() {
    let (a, router, b) = (namespace(), namespace(), namespace());
    let open = |namespace: &Namespace| namespace.network().expect("a socket");
    let networks = [open(&a), open(&router), open(&b)];
    networks[1].add_veth("to-a", &a, "eth0").expect("a veth pair");
    networks[1].add_veth("to-b", &b, "eth0").expect("a veth pair");
    let addresses = [
        (0, "eth0", "192.0.2.2/24"),
        (1, "to-a", "192.0.2.1/24"),
        (1, "to-b", "198.51.100.1/24"),
        (2, "eth0", "198.51.100.2/24"),
    ];
    for (at, name, address) in addresses {
        let network: &Network = &networks[at];
        network.add_address(name, address.parse().expect("an address")).expect("added");
        network.set_up(name).expect("up");
    }
    let all = "0.0.0.0/0".parse().expect("a prefix");
    networks[0].add_route(all, "192.0.2.1".parse().expect("an address")).expect("a route");
    networks[2].add_route(all, "198.51.100.1".parse().expect("an address")).expect("a route");
    router.set_sysctl("ipv4/ip_forward", "1").expect("forwarding");

    let bind = |namespace: &Namespace| {
        let socket = namespace.within(|| UdpSocket::bind("0.0.0.0:9")).expect("a thread").expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        socket
    };
    let (here, there) = (bind(&a), bind(&b));
    here.send_to(b"hello", "198.51.100.2:9").expect("sent");
    let (_, from) = there.recv_from(&mut [0; 16]).expect("received");
    assert_eq!(from.to_string(), "192.0.2.2:9");
}

#[test]
fn refusals_say_what_and_why() {
    let namespace = namespace();
    let network = namespace.network().expect("a socket");
    for (error, action, errno) in [
        (network.set_up("nope"), "find interface nope", libc::ENODEV),
        (network.add_bridge("lo"), "add bridge lo", libc::EEXIST),
        (
            network.add_address("nope", "192.0.2.1/24".parse().expect("it")),
            "find interface nope",
            libc::ENODEV,
        ),
        (
            network.add_route("0.0.0.0/0".parse().expect("it"), "192.0.2.1".parse().expect("it")),
            "add a route to 0.0.0.0/0 through 192.0.2.1",
            libc::ENETUNREACH,
        ),
    ] {
        let error = error.expect_err("refused");
        assert!(error.to_string().contains(action), "{error}");
        assert_eq!(error.reason().raw_os_error(), Some(errno), "{error}");
    }
}

#[test]
fn processes_run_inside() {
    let namespace = namespace();
    let mut command = Command::new("readlink");
    command.arg("/proc/self/ns/net").stdout(Stdio::piped());
    let mut child = namespace.spawn(command).expect("a process");
    let mut text = String::new();
    child.take_stdout().expect("a pipe").read_to_string(&mut text).expect("its output");
    assert_eq!(text.trim(), format!("net:[{}]", namespace.within(inode).expect("a thread")));
    assert!(child.wait_timeout(DEADLINE).expect("waited").expect("ended").success());
}

#[test]
fn processes_can_be_waited_for_and_stopped() {
    let mut child = Child::spawn(sleep()).expect("a process");
    let (start, wait) = (Instant::now(), Duration::from_millis(20));
    assert_eq!(child.wait_timeout(wait).expect("waited"), None);
    assert!(start.elapsed() >= wait);
    let status = child.stop(DEADLINE).expect("stopped");
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    child.signal(Signal::Kill).expect("nothing to do");

    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM; echo ready; exec sleep 1000"]).stdout(Stdio::piped());
    let mut stubborn = Child::spawn(command).expect("a process");
    stubborn.take_stdout().expect("a pipe").read_exact(&mut [0; 6]).expect("ready");
    assert_eq!(stubborn.stop(wait).expect("stopped").signal(), Some(libc::SIGKILL));
}

#[tokio::test]
async fn processes_can_be_waited_for_on_a_runtime() {
    let mut child = Child::spawn(sleep()).expect("a process");
    tokio::time::timeout(Duration::from_millis(20), child.wait()).await.expect_err("it still runs");
    // Not SIGINT: who runs in the background of a shell script inherits that as ignored.
    child.signal(Signal::Terminate).expect("sent");
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends").expect("waited");
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}

#[test]
fn a_route_has_the_gateways_that_it_was_given() {
    let (near, far) = (namespace(), namespace());
    for scope in ["all", "default"] {
        near.set_sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "0").expect("a setting");
    }
    let network = near.network().expect("netlink");
    network.add_veth("eth0", &far, "eth0").expect("a veth pair");
    far.network().expect("netlink").set_up("eth0").expect("up");
    network.set_up("eth0").expect("up");
    network.add_address("eth0", "192.0.2.1/24".parse().expect("it")).expect("added");
    network.add_address("eth0", "2001:db8::1/64".parse().expect("it")).expect("added");
    let families = [
        ("198.51.100.1/32", ["192.0.2.2", "192.0.2.3", "192.0.2.4"]),
        ("2001:db8:1::1/128", ["2001:db8::2", "2001:db8::3", "2001:db8::4"]),
        ("0.0.0.0/0", ["192.0.2.2", "192.0.2.3", "192.0.2.4"]),
        ("::/0", ["2001:db8::2", "2001:db8::3", "2001:db8::4"]),
    ];
    for (destination, addresses) in families {
        let destination = destination.parse().expect("a prefix");
        let addresses = addresses.map(|address| address.parse().expect("an address"));
        for gateways in [&addresses[..1], &addresses[..], &addresses[1..], &[]] {
            let gateways: BTreeSet<IpAddr> = gateways.iter().copied().collect();
            network.set_route(destination, &gateways).unwrap_or_else(|error| panic!("{gateways:?}: {error}"));
            assert_eq!(network.gateways(destination).expect("a list"), gateways);
        }
    }
    let error = network.set_route("198.51.100.1/32".parse().expect("it"), &BTreeSet::new());
    assert_eq!(error.expect_err("no such route").reason().raw_os_error(), Some(libc::ESRCH));
}

#[test]
fn dropping_kills() {
    let mut command = sleep();
    command.stdout(Stdio::piped());
    let mut child = Child::spawn(command).expect("a process");
    let mut output = child.take_stdout().expect("a pipe");
    drop(child);
    assert_eq!(output.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn a_program_that_does_not_exist_is_told() {
    let error = namespace().spawn(Command::new("/no/such/program")).expect_err("no such program");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}
