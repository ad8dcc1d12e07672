//! The picture that document and examples speak of: it is there at once where nothing is configured.

use jiff::Timestamp;

use crate::files::{FileError, FileFacts, FileKeeper};
use legwork_engine::domain::{FilePath, Principal};

/// 1600 × 1067, drawn by `scripts/lib/demonstration_picture.py`.
const PICTURE: &[u8] = include_bytes!("../../assets/image.jpg");
const PATH: &str = "uploads/image.jpg";

/// Stores the picture where it is missing.
pub async fn place_picture(keeper: &FileKeeper, now: Timestamp) -> Result<(), FileError> {
    let Ok(path) = FilePath::parse(PATH) else { return Ok(()) };
    if keeper.storage().exists(&path).await? {
        return Ok(());
    }
    let facts = FileFacts {
        path,
        content_type: "image/jpeg".into(),
        principal: Principal::system().subject,
        maker: None,
        created_at: now,
        expires_at: None,
    };
    let mut writer = keeper.create(facts).await?;
    writer.write(PICTURE).await?;
    writer.finish().await.map(drop)
}
