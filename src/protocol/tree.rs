//! Reading trees of JSON that somebody else wrote: what has the wrong type is named, what nobody took is known.

use serde_json::{Map, Value};

use crate::chat::Failure;

/// The members of an object, taken one by one.
#[derive(Debug)]
pub(crate) struct Fields {
    members: Map<String, Value>,
    /// Where the object is: `messages[2].`, or nothing.
    path: String,
}

impl Fields {
    /// The members of the request itself.
    ///
    /// # Errors
    /// It is no object.
    pub(crate) fn root(value: Value) -> Result<Fields, Failure> {
        match value {
            Value::Object(members) => Ok(Fields {
                members,
                path: String::new(),
            }),
            _ => Err(Failure::invalid("the body must be a JSON object")),
        }
    }

    /// The members of what stands at `path`, such as `messages[2]`.
    ///
    /// # Errors
    /// It is no object.
    pub(crate) fn of(value: Value, path: &str) -> Result<Fields, Failure> {
        match value {
            Value::Object(members) => Ok(Fields {
                members,
                path: format!("{path}."),
            }),
            _ => Err(wrong(path, "must be an object")),
        }
    }

    /// The full path of a member.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A failure that names a member.
    pub(crate) fn wrong(&self, name: &str, what: &str) -> Failure {
        wrong(&self.path(name), what)
    }

    /// A member whatever it is; `None` if it is not there, or `null`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    /// A member that is left where it is.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    /// A string that must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, Failure> {
        let text = self.text(name)?;
        text.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, Failure> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|number| number.is_finite());
        number
            .map(Some)
            .ok_or_else(|| self.wrong(name, "must be a number"))
    }

    /// A whole number that is not negative. Some programs write it as `12.0`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and negative numbers were sorted out"
    )]
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let whole = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
        });
        whole
            .map(Some)
            .ok_or_else(|| self.wrong(name, "must be a whole number that is not negative"))
    }

    /// The members of an object, if it is there.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields>, Failure> {
        let path = self.path(name);
        self.take(name)
            .map(|value| Fields::of(value, &path))
            .transpose()
    }

    /// The elements of an array; none if it is not there.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, Failure> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(name, "must be an array")),
        }
    }

    /// The elements of an array that are objects, each with its members.
    pub(crate) fn objects(&mut self, name: &str) -> Result<Vec<Fields>, Failure> {
        let path = self.path(name);
        let items = self.list(name)?.into_iter().enumerate();
        items
            .map(|(at, item)| Fields::of(item, &format!("{path}[{at}]")))
            .collect()
    }

    /// Throws members away that mean nothing elsewhere.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.members.shift_remove(*name);
        }
    }

    /// The names of what nobody took, and that say something.
    pub(crate) fn rest(self) -> impl Iterator<Item = String> {
        let path = self.path;
        self.members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(move |(name, _)| format!("{path}{name}"))
    }
}

/// The elements of a member that is an array, to be changed; none if it is not.
pub(crate) fn list<'a>(of: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let items = of.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

/// A failure that names a field of the request.
pub(crate) fn wrong(path: &str, what: &str) -> Failure {
    Failure::invalid(format!("`{path}` {what}")).about(path)
}

/// A tool's arguments as the object that they should be; text that is no object is kept as `{"_raw": text}`.
/// (protocols.md 3.1)
pub(crate) fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => object,
        _ => Value::Object(Map::from_iter([("_raw".to_owned(), text.into())])),
    }
}

/// Sets a member where there is something to set.
pub(crate) fn set(into: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), value.into());
    }
}
