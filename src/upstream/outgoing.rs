//! The body of a request, which knows whether any of it has left us.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;

/// Whether a request may have reached its provider. Shared by an attempt and its request's body.
#[derive(Clone, Debug, Default)]
pub struct Sent(Rc<Cell<bool>>);

impl Sent {
    /// Whether the first byte of the body has left us: until then we were still connecting.
    pub fn get(&self) -> bool {
        self.0.get()
    }
}

/// A body in pieces, sent once.
pub(super) struct Outgoing {
    pieces: std::vec::IntoIter<Bytes>,
    sent: Sent,
}

impl Outgoing {
    pub(super) fn new(pieces: Vec<Bytes>, sent: Sent) -> Outgoing {
        Outgoing {
            pieces: pieces.into_iter(),
            sent,
        }
    }
}

impl MessageBody for Outgoing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(
            self.pieces
                .as_slice()
                .iter()
                .map(|piece| piece.len() as u64)
                .sum(),
        )
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        this.sent.0.set(true);
        Poll::Ready(this.pieces.next().map(Ok))
    }
}
