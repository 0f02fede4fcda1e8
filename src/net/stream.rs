//! Streams that clients come by: TCP, and the Unix socket of `boothctl`.

use super::BindError;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsRawFd;

/// Where clients are accepted.
#[derive(Debug)]
pub enum Listener {
    /// On the port of the members.
    Tcp(TcpListener),
    /// On the control socket.
    Unix(UnixListener),
}

/// A client's connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over the control socket.
    Unix(UnixStream),
}

impl Listener {
    /// Listens on TCP.
    ///
    /// # Errors
    /// Where the address is not local, the port in use, or the system refuses.
    pub fn tcp(address: SocketAddr) -> Result<Listener, BindError> {
        let error = |source: nix::errno::Errno| BindError::new("TCP", address, source.into());
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None).map_err(error)?;
        // A restart must not wait for the connections of the last run to be forgotten (tcp(7)).
        setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(error)?;
        if address.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6V6Only, &true).map_err(error)?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(error)?;
        listen(&socket, Backlog::MAXCONN).map_err(error)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    /// The next connection, and the address that it comes from, where it has one.
    ///
    /// # Errors
    /// As accept(2); `WouldBlock` where nobody waits.
    pub fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, source) = listener.accept()?;
                // An answer in two parts must not wait for the first to be acknowledged (tcp(7)).
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(source.ip())))
            }
            Listener::Unix(listener) => Ok((Stream::Unix(listener.accept()?.0), None)),
        }
    }

    /// Has the poll watch it.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listener::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }
}

impl Stream {
    /// Has the poll watch it, in both directions.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => stream.register(registry, token, interest),
            Stream::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn finish(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
