//! From the name a client asks for to the tiers that can serve it.

use std::collections::HashMap;
use std::sync::Arc;

use super::candidate::Candidate;
use super::queue::Queue;
use super::strategy::Strategy;
use super::wheel::Wheel;
use crate::chat::{Failure, FailureKind, Side};

/// How many names an "unknown model" answer suggests.
const SUGGESTIONS: usize = 3;

/// All models of one configuration.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<String, Arc<Route>, foldhash::fast::RandomState>,
    /// Longest literal part first.
    patterns: Vec<Arc<Route>>,
    redirects: HashMap<String, String>,
}

/// One model and who serves it.
#[derive(Debug)]
pub struct Route {
    /// The name in the configuration; may hold one `*`.
    pub model: String,
    /// Further names.
    pub aliases: Vec<String>,
    /// Whether lists of models leave it out.
    pub hidden: bool,
    /// How the members of a tier are put in order.
    pub strategy: Strategy,
    /// Those who wait for room.
    pub queue: Arc<Queue>,
    /// Smallest priority first.
    pub tiers: Vec<Tier>,
    /// Those that are switched off, for people to see.
    pub disabled: Vec<Arc<Candidate>>,
}

/// The candidates of one priority.
#[derive(Debug)]
pub struct Tier {
    /// Their priority.
    pub priority: i64,
    /// In the order of the file.
    pub candidates: Vec<Arc<Candidate>>,
    /// Whose turn it is.
    pub wheel: Arc<Wheel>,
}

/// The route of a requested name.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Who serves it.
    pub route: &'a Arc<Route>,
    /// What the name had in place of the pattern's `*`.
    pub rest: Option<String>,
}

/// What `model` has in place of the `*` of `pattern`, if it matches.
pub fn capture<'m>(pattern: &str, model: &'m str) -> Option<&'m str> {
    let (before, after) = pattern.split_once('*')?;
    model.strip_prefix(before)?.strip_suffix(after)
}

impl Routes {
    /// Takes routes in the order of the file, and redirects from one name to another.
    pub fn new(routes: Vec<Route>, redirects: Vec<(String, String)>) -> Routes {
        let mut all = Routes {
            redirects: redirects.into_iter().collect(),
            ..Routes::default()
        };
        for route in routes {
            let route = Arc::new(route);
            for alias in &route.aliases {
                all.exact.insert(alias.clone(), route.clone());
            }
            if route.model.contains('*') {
                all.patterns.push(route);
            } else {
                all.exact.insert(route.model.clone(), route);
            }
        }
        all.patterns
            .sort_by_key(|route| std::cmp::Reverse(route.model.len()));
        all
    }

    /// Who serves `model`: its redirect first, then the exact name or alias, then the pattern with the
    /// longest literal part.
    pub fn find(&self, model: &str) -> Option<Found<'_>> {
        let model = self.redirects.get(model).map_or(model, String::as_str);
        if let Some(route) = self.exact.get(model) {
            return Some(Found { route, rest: None });
        }
        self.patterns.iter().find_map(|route| {
            let rest = capture(&route.model, model)?;
            Some(Found {
                route,
                rest: Some(rest.to_owned()),
            })
        })
    }

    /// The route that the configuration calls `name`, pattern or not.
    pub fn named(&self, name: &str) -> Option<&Arc<Route>> {
        self.exact
            .get(name)
            .or_else(|| self.patterns.iter().find(|route| route.model == name))
    }

    /// Every route once, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut all: Vec<_> = self
            .exact
            .iter()
            .filter(|(name, route)| **name == route.model)
            .map(|(_, route)| route)
            .chain(&self.patterns)
            .collect();
        all.sort_by(|a, b| a.model.cmp(&b.model));
        all.into_iter()
    }

    /// The models a client may be shown: those with somebody to serve them, neither hidden nor patterns.
    pub fn listed(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.iter()
            .filter(|route| !route.hidden && !route.tiers.is_empty() && !route.model.contains('*'))
    }

    /// What somebody is told who asks for a `model` that nobody serves. Only models that `may_see` lets
    /// through are named.
    pub fn unknown(&self, model: &str, may_see: impl Fn(&Route) -> bool) -> Failure {
        let nearest = self.nearest(model, may_see);
        let hint = if nearest.is_empty() {
            "GET /v1/models lists those that do".to_owned()
        } else {
            format!("did you mean `{}`?", nearest.join("`, `"))
        };
        let message = format!("the model `{model}` does not exist; {hint}");
        Failure::new(FailureKind::UnknownModel, Side::Client, message).about("model")
    }

    /// The known names most like `model`, for somebody who mistyped one.
    fn nearest(&self, model: &str, may_see: impl Fn(&Route) -> bool) -> Vec<&str> {
        let mut names: Vec<(usize, &str)> = self
            .listed()
            .filter(|route| may_see(route))
            .map(|route| {
                (
                    strsim::damerau_levenshtein(model, &route.model),
                    route.model.as_str(),
                )
            })
            .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 2)
            .collect();
        names.sort_unstable();
        names
            .into_iter()
            .take(SUGGESTIONS)
            .map(|(_, name)| name)
            .collect()
    }
}

impl Route {
    /// Every candidate, switched-off ones last.
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.tiers
            .iter()
            .flat_map(|tier| &tier.candidates)
            .chain(&self.disabled)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Route, Routes};
    use crate::routing::Strategy;

    fn routes(names: &[&str]) -> Routes {
        let routes = names
            .iter()
            .map(|name| Route {
                model: (*name).to_owned(),
                aliases: vec![format!("{name}-alias")],
                hidden: false,
                strategy: Strategy::default(),
                queue: Arc::default(),
                tiers: Vec::new(),
                disabled: Vec::new(),
            })
            .collect();
        Routes::new(routes, vec![("old".into(), "gpt-4o".into())])
    }

    #[test]
    fn a_name_is_found_by_redirect_exact_name_alias_and_longest_pattern() {
        let routes = routes(&["gpt-4o", "gpt-*", "*", "gpt-*-mini"]);
        for (asked, model, rest) in [
            ("gpt-4o", "gpt-4o", None),
            ("old", "gpt-4o", None),
            ("gpt-4o-alias", "gpt-4o", None),
            ("gpt-5", "gpt-*", Some("5")),
            ("gpt-5-mini", "gpt-*-mini", Some("5")),
            ("qwen", "*", Some("qwen")),
            ("gpt-mini", "gpt-*", Some("mini")),
        ] {
            let found = routes.find(asked).unwrap();
            assert_eq!(
                (found.route.model.as_str(), found.rest.as_deref()),
                (model, rest),
                "{asked}"
            );
        }
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        assert!(routes(&["gpt-4o"]).find("gpt-4").is_none());
    }
}
