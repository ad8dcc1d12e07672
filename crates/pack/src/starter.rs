//! The small working pack that `legwork pack new NAME` makes, and that `docs/packs.md` teaches.

/// The name that stands in the files of the starter.
const NAME: &str = "shop";

const FILES: [(&str, &str); 7] = [
    ("pack.toml", include_str!("../starter/pack.toml")),
    ("schema.sql", include_str!("../starter/schema.sql")),
    ("demo.sql", include_str!("../starter/demo.sql")),
    ("sql/close_carts.sql", include_str!("../starter/sql/close_carts.sql")),
    ("sql/unpaid.sql", include_str!("../starter/sql/unpaid.sql")),
    ("sql/invoice.sql", include_str!("../starter/sql/invoice.sql")),
    ("templates/emails/reminder.html", include_str!("../starter/templates/emails/reminder.html")),
];

/// The name is not one of a pack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name of a pack: a-z, 0-9 and -, beginning with a letter, 63 characters at most")]
pub struct PackNameError(String);

/// The files of a new pack, by path.
pub fn starter(name: &str) -> Result<Vec<(&'static str, String)>, PackNameError> {
    if !crate::read::is_pack_name(name) {
        return Err(PackNameError(name.to_owned()));
    }
    let identifier = name.replace('-', "_");
    let named = |text: &str| {
        text.replace("SHOP_", &format!("{}_", identifier.to_ascii_uppercase()))
            .replace("[sources.shop]", &format!("[sources.{identifier}]"))
            .replace("name = \"shop\"", &format!("name = {name:?}"))
            .replace(&format!("\"{NAME}."), &format!("\"{name}."))
    };
    Ok(FILES.into_iter().map(|(path, text)| (path, named(text))).collect())
}
