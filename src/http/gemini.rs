//! Gemini's URLs, which name the model and what is to be done with it in one segment.

use actix_web::HttpResponse;
use actix_web::http::Method;

use super::visit::Visit;
use super::{inbound, models};
use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::{Action, Endpoint};

/// `/v1beta/models/{model}`, with `:action` behind it to do something, without to ask about it.
pub(crate) async fn model(visit: Visit) -> Result<HttpResponse, Failure> {
    if visit.request.method() != Method::POST {
        return models::one(visit).await;
    }
    let named = visit.request.match_info().query("model").to_owned();
    let (model, action) = split(&named).ok_or_else(|| unknown(&named))?;
    inbound::serve(visit, Endpoint::Gemini(action), Some(&model)).await
}

/// The model and the action, which follows the last colon; some write a slash instead.
fn split(named: &str) -> Option<(String, Action)> {
    let by = |mark| {
        let (model, word) = named.rsplit_once(mark)?;
        Some((model, Action::of_word(word)?))
    };
    let (model, action) = by(':').or_else(|| by('/'))?;
    let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy();
    Some((model.into_owned(), action))
}

fn unknown(named: &str) -> Failure {
    let words = Action::ALL.map(Action::word).join(", ");
    let message = format!("no such action: {named}; known behind the model's colon: {words}");
    Failure::new(FailureKind::NotFound, Side::Client, message)
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::protocol::Action;

    #[test]
    fn the_action_follows_the_last_colon() {
        for (named, expected) in [
            ("m:countTokens", Some(("m", Action::CountTokens))),
            ("m/generateContent", Some(("m", Action::GenerateContent))),
            (
                "maker/m.1:free:streamGenerateContent",
                Some(("maker/m.1:free", Action::StreamGenerateContent)),
            ),
            (
                "maker%2Fm:embedContent",
                Some(("maker/m", Action::EmbedContent)),
            ),
            ("m:unknown", None),
            ("m", None),
        ] {
            let expected = expected.map(|(model, action)| (model.to_owned(), action));
            assert_eq!(split(named), expected, "{named}");
        }
    }
}
