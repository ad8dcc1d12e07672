//! The pack that is part of the program, so that a bare binary has something to show.

use legwork_pack::PackFiles;

/// Its name, by which `PACKS` and `--pack` know it where there is no folder of that name.
pub(super) const NAME: &str = "au-vlp";

/// Its files.
pub(super) fn files() -> PackFiles {
    PackFiles::from_texts(
        NAME,
        [
            ("pack.toml", include_str!("../../packs/au-vlp/pack.toml")),
            ("schema.sql", include_str!("../../packs/au-vlp/schema.sql")),
            ("schema.postgres.sql", include_str!("../../packs/au-vlp/schema.postgres.sql")),
            ("demo.sql", include_str!("../../packs/au-vlp/demo.sql")),
        ],
    )
}
