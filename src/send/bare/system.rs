//! System calls: what of the kernel is needed, each with the types of Rust around it.
//!
//! Errors are the kernel's positive numbers (errno(3)).

use core::arch::asm;
use core::ffi::CStr;
use core::net::IpAddr;

/// The numbers of the calls.
#[cfg(target_arch = "x86_64")]
mod call {
    pub const READ: usize = 0;
    pub const CLOSE: usize = 3;
    pub const IOCTL: usize = 16;
    pub const WRITEV: usize = 20;
    pub const NANOSLEEP: usize = 35;
    pub const SOCKET: usize = 41;
    pub const SENDTO: usize = 44;
    pub const RECVFROM: usize = 45;
    pub const UNAME: usize = 63;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
}

/// The numbers of the calls.
#[cfg(target_arch = "aarch64")]
mod call {
    pub const IOCTL: usize = 29;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITEV: usize = 66;
    pub const EXIT_GROUP: usize = 94;
    pub const NANOSLEEP: usize = 101;
    pub const CLOCK_GETTIME: usize = 113;
    pub const UNAME: usize = 160;
    pub const SOCKET: usize = 198;
    pub const SENDTO: usize = 206;
    pub const RECVFROM: usize = 207;
}

/// An error's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u16);

impl Errno {
    /// No memory at present.
    pub const ENOMEM: Errno = Errno(12);
    /// Not at present.
    pub const EAGAIN: Errno = Errno(11);
    /// The interface is gone, or not there yet.
    pub const ENODEV: Errno = Errno(19);
    /// The path is too long.
    pub const ENAMETOOLONG: Errno = Errno(36);
    /// The kernel has no such family, or has not loaded it yet.
    pub const EAFNOSUPPORT: Errno = Errno(97);
    /// There is no address to send from yet.
    pub const EADDRNOTAVAIL: Errno = Errno(99);
    /// The link is down.
    pub const ENETDOWN: Errno = Errno(100);
    /// There is no route.
    pub const ENETUNREACH: Errno = Errno(101);
    /// No buffers at present.
    pub const ENOBUFS: Errno = Errno(105);
    /// There is no route to the host.
    pub const EHOSTUNREACH: Errno = Errno(113);
}

/// A clock (clock_gettime(2)).
#[derive(Clone, Copy)]
pub enum Clock {
    /// CLOCK_REALTIME: since 1970.
    Wall = 0,
    /// CLOCK_BOOTTIME: since the kernel's start.
    Boot = 7,
}

/// An open file or socket, closed with its end.
pub struct Descriptor(usize);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours, and no one has it after this.
        let _ = unsafe { call3(call::CLOSE, self.0, 0, 0) };
    }
}

/// Calls the kernel: the call's number and its first three arguments.
///
/// # Safety
/// As [`call6`].
unsafe fn call3(number: usize, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: the caller vouches for the arguments; the call looks at no others.
    unsafe { call6(number, a, b, c, 0, 0, 0) }
}

/// Calls the kernel: the call's number and its six arguments.
///
/// # Safety
/// The arguments are what the call expects; memory that they point to is valid for what it does with it.
#[cfg(target_arch = "x86_64")]
unsafe fn call6(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the x86_64 kernel's calling convention; it changes rax, rcx and r11 and no other register. What it
    // does to memory, the caller vouches for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    checked(result)
}

/// Calls the kernel: the call's number and its six arguments.
///
/// # Safety
/// The arguments are what the call expects; memory that they point to is valid for what it does with it.
#[cfg(target_arch = "aarch64")]
unsafe fn call6(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the aarch64 kernel's calling convention; it changes x0 and no other register. What it does to
    // memory, the caller vouches for.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    checked(result)
}

/// The kernel's results from -4095 to -1 are errors.
fn checked(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) { Err(Errno(result.unsigned_abs() as u16)) } else { Ok(result as usize) }
}

/// Ends the program.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: touches no memory of ours, and does not return.
        let _ = unsafe { call3(call::EXIT_GROUP, status as usize, 0, 0) };
    }
}

/// Writes the parts, one after the other, to standard output (1) or standard error (2); nobody can be told when
/// that fails.
pub fn write<const PARTS: usize>(stream: usize, parts: &[&[u8]; PARTS]) {
    // Each is a `struct iovec`.
    let vectors = parts.map(|part| [part.as_ptr() as usize, part.len()]);
    // SAFETY: there are `PARTS` vectors; what they point to is valid for its length, and only read.
    let _ = unsafe { call3(call::WRITEV, stream, vectors.as_ptr() as usize, PARTS) };
}

/// Opens a file for reading.
pub fn open(path: &CStr) -> Result<Descriptor, Errno> {
    const AT_FDCWD: usize = -100_isize as usize;
    const O_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: `path` is terminated, and only read.
    let file = unsafe { call3(call::OPENAT, AT_FDCWD, path.as_ptr() as usize, O_CLOEXEC) };
    file.map(Descriptor)
}

/// Reads some bytes of a file; none at its end.
pub fn read<'a>(file: &Descriptor, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    // SAFETY: `buffer` is valid for its length, and ours to be written to.
    let length = unsafe { call3(call::READ, file.0, buffer.as_mut_ptr() as usize, buffer.len()) }?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// The time on a clock, in milliseconds.
pub fn now_ms(clock: Clock) -> u64 {
    now_us(clock) / 1000
}

/// The same in microseconds.
pub fn now_us(clock: Clock) -> u64 {
    let mut time = [0_i64; 2];
    // SAFETY: two 64-bit words are a `struct timespec`; the call writes them and nothing else.
    let result = unsafe { call3(call::CLOCK_GETTIME, clock as usize, (&raw mut time) as usize, 0) };
    debug_assert!(result.is_ok(), "both clocks are as old as Linux 2.6.39");
    (time[0].max(0) as u64).saturating_mul(1_000_000) + (time[1] as u64) / 1000
}

/// Sleeps; a signal may end it sooner.
pub fn sleep_ms(span: u64) {
    let time = [(span / 1000) as i64, (span % 1000 * 1_000_000) as i64];
    // SAFETY: two 64-bit words are a `struct timespec`, and only read.
    let _ = unsafe { call3(call::NANOSLEEP, (&raw const time) as usize, 0, 0) };
}

/// The size of a field of `struct utsname`.
const UTS_LEN: usize = 65;

/// `struct utsname`: six fields, the second of which is the host name.
pub struct HostName([u8; 6 * UTS_LEN]);

impl HostName {
    /// The kernel's host name.
    pub fn read() -> HostName {
        let mut fields = [0; 6 * UTS_LEN];
        // SAFETY: the buffer is as large as a `struct utsname`; the call writes it and nothing else.
        let _ = unsafe { call3(call::UNAME, fields.as_mut_ptr() as usize, 0, 0) };
        HostName(fields)
    }

    /// It as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.get(UTS_LEN..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
    }
}

/// Where a datagram goes.
pub struct Destination {
    /// The address.
    pub ip: IpAddr,
    /// The interface of a link-local address, or 0.
    pub link: u32,
    /// The port.
    pub port: u16,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const SOCK_DGRAM: usize = 2;
const SOCK_RAW: usize = 3;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const MSG_DONTWAIT: usize = 0x40;

fn socket(family: u16, kind: usize) -> Result<Descriptor, Errno> {
    // SAFETY: touches no memory of ours.
    let socket = unsafe { call3(call::SOCKET, family.into(), kind | SOCK_CLOEXEC, 0) };
    socket.map(Descriptor)
}

/// A socket for datagrams to addresses of the family of `ip`.
pub fn udp_socket(ip: IpAddr) -> Result<Descriptor, Errno> {
    socket(if ip.is_ipv4() { AF_INET } else { AF_INET6 }, SOCK_DGRAM)
}

/// A socket for questions to the kernel (rtnetlink(7)).
pub fn route_socket() -> Result<Descriptor, Errno> {
    socket(AF_NETLINK, SOCK_RAW)
}

/// Sends a datagram, or says why that would not do or would have to wait.
pub fn send_to(socket: &Descriptor, bytes: &[u8], to: &Destination) -> Result<(), Errno> {
    // `struct sockaddr_in6`, and `struct sockaddr_in` in its start: family, port, then for IPv6 the flow.
    let mut name = [0; 28];
    let (family, length) = if to.ip.is_ipv4() { (AF_INET, 16) } else { (AF_INET6, 28) };
    name[..2].copy_from_slice(&family.to_ne_bytes());
    name[2..4].copy_from_slice(&to.port.to_be_bytes());
    match to.ip {
        IpAddr::V4(ip) => name[4..8].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => {
            name[8..24].copy_from_slice(&ip.octets());
            name[24..].copy_from_slice(&to.link.to_ne_bytes());
        }
    }
    send(socket, bytes, &name[..length])
}

/// Asks the kernel; gives the start of its answer, which is there when the question has been sent.
pub fn ask<'a>(socket: &Descriptor, question: &[u8], answer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    // `struct sockaddr_nl` of the kernel: the family, all else 0.
    let mut kernel = [0; 12];
    kernel[..2].copy_from_slice(&AF_NETLINK.to_ne_bytes());
    send(socket, question, &kernel)?;
    let (at, size) = (answer.as_mut_ptr() as usize, answer.len());
    // SAFETY: `answer` is valid for its length, and ours to be written to; no address is asked for.
    let length = unsafe { call6(call::RECVFROM, socket.0, at, size, MSG_DONTWAIT, 0, 0) }?;
    Ok(answer.get(..length).unwrap_or_default())
}

fn send(socket: &Descriptor, bytes: &[u8], name: &[u8]) -> Result<(), Errno> {
    let (at, size) = (bytes.as_ptr() as usize, bytes.len());
    let to = name.as_ptr() as usize;
    // SAFETY: both buffers are valid for their lengths, and only read.
    unsafe { call6(call::SENDTO, socket.0, at, size, MSG_DONTWAIT, to, name.len()) }.map(|_| ())
}

/// The number of the interface with this name (netdevice(7)).
pub fn link_number(socket: &Descriptor, name: &[u8]) -> Result<u32, Errno> {
    const SIOCGIFINDEX: usize = 0x8933;
    const IFNAMSIZ: usize = 16;
    // `struct ifreq`: the name, terminated, and room for the answer.
    let mut request = [0; 40];
    if name.len() >= IFNAMSIZ {
        return Err(Errno::ENODEV);
    }
    request.iter_mut().zip(name).for_each(|(to, byte)| *to = *byte);
    // SAFETY: the buffer is as large as a `struct ifreq`; the call reads and writes it and nothing else.
    unsafe { call3(call::IOCTL, socket.0, SIOCGIFINDEX, request.as_mut_ptr() as usize) }?;
    let [.., a, b, c, d] = request[..IFNAMSIZ + 4] else { return Err(Errno::ENODEV) };
    Ok(u32::from_ne_bytes([a, b, c, d]))
}
