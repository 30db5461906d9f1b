//! What a client gets.

use bytes::Bytes;

use super::stream::StreamBody;
use crate::routing::Name;

/// Who gave an answer.
#[derive(Clone, Debug)]
pub struct Served {
    /// The provider's name.
    pub provider: Name,
    /// The model's name at the provider.
    pub model: Name,
    /// How often providers were asked.
    pub attempts: u32,
}

/// A committed answer.
pub struct Answer {
    /// Who gave it.
    pub served: Option<Served>,
    /// What it says.
    pub body: AnswerBody,
}

/// The body of an answer.
pub enum AnswerBody {
    /// JSON, complete and judged.
    Whole(Bytes),
    /// A stream that was complete before it was sent, because the provider does not stream.
    Events(Bytes),
    /// Events as they come.
    Stream(Box<StreamBody>),
}
