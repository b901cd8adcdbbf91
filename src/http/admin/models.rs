//! Models of the registry, over HTTP: the same as `scoria models`, but for their bytes.

use std::collections::BTreeMap;

use hyper::Response;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::json;

use super::endpoints::{invalid, parse, read, refused};
use super::{Admin, json};
use crate::http::Body;
use crate::http::error::ApiError;
use crate::http::router::{ModelRoute, ModelVerb};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{
    Archived, Change, MetaEdit, ModelMeta, ModelQuery, ModelRef, ModelSelector, ModelVersion, ModelView, Models, Only,
    Pair, ProfileView, RegistryError,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagBody {
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    description: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonBody {
    #[serde(default)]
    reason: String,
}

impl Admin {
    /// Answers a request about models, by somebody who may.
    pub(super) async fn models(
        &self,
        route: &ModelRoute,
        parts: &Parts,
        body: Incoming,
        by: String,
    ) -> Result<Response<Body>, ApiError> {
        let models = self.desk()?.models().map_err(refused)?;
        let Some(text) = &route.version else {
            let found = models.search(&query(route, parts)?).await.map_err(failed)?;
            let views: Vec<_> = found.iter().map(ModelVersion::view).collect();
            return Ok(json(&json!({ "models": views })));
        };
        let selector = format!("{}:{text}", route.name.as_deref().unwrap_or_default());
        let selector: ModelSelector = selector.parse().map_err(failed)?;
        let version = models.select(&selector).await.map_err(failed)?;
        if route.verb == ModelVerb::Show {
            let profile = models.profile(&version.manifest.model_ref()).latest().await.map_err(failed)?;
            let profile = profile.as_ref().map(ProfileView::of);
            return Ok(json(&ModelView { profile, ..version.view() }));
        }
        let body = read(parts, body).await?;
        change(&models, &version.manifest.model_ref(), route.verb, &body, by).await
    }
}

async fn change(
    models: &Models,
    model: &ModelRef,
    verb: ModelVerb,
    body: &[u8],
    by: String,
) -> Result<Response<Body>, ApiError> {
    let change = |why: String, usual: &str| Change {
        by,
        why: if why.is_empty() { usual.to_owned() } else { why },
        at: Moment::now(),
    };
    let archive = |archived| {
        move |meta: &mut ModelMeta| {
            meta.archived = archived;
            Ok(())
        }
    };
    let version = match verb {
        ModelVerb::Tag => {
            let TagBody { tags, remove, properties, description, reason } = parse(body)?;
            let edit = MetaEdit { tags, remove, properties, description };
            if edit.is_empty() {
                return Err(invalid("nothing to change: give tags, remove, properties or description".to_owned()));
            }
            models.describe(model, &change(reason, "described"), |meta| edit.apply(meta, model)).await
        }
        ModelVerb::Delete => {
            let ReasonBody { reason } = parse(body)?;
            let collected = models.delete(model, &change(reason, "deleted")).await.map_err(failed)?;
            return Ok(json(&json!({ "deleted": model.to_string(), "collected": collected })));
        }
        _ => {
            let ReasonBody { reason } = parse(body)?;
            let archived = verb == ModelVerb::Archive;
            let usual = if archived { "archived" } else { "restored" };
            models.describe(model, &change(reason, usual), archive(archived)).await
        }
    };
    Ok(json(&version.map_err(failed)?.view()))
}

/// What is looked for: `?tag=stage=prod&property=commit&latest=true&archived=true`.
fn query(route: &ModelRoute, parts: &Parts) -> Result<ModelQuery, ApiError> {
    let name = route.name.as_deref().map(Name::parse).transpose().map_err(|error| invalid(error.to_string()))?;
    let mut query = ModelQuery { name, ..ModelQuery::default() };
    for (key, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        let switch =
            || value.parse::<bool>().map_err(|_| invalid(format!("{key}: expected true or false, got '{value}'")));
        match key.as_ref() {
            "tag" => query.tags.push(value.parse::<Pair>().map_err(failed)?),
            "property" => query.properties.push(value.parse::<Pair>().map_err(failed)?),
            "latest" if switch()? => query.only = Only::Latest,
            "archived" if switch()? => query.archived = Archived::Included,
            "latest" | "archived" => {}
            _ => return Err(invalid(format!("'{key}' is no filter; there are tag, property, latest and archived"))),
        }
    }
    Ok(query)
}

fn failed(error: RegistryError) -> ApiError {
    refused(error.into())
}
