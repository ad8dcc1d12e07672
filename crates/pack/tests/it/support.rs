//! A host, and packs of texts.

use legwork_pack::{Fault, Host, HostKind, PackFiles, PackSet};
use serde_json::json;

/// A host with two compiled kinds and one mail template.
pub fn host() -> Host {
    let kind = |properties: &[&str], required: &[&str]| HostKind {
        schema: json!({
            "type": "object",
            "properties": properties.iter().map(|name| ((*name).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>(),
            "required": required,
            "additionalProperties": false,
        }),
        ..HostKind::default()
    };
    Host {
        kinds: [
            ("notify.admins".to_owned(), kind(&["subject", "message"], &["subject"])),
            ("notifications.cleanup".to_owned(), kind(&["days", "source"], &[])),
        ]
        .into(),
        email_templates: ["notification".to_owned()].into(),
        ..Host::default()
    }
}

/// What a pack needs before its kinds.
pub const HEAD: &str = "[pack]\nname = \"p\"\ndescription = \"d\"\n[sources.s]\nurl = \"env:S\"\n";

/// Loads one pack whose `pack.toml` is [`HEAD`] and these lines.
pub fn load(lines: &str) -> Result<PackSet, Vec<String>> {
    load_files(&[("pack.toml", &format!("{HEAD}{lines}"))])
}

pub fn load_files(files: &[(&str, &str)]) -> Result<PackSet, Vec<String>> {
    let files = PackFiles::from_texts("p", files.iter().copied());
    PackSet::from_files(&[files], &host()).map_err(|faults| faults.iter().map(Fault::to_string).collect())
}
