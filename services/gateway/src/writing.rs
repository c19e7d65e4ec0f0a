//! A connection whose writing has limits in time: whoever asked and takes nothing of the answer, or a byte now and then, would hold
//! it for ever. A stream that has nothing to say goes on, and so does one that is taken as it comes, however long it is: the server
//! asks it for more once what it wrote is taken.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

/// A connection that fails when nothing of what is to be written is taken for so long, or not all of it for longer.
#[derive(Debug)]
pub(crate) struct Limited<T> {
    connection: T,
    some: Duration,
    all: Duration,
    /// While something waits to be taken: until when some of it.
    some_until: Option<Pin<Box<Sleep>>>,
    /// Until when all of it, since it waited first.
    all_until: Option<Pin<Box<Sleep>>>,
}

impl<T> Limited<T> {
    pub(crate) fn new(connection: T, some: Duration, all: Duration) -> Self {
        Self { connection, some, all, some_until: None, all_until: None }
    }

    /// What came of writing, or that its time is over.
    fn in_time<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.some_until = None;
            return written;
        }
        let (some, all) = (self.some, self.all);
        let some = self.some_until.get_or_insert_with(|| Box::pin(sleep(some))).as_mut().poll(cx);
        let all = self.all_until.get_or_insert_with(|| Box::pin(sleep(all))).as_mut().poll(cx);
        if some.is_pending() && all.is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Read + Unpin> Read for Limited<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for Limited<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.connection).poll_flush(cx);
        if flushed.is_ready() {
            self.all_until = None; // asked for when nothing waits any more
        }
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.connection).poll_shutdown(cx);
        self.in_time(cx, shut)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }
}
