//! What is looked at once a second, lest nobody notices.

use std::collections::BTreeSet;

use super::Gateway;
use crate::clock::UnixMillis;
use crate::quota::{Account, CLIENTS, GROUPS};
use crate::telemetry::alerts::{Reading, Sight, Trouble};

impl Gateway {
    /// Tells what somebody should look at, if it was not told before.
    pub(super) fn look_around(&self, now: UnixMillis) {
        let snapshot = self.snapshot();
        let mut accounts = Vec::new();
        let mut models = Vec::new();
        let mut read = |model: &str, provider: &str, account: &Account| {
            accounts.push(Reading {
                model: model.to_owned(),
                provider: provider.to_owned(),
                windows: account.standing(now).windows,
            });
        };
        let mut groups = BTreeSet::new();
        for route in snapshot.routes.iter() {
            let mut enabled = route.tiers.iter().flat_map(|tier| &tier.candidates);
            for candidate in enabled.clone() {
                let name = &candidate.provider.name;
                read(&route.model, name, &candidate.account);
                let id = candidate.provider.group.as_ref().map(|group| &*group.id);
                if let (Some(id), Some(group)) = (id, candidate.account.group())
                    && groups.insert(id)
                {
                    read(GROUPS, id, &group);
                }
            }
            let is_unserved = !route.tiers.is_empty() && enabled.all(|c| c.is_out(now));
            models.push((route.model.clone(), is_unserved));
        }
        for caller in snapshot.callers.iter() {
            read(CLIENTS, &caller.name, &caller.account);
        }
        let trouble = match self.quotas.is_shared() {
            true => Trouble::SharedState,
            false => Trouble::Disk,
        };
        let wanted = &snapshot.global.alerts;
        let sight = Sight {
            percentages: &wanted.quota,
            accounts: &accounts,
            models: &models,
            rejected: self.rejected.lock().is_some(),
            trouble: (trouble, self.quotas.trouble().is_some()),
        };
        self.alerts.look(&sight, wanted.webhook.is_some(), now);
    }
}
