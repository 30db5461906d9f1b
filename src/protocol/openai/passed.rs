//! Answers of endpoints that go through as they are: pictures, sounds, moderations, rankings.

use super::answer::expect_json;
use super::chunk::Chunk;
use crate::chat::{Failure, Usage};
use crate::protocol::error;

/// Whether a body of JSON is an answer, and what it cost if it tells.
///
/// # Errors
/// The upstream's failure when it is an error, or nothing.
pub(crate) fn judge_passed(
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Option<Usage>, Failure> {
    expect_json(content_type, body)?;
    let Ok(said) = Chunk::read(body) else {
        return Err(Failure::upstream("upstream's answer is not valid JSON"));
    };
    match said.is_error {
        true => Err(error::reported(body)),
        false => Ok(said.usage),
    }
}

/// Whether the data of an event tells of an error, and the cost if it tells.
pub(crate) fn read_passed_event(data: &[u8]) -> (bool, Option<Usage>) {
    Chunk::read(data).map_or((false, None), |chunk| (chunk.is_error, chunk.usage))
}
