//! Bodies about who answers for a service, who may write it, and what it needs.

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::{Declaration, Revision};

/// A field of an [`Amendment`]: missing, `null`, or a value.
type Change<T> = Option<Option<T>>;

/// Body of `PATCH /v1/services/{service}`: what is to be declared otherwise. A field that is missing stays as it is,
/// one that is `null` is taken back (RFC 7396).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"owner": "squad-search", "tier": 1, "runbook": null}))]
pub struct Amendment {
    /// Protocol label.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub proto: Change<String>,
    /// Who answers for it.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub owner: Change<String>,
    /// How to reach the owner.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub contact: Change<String>,
    /// Where the instructions for trouble are.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub runbook: Change<String>,
    /// Services that it needs, all of them.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub dependencies: Change<Vec<String>>,
    /// How important it is, 0 to 9; lower is more important.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, maximum = 9)]
    pub tier: Change<u32>,
    /// The fewest serving instances that are enough.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub min: Change<u32>,
    /// How long the guard holds silent instances, in seconds.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub hold: Change<u32>,
    /// TTL of its records in seconds.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub ttl: Change<u32>,
    /// Sites in order of preference, all of them.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<String>>>)]
    pub tiers: Change<Vec<Vec<String>>>,
    /// The most records of one type that an answer has.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub answer_limit: Change<u32>,
}

impl Amendment {
    /// A declaration with what this changes.
    pub fn amend(&self, mut declaration: Declaration) -> Declaration {
        put(&mut declaration.proto, &self.proto);
        put(&mut declaration.owner, &self.owner);
        put(&mut declaration.contact, &self.contact);
        put(&mut declaration.runbook, &self.runbook);
        put(&mut declaration.tier, &self.tier);
        put(&mut declaration.min, &self.min);
        put(&mut declaration.hold, &self.hold);
        put(&mut declaration.ttl, &self.ttl);
        put(&mut declaration.answer_limit, &self.answer_limit);
        if let Some(dependencies) = &self.dependencies {
            declaration.dependencies = dependencies.clone().unwrap_or_default();
        }
        if let Some(tiers) = &self.tiers {
            declaration.tiers = tiers.clone().unwrap_or_default();
        }
        declaration
    }
}

fn put<T: Clone>(declared: &mut Option<T>, change: &Change<T>) {
    if let Some(value) = change {
        declared.clone_from(value);
    }
}

/// A field that is there, be it `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Change<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Body of `POST /v1/services/{service}/grants` and of `POST /v1/services/{service}/transfer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "squad-web"}))]
pub struct Grantee {
    /// Public id of the token, or its name.
    pub token: String,
}

/// Reply to `GET /v1/services/{service}/dependencies`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dependencies {
    /// The registry's revision that the tree shows.
    pub revision: Revision,
    /// Who needs whom: true when each service stands above those that depend on it.
    pub reverse: bool,
    /// The tree from its root on, each service before those below it; its depth says where it belongs.
    pub services: Vec<Dependency>,
    /// True when the tree is larger and was cut.
    pub truncated: bool,
}

/// One place in a tree of services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dependency {
    /// Service label.
    pub service: String,
    /// How many steps from the root; the root has 0.
    pub depth: usize,
    /// Whether DNS knows it: false for one that is only named as a dependency.
    pub known: bool,
    /// Instances in the answers.
    pub serving: usize,
    /// Who answers for it, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How important it is, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// True when it stands above itself: a cycle, which is not followed.
    pub cycle: bool,
    /// True when what is below it has been shown at its first place.
    pub repeated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stays_and_null_takes_back() {
        let before: Declaration =
            serde_json::from_str(r##"{"owner":"a","contact":"#a","dependencies":["index"],"tier":1}"##).expect("body");
        let text = r#"{"owner":"b","contact":null,"min":2}"#;
        let amendment: Amendment = serde_json::from_str(text).expect("body");
        assert_eq!(serde_json::to_string(&amendment).expect("JSON"), text);
        let after = amendment.amend(before.clone());
        assert_eq!((after.owner.as_deref(), after.contact, after.tier, after.min), (Some("b"), None, Some(1), Some(2)));
        assert_eq!(after.dependencies, ["index"]);
        assert_eq!(Amendment::default().amend(before.clone()), before);
        assert!(serde_json::from_str::<Amendment>(r#"{"onwer":"b"}"#).is_err());
    }
}
