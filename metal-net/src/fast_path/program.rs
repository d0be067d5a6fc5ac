//! The program, assembled by hand.
//!
//! It answers a request that is as every host sends it, and passes on the rest. What it decides is what
//! `metal_arp::reply::answer` decides; what that one would not answer, or would report, it passes on:
//!
//! - frames for other hosts, to a multicast group, with a VLAN tag, longer than a padded ARP frame, in several pieces;
//! - whatever is no ARP request for IPv4 on Ethernet;
//! - senders whose Ethernet address is a group's, nobody's, ours, or not that of the frame's source;
//! - senders without an IPv4 address (probes), with the one they ask for (announcements), or with another one of ours;
//! - everything once the expiry is over.

use std::os::fd::RawFd;

/// An instruction as the kernel reads it.
pub(super) type Instruction = [u8; 8];

/// A register.
type Register = u8;
const R0: Register = 0;
const R1: Register = 1;
const R2: Register = 2;
const R3: Register = 3;
const R4: Register = 4;
const R5: Register = 5;
/// From here on they survive calls.
const CONTEXT: Register = 6;
const FRAME: Register = 7;
const ANSWER: Register = 8;
const SENDER_IP: Register = 9;
const STACK: Register = 10;

/// Offsets in `__sk_buff`.
const LENGTH: i16 = 0;
const PACKET_TYPE: i16 = 4;
const VLAN_PRESENT: i16 = 20;
const INTERFACE: i16 = 40;
const DATA: i16 = 76;
const DATA_END: i16 = 80;

/// Offsets in the frame.
const DESTINATION: i16 = 0;
const SOURCE: i16 = 6;
const ETHER_TYPE: i16 = 12;
const HARDWARE: i16 = 14;
const PROTOCOL: i16 = 16;
const LENGTHS: i16 = 18;
const OPERATION: i16 = 20;
const SENDER_MAC: i16 = 22;
const SENDER: i16 = 28;
const TARGET_MAC: i16 = 32;
const TARGET: i16 = 38;
const CONTENT: i32 = 42;

/// A padded frame, with its check sequence where a driver leaves it on.
const LONGEST: i32 = 64;
/// `PACKET_HOST` is 0, `PACKET_BROADCAST` 1; all others are not for us.
const PACKET_BROADCAST: i32 = 1;
/// Where the counter is in the map's value, behind the MAC.
const COUNT: i16 = 8;
/// Where the key of a look-up is.
const KEY: i16 = -4;
/// `TCX_NEXT`.
const NEXT: i32 = -1;

/// Functions of the kernel.
const MAP_LOOKUP_ELEM: i32 = 1;
const REDIRECT: i32 = 23;
const KTIME_GET_BOOT_NS: i32 = 125;

/// Instruction codes: `BPF_MOV | BPF_X` and so on, of 64 bits where nothing else is said.
const MOV_X: u8 = 0xbf;
const MOV_K: u8 = 0xb7;
const ADD_K: u8 = 0x07;
const OR_X: u8 = 0x4f;
const JEQ_K: u8 = 0x15;
const JEQ_X: u8 = 0x1d;
const JGT_K: u8 = 0x25;
const JGT_X: u8 = 0x2d;
const JGE_X: u8 = 0x3d;
const JSET_K: u8 = 0x45;
const JNE_K: u8 = 0x55;
const JNE_X: u8 = 0x5d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const BYTE: u8 = 0x10;
const HALF: u8 = 0x08;
const WORD: u8 = 0x00;
const DOUBLE: u8 = 0x18;
/// The source of `LOAD_64`: the number is a map, or the value in a map.
const LOAD_64: u8 = 0x18;
const PSEUDO_MAP: Register = 1;
const PSEUDO_VALUE: Register = 2;
const ATOMIC_ADD_64: u8 = 0xdb;

/// The program with the map of what is answered for and the map with the expiry.
pub(super) fn assemble(answers: RawFd, expiry: RawFd) -> Vec<Instruction> {
    let mut code = Assembler::default();
    let half = |bytes: [u8; 2]| i32::from(u16::from_ne_bytes(bytes));

    // Is it for us, untagged, and as long as ARP is?
    code.mov(CONTEXT, R1);
    code.load(WORD, R0, CONTEXT, PACKET_TYPE);
    code.pass_if(JGT_K, R0, PACKET_BROADCAST);
    code.load(WORD, R0, CONTEXT, VLAN_PRESENT);
    code.pass_if(JNE_K, R0, 0);
    code.load(WORD, R0, CONTEXT, LENGTH);
    code.pass_if(JGT_K, R0, LONGEST);
    code.load(WORD, FRAME, CONTEXT, DATA);
    code.load(WORD, R2, CONTEXT, DATA_END);
    code.mov(R3, FRAME);
    code.add(R3, CONTENT);
    code.pass_if_x(JGT_X, R3, R2);

    // Is it an ARP request for IPv4 on Ethernet?
    for (offset, bytes) in
        [(ETHER_TYPE, [8, 6]), (HARDWARE, [0, 1]), (PROTOCOL, [8, 0]), (LENGTHS, [6, 4]), (OPERATION, [0, 1])]
    {
        code.load(HALF, R0, FRAME, offset);
        code.pass_if(JNE_K, R0, half(bytes));
    }

    // Does it come from whom it says, and is that a station?
    code.load(WORD, R3, FRAME, SENDER_MAC);
    code.load(HALF, R4, FRAME, SENDER_MAC + 4);
    code.load(WORD, R0, FRAME, SOURCE);
    code.pass_if_x(JNE_X, R0, R3);
    code.load(HALF, R0, FRAME, SOURCE + 4);
    code.pass_if_x(JNE_X, R0, R4);
    code.load(BYTE, R0, FRAME, SENDER_MAC);
    code.pass_if(JSET_K, R0, 1);
    code.or(R3, R4);
    code.pass_if(JEQ_K, R3, 0);

    // Is the address ours, and the sender's not?
    code.load(WORD, SENDER_IP, FRAME, SENDER);
    code.pass_if(JEQ_K, SENDER_IP, 0);
    code.load(WORD, R0, FRAME, TARGET);
    code.pass_if_x(JEQ_X, R0, SENDER_IP);
    code.look_up(answers, R0);
    code.pass_if(JEQ_K, R0, 0);
    code.mov(ANSWER, R0);
    code.look_up(answers, SENDER_IP);
    code.pass_if(JNE_K, R0, 0);

    // May we still answer?
    code.call(KTIME_GET_BOOT_NS);
    code.load_64(R1, PSEUDO_VALUE, expiry);
    code.load(DOUBLE, R1, R1, 0);
    code.pass_if_x(JGE_X, R0, R1);

    // Does it pretend to come from ourselves?
    code.load(WORD, R1, ANSWER, 0);
    code.load(HALF, R2, ANSWER, 4);
    code.load(WORD, R3, FRAME, SENDER_MAC);
    code.load(HALF, R4, FRAME, SENDER_MAC + 4);
    code.skip_if_x(JNE_X, R3, R1, 1);
    code.pass_if_x(JEQ_X, R4, R2);

    // The answer, in the place of the request: R1 and R2 are our MAC, R3 and R4 that of who asked.
    code.load(WORD, R5, FRAME, TARGET);
    for (offset, upper, lower) in
        [(DESTINATION, R3, R4), (SOURCE, R1, R2), (SENDER_MAC, R1, R2), (TARGET_MAC, R3, R4)]
    {
        code.store(WORD, FRAME, offset, upper);
        code.store(HALF, FRAME, offset + 4, lower);
    }
    code.mov_k(R0, half([0, 2]));
    code.store(HALF, FRAME, OPERATION, R0);
    code.store(WORD, FRAME, SENDER, R5);
    code.store(WORD, FRAME, TARGET, SENDER_IP);
    code.mov_k(R1, 1);
    code.push(ATOMIC_ADD_64, ANSWER, R1, COUNT, 0);
    code.load(WORD, R1, CONTEXT, INTERFACE);
    code.mov_k(R2, 0);
    code.call(REDIRECT);
    code.push(EXIT, 0, 0, 0, 0);
    code.finish()
}

/// Instructions so far, and which of them jump to the end.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    passing: Vec<usize>,
}

impl Assembler {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, number: i32) {
        let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
        let ([a, b], [c, d, e, f]) = (offset.to_ne_bytes(), number.to_ne_bytes());
        self.code.push([code, registers, a, b, c, d, e, f]);
    }

    fn mov(&mut self, to: Register, from: Register) {
        self.push(MOV_X, to, from, 0, 0);
    }

    fn mov_k(&mut self, to: Register, number: i32) {
        self.push(MOV_K, to, 0, 0, number);
    }

    fn add(&mut self, to: Register, number: i32) {
        self.push(ADD_K, to, 0, 0, number);
    }

    fn or(&mut self, to: Register, from: Register) {
        self.push(OR_X, to, from, 0, 0);
    }

    fn load(&mut self, size: u8, to: Register, base: Register, offset: i16) {
        self.push(LOAD | size, to, base, offset, 0);
    }

    fn store(&mut self, size: u8, base: Register, offset: i16, from: Register) {
        self.push(STORE | size, base, from, offset, 0);
    }

    /// A number of 64 bits: two instructions.
    fn load_64(&mut self, to: Register, what: Register, fd: RawFd) {
        self.push(LOAD_64, to, what, 0, fd);
        self.push(0, 0, 0, 0, 0);
    }

    fn call(&mut self, function: i32) {
        self.push(CALL, 0, 0, 0, function);
    }

    /// R0 is then the value of the address in `key`, or 0.
    fn look_up(&mut self, map: RawFd, key: Register) {
        self.store(WORD, STACK, KEY, key);
        self.load_64(R1, PSEUDO_MAP, map);
        self.mov(R2, STACK);
        self.add(R2, KEY.into());
        self.call(MAP_LOOKUP_ELEM);
    }

    fn pass_if(&mut self, test: u8, register: Register, number: i32) {
        self.passing.push(self.code.len());
        self.push(test, register, 0, 0, number);
    }

    fn pass_if_x(&mut self, test: u8, register: Register, other: Register) {
        self.passing.push(self.code.len());
        self.push(test, register, other, 0, 0);
    }

    /// Leaves out the next instructions, so many.
    fn skip_if_x(&mut self, test: u8, register: Register, other: Register, count: i16) {
        self.push(test, register, other, count, 0);
    }

    /// Adds the end that all the tests jump to.
    fn finish(mut self) -> Vec<Instruction> {
        let end = self.code.len();
        for at in self.passing {
            // A jump counts from the instruction that follows it.
            let distance = i16::try_from(end - at - 1).expect("the program is short").to_ne_bytes();
            self.code[at][2..4].copy_from_slice(&distance);
        }
        self.passing = Vec::new();
        self.mov_k(R0, NEXT);
        self.push(EXIT, 0, 0, 0, 0);
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions that go somewhere else: their codes are of the class `BPF_JMP`, less calls and the exit.
    fn jumps(code: u8) -> bool {
        code & 0x07 == 0x05 && code != CALL && code != EXIT
    }

    #[test]
    fn it_is_short_and_goes_forward_to_its_end() {
        let program = assemble(3, 4);
        assert_eq!(program.len(), 83);
        let second_halves: Vec<usize> =
            (1..program.len()).filter(|at| program[at - 1][0] == LOAD_64).collect();
        assert_eq!(second_halves.len(), 3);
        let mut passing = 0;
        for (at, instruction) in program.iter().enumerate() {
            if !jumps(instruction[0]) || second_halves.contains(&at) {
                continue;
            }
            let distance = i16::from_ne_bytes([instruction[2], instruction[3]]);
            assert!(distance >= 0, "instruction {at} goes back");
            let target = at + 1 + usize::try_from(distance).expect("forward");
            assert!(target < program.len(), "instruction {at} goes to {target}");
            assert!(!second_halves.contains(&target), "instruction {at} goes into another one");
            passing += usize::from(target == program.len() - 2);
        }
        assert_eq!(passing, 19, "tests that pass the frame on");
        assert_eq!(program[program.len() - 1][0], EXIT);
        assert_eq!(program[program.len() - 2][4..], NEXT.to_ne_bytes());
    }

    #[test]
    fn the_maps_are_named_where_they_are_used() {
        let program = assemble(0x0102_0304, 0x0506_0708);
        let named: Vec<_> = program
            .iter()
            .filter(|instruction| instruction[0] == LOAD_64)
            .map(|i| i32::from_ne_bytes([i[4], i[5], i[6], i[7]]))
            .collect();
        assert_eq!(named, [0x0102_0304, 0x0102_0304, 0x0506_0708]);
    }

    #[test]
    fn helpers_are_those_that_any_licence_may_call() {
        let called: Vec<_> = assemble(3, 4)
            .iter()
            .filter(|i| i[0] == CALL)
            .map(|i| i32::from_ne_bytes([i[4], i[5], i[6], i[7]]))
            .collect();
        assert_eq!(called, [1, 1, 125, 23]);
    }
}
