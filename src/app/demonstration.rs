//! The image that document and examples speak of: it is there at once where nothing is configured.

use jiff::Timestamp;

use crate::files::{FileError, FileService, NewFile};
use legwork_engine::domain::{FilePath, Principal};

/// 1600 × 1067, drawn by `scripts/lib/demonstration_image.py`.
const IMAGE: &[u8] = include_bytes!("../../assets/image.jpg");
const PATH: &str = "uploads/image.jpg";

/// Stores the image where it is missing.
pub async fn place_image(file_service: &FileService, now: Timestamp) -> Result<(), FileError> {
    let Ok(path) = FilePath::parse(PATH) else { return Ok(()) };
    if file_service.storage().exists(&path).await? {
        return Ok(());
    }
    let new_file = NewFile {
        path,
        content_type: "image/jpeg".into(),
        principal: Principal::system().subject,
        produced_by: None,
        created_at: now,
        expires_at: None,
    };
    let mut writer = file_service.create(new_file).await?;
    writer.write(IMAGE).await?;
    writer.finish().await.map(drop)
}
