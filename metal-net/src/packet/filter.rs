//! Classic BPF programs: what the kernel queues on a packet socket, and what it drops at once.

use socket2::SockFilter;

/// Which frames a packet socket receives. Everything else costs no wake-up.
///
/// Frames of a VLAN that has no interface of its own, frames for other hosts (a promiscuous card) and our own frames
/// are never received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// ARP requests and replies for IPv4 on Ethernet.
    Arp,
    /// Neighbour solicitations and advertisements of IPv6, without extension headers. Those to a group come only while
    /// the interface is a member; see [`Groups`](crate::Groups).
    Ndp,
    /// UDP on IPv4 to one port, unfragmented.
    Beacon {
        /// The destination port.
        udp_port: u16,
    },
}

impl Filter {
    /// The EtherType of the frames, which the socket is bound to.
    pub(crate) const fn ether_type(self) -> u16 {
        match self {
            Self::Arp => ETHERTYPE_ARP,
            Self::Ndp => ETHERTYPE_IPV6,
            Self::Beacon { .. } => ETHERTYPE_IPV4,
        }
    }

    /// The program. Offsets count from the Ethernet header.
    pub(crate) fn program(self) -> Vec<SockFilter> {
        let mut checks = vec![
            // A tag that the card or the kernel has taken out of the frame...
            (Load::Ancillary(libc::SKF_AD_VLAN_TAG_PRESENT), Test::Equal(0)),
            // ...which the kernel forgets for a VLAN nobody has configured: then only the packet type tells.
            (Load::Ancillary(libc::SKF_AD_PKTTYPE), Test::Below(PACKET_OTHERHOST)),
            (Load::Half(12), Test::Equal(self.ether_type().into())),
        ];
        match self {
            Self::Arp => checks.extend([
                (Load::Half(14), Test::Equal(1)),                     // hardware: Ethernet
                (Load::Half(16), Test::Equal(ETHERTYPE_IPV4.into())), // protocol: IPv4
                (Load::Half(18), Test::Equal(0x0604)),                // address lengths
                (Load::Half(20), Test::Either(1, 2)),                 // request or reply
            ]),
            Self::Ndp => checks.extend([
                (Load::Byte(20), Test::Equal(58)),        // next header: ICMPv6
                (Load::Byte(54), Test::Either(135, 136)), // solicitation or advertisement
            ]),
            Self::Beacon { udp_port } => checks.extend([
                (Load::Byte(23), Test::Equal(17)),             // protocol: UDP
                (Load::Half(20), Test::NoneOf(0x3fff)),        // no fragment offset, no more fragments
                (Load::UdpPort, Test::Equal(udp_port.into())), // behind the IP header, whatever its length
            ]),
        }
        assemble(&checks)
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// The first of the packet types that are not for us: for another host, outgoing, looped back.
const PACKET_OTHERHOST: u32 = 3;

/// Where the value of a check comes from.
#[derive(Clone, Copy)]
enum Load {
    /// The byte at an offset.
    Byte(u32),
    /// The two bytes at an offset.
    Half(u32),
    /// What the kernel knows beside the frame.
    Ancillary(i32),
    /// The UDP destination port of an IPv4 packet.
    UdpPort,
}

/// What has to hold for the value.
#[derive(Clone, Copy)]
enum Test {
    Equal(u32),
    Either(u32, u32),
    Below(u32),
    NoneOf(u32),
}

/// Each check in turn: a failing one jumps to the `ret 0` at the end.
fn assemble(checks: &[(Load, Test)]) -> Vec<SockFilter> {
    // Backwards, because a jump counts the instructions that follow it.
    let mut reversed =
        vec![statement(libc::BPF_RET | libc::BPF_K, 0), statement(libc::BPF_RET | libc::BPF_K, u32::MAX)];
    for &(load, test) in checks.iter().rev() {
        // The instructions behind this one, less the `ret 0` itself.
        let drop = u8::try_from(reversed.len() - 1).expect("a filter has few instructions");
        match test {
            Test::Equal(value) => reversed.push(jump(libc::BPF_JEQ, value, 0, drop)),
            Test::Either(one, other) => {
                reversed.push(jump(libc::BPF_JEQ, other, 0, drop));
                reversed.push(jump(libc::BPF_JEQ, one, 1, 0));
            }
            Test::Below(value) => reversed.push(jump(libc::BPF_JGE, value, drop, 0)),
            Test::NoneOf(bits) => reversed.push(jump(libc::BPF_JSET, bits, drop, 0)),
        }
        match load {
            Load::Byte(at) => reversed.push(statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at)),
            Load::Half(at) => reversed.push(statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at)),
            Load::Ancillary(what) => reversed.push(statement(
                libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
                (libc::SKF_AD_OFF + what).cast_unsigned(),
            )),
            Load::UdpPort => {
                // x = IP header length; then the half word at x + Ethernet header + 2.
                reversed.push(statement(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 16));
                reversed.push(statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 14));
            }
        }
    }
    reversed.reverse();
    reversed
}

fn statement(code: u32, k: u32) -> SockFilter {
    jump_to(code, k, 0, 0)
}

fn jump(test: u32, k: u32, if_true: u8, if_false: u8) -> SockFilter {
    jump_to(libc::BPF_JMP | test | libc::BPF_K, k, if_true, if_false)
}

fn jump_to(code: u32, k: u32, if_true: u8, if_false: u8) -> SockFilter {
    SockFilter::new(u16::try_from(code).expect("an instruction has 16 bits"), if_true, if_false, k)
}
