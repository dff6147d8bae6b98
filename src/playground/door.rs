//! The listener: every connection can be cut, one by a planned fault, all by the end of the playground.
//!
//! A cut connection answers nothing more: reads and writes fail, so the HTTP server lets go of it and of the handler
//! that runs for it. That is what a client sees when a server dies, and what leaves no task behind.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Wait after a failed accept: it is out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Accepts on loopback.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) stop: CancellationToken,
    /// Counts the open connections.
    pub(super) open: TaskTracker,
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Wire::new(stream, &self.stop, &self.open), address),
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    cut: CancellationToken,
    until_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: TaskTrackerToken,
}

impl Wire {
    fn new(stream: TcpStream, stop: &CancellationToken, open: &TaskTracker) -> Self {
        let cut = stop.child_token();
        // Answers are small and awaited: without this, loopback waits 40 ms for some of them.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            until_cut: Box::pin(cut.clone().cancelled_owned()),
            cut,
            _open: open.token(),
        }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.is_cancelled() || self.until_cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A handler's hold on the connection that it answers.
#[derive(Clone, Debug)]
pub(super) struct Cut(pub(super) CancellationToken);

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(stream.io().cut.clone())
    }
}
