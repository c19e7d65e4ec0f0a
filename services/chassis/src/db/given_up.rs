//! Work that may be given up. Once the rows of an answer have begun to arrive, nothing on the connection tells that the server is
//! still at its statement. Whoever drops the work half-way knows, and no connection that it held is used again.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static GIVING_UP: Cell<bool> = const { Cell::new(false) };
}

/// Whether a connection that is given back just now was held by work that is given up.
pub(super) fn giving_up() -> bool {
    GIVING_UP.get()
}

/// Work that closes the pooled connections it holds when it is dropped before its end.
#[derive(Debug)]
pub struct Abandonable<F>(Option<Pin<Box<F>>>);

impl<F> Abandonable<F> {
    /// The same work.
    pub fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future> Future for Abandonable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending }; // it has ended
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<F> Drop for Abandonable<F> {
    fn drop(&mut self) {
        /// Back to what was, also if what is dropped panics.
        struct Until(bool);
        impl Drop for Until {
            fn drop(&mut self) {
                GIVING_UP.set(self.0);
            }
        }
        if let Some(work) = self.0.take() {
            let _until = Until(GIVING_UP.replace(true));
            drop(work);
        }
    }
}
