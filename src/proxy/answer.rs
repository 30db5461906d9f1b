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
    /// The media type of what it says.
    pub media: Media,
    /// What it says.
    pub body: AnswerBody,
}

/// What kind of answer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// JSON that comes piece by piece.
    JsonStream,
    /// Server-sent events.
    Events,
    /// What the provider called it: a sound, a text.
    Other(Box<str>),
}

/// The body of an answer.
pub enum AnswerBody {
    /// Complete and judged.
    Whole(Bytes),
    /// As it comes.
    Stream(Box<StreamBody>),
}
