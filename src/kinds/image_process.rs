//! `image.process`: a stored image, fitted into a box and made fit for the web, with thumbnails.
//!
//! The work is done in a child process ([`legwork_isolate`]), from file to file. Its results are the task's own stored files, named by
//! its id: another attempt writes the same files again.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Kind, TaskContext};
use crate::files::{FileError, ScratchFile};
use crate::services::Services;
use legwork_engine::domain::{FieldError, FilePath, TaskFailure};
use legwork_image::{self, Animated, Fit, Format, MAX_SIDE, OutputFormat, ProcessedImage, Recipe, Size, ThumbnailRecipe};

/// The word for an image that asks for more than it may have.
const TOO_HEAVY: &str = "ImageTooHeavy";
/// The most thumbnails of one image.
const MAX_THUMBNAILS: usize = 10;
/// Largest side of a thumbnail, in pixels.
const MAX_THUMBNAIL: u32 = 2_048;
/// How long the links in a result can be used.
const LINK_LIFE: Duration = Duration::from_hours(7 * 24);

/// Args of `image.process`: the stored image and what to make of it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ImageProcessArgs)]
#[serde(deny_unknown_fields)]
pub struct ProcessImage {
    /// The image: a stored file, as in `uploads/image.jpg`. JPEG, PNG, WebP or GIF, by its content.
    pub file_path: FilePath,
    /// Most pixels of width of the result. The image is never enlarged.
    #[serde(default = "default_side")]
    #[schema(minimum = 1, maximum = 16_383, default = 1920, example = 1200)]
    pub max_width: u32,
    /// Most pixels of height of the result.
    #[serde(default = "default_side")]
    #[schema(minimum = 1, maximum = 16_383, default = 1920, example = 800)]
    pub max_height: u32,
    /// 1 to 100, for JPEG, WebP and AVIF.
    #[serde(default = "default_quality")]
    #[schema(minimum = 1, maximum = 100, default = 85, example = 85)]
    pub quality: u8,
    /// The format of the result. `keep` keeps the format of the source; `auto` takes that or WebP, whichever is smaller.
    #[serde(default)]
    pub format: OutputFormat,
    /// Smaller images to make as well. Default: 150 and 300 pixels, cropped square. An empty list makes none.
    #[serde(default = "default_thumbnails")]
    #[schema(max_items = 10)]
    pub thumbnails: Vec<Thumbnail>,
    /// Whether a JPEG appears at once and sharpens while it loads.
    #[serde(default = "default_progressive")]
    #[schema(default = true)]
    pub progressive: bool,
    /// What becomes of an animation.
    #[serde(default)]
    pub animated: Animated,
}

/// A thumbnail to make beside the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = ImageThumbnail)]
#[serde(deny_unknown_fields)]
pub struct Thumbnail {
    /// Its longest side, in pixels; less where the image has less.
    #[schema(minimum = 1, maximum = 2_048, example = 300)]
    pub size: u32,
    /// `crop` cuts a square out of the middle, `fit` keeps all of it.
    #[serde(default)]
    pub fit: Fit,
}

const fn default_side() -> u32 {
    1920
}

const fn default_quality() -> u8 {
    85
}

const fn default_progressive() -> bool {
    true
}

fn default_thumbnails() -> Vec<Thumbnail> {
    [150, 300].map(|size| Thumbnail { size, fit: Fit::Crop }).to_vec()
}

impl Kind for ProcessImage {
    const NAME: &'static str = "image.process";
    const DESCRIPTION: &'static str = "Fits a stored image into a box, puts it upright, converts it to sRGB, strips its metadata, \
        encodes it anew and makes thumbnails.";
    const HARD_LIMIT: Duration = Duration::from_mins(10);
    const ROUTE: Option<&'static str> = Some("/image/process");
    const FILES: &'static [&'static str] = &["/file_path"];

    fn example() -> Value {
        json!({ "file_path": "uploads/image.jpg", "max_width": 1200, "max_height": 800, "quality": 85 })
    }

    fn check(&self, services: &Services) -> Vec<FieldError> {
        let mut field_errors = Vec::new();
        let mut field_error = |pointer: String, detail: String| field_errors.push(FieldError::new(pointer, detail));
        let mut within = |pointer: String, value: u32, most: u32| {
            if !(1..=most).contains(&value) {
                field_error(pointer, format!("must be a whole number from 1 to {most}; got {value}"));
            }
        };
        within("/max_width".into(), self.max_width, MAX_SIDE);
        within("/max_height".into(), self.max_height, MAX_SIDE);
        within("/quality".into(), self.quality.into(), 100);
        for (index, thumbnail) in self.thumbnails.iter().enumerate() {
            within(format!("/thumbnails/{index}/size"), thumbnail.size, MAX_THUMBNAIL);
        }
        if self.thumbnails.len() > MAX_THUMBNAILS {
            field_error(
                "/thumbnails".into(),
                format!("has {} thumbnails; at most {MAX_THUMBNAILS} are allowed", self.thumbnails.len()),
            );
        }
        for (index, thumbnail) in self.thumbnails.iter().enumerate() {
            if self.thumbnails[..index].contains(thumbnail) {
                field_error(format!("/thumbnails/{index}"), "repeats an earlier entry of the list; remove it".into());
            }
        }
        if let Some(reason) = legwork_image::missing(self.format) {
            field_error("/format".into(), reason.to_owned());
        }
        if services.files.is_known_missing(&self.file_path) {
            field_error("/file_path".into(), format!("there is no stored file {}", self.file_path));
        }
        field_errors
    }

    async fn run(self, cx: TaskContext) -> Result<Value, TaskFailure> {
        let source = cx.or_cancelled(cx.files.local(&self.file_path)).await?.map_err(FileError::failure)?;
        let output = cx.files.scratch().await.map_err(FileError::failure)?;
        let mut outputs = Vec::with_capacity(self.thumbnails.len());
        for _ in &self.thumbnails {
            outputs.push(cx.files.scratch().await.map_err(FileError::failure)?);
        }
        let recipe = self.recipe(&cx, source.path(), &output, &outputs)?;
        let made = cx.or_cancelled(cx.services.isolate.call::<_, ProcessedImage>(legwork_image::WORK, &recipe)).await?;
        let image = made.map_err(|error| super::child_failure(error, self.file_path.as_str(), TOO_HEAVY))?;
        drop(source);
        cx.checkpoint()?;
        let kept = Kept::from(&cx);
        // The thumbnails first: whoever sees the image finds them.
        let mut thumbnails = Vec::with_capacity(outputs.len());
        for ((wanted, output), size) in self.thumbnails.iter().zip(outputs).zip(&image.thumbnails) {
            let end = if wanted.fit == Fit::Fit { "_fit" } else { "" };
            let name = format!("{}_{}{end}", cx.task, wanted.size);
            thumbnails.push(published(&cx, output, &name, image.format, *size, kept).await?);
        }
        let main = published(&cx, output, &cx.task.to_string(), image.format, image.size, kept).await?;
        Ok(self.result(&image, main, &thumbnails))
    }
}

impl ProcessImage {
    fn recipe(
        &self,
        cx: &TaskContext,
        source: &Path,
        output: &ScratchFile,
        thumbnails: &[ScratchFile],
    ) -> Result<Recipe, TaskFailure> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| TaskFailure::retry("StorageUnavailable", format!("the working folder: {error}")))
        };
        let mut recipes = Vec::with_capacity(thumbnails.len());
        for (&Thumbnail { size, fit }, scratch) in self.thumbnails.iter().zip(thumbnails) {
            recipes.push(ThumbnailRecipe { size, fit, output: absolute(scratch.path())? });
        }
        Ok(Recipe {
            source: absolute(source)?,
            output: absolute(output.path())?,
            max_width: self.max_width,
            max_height: self.max_height,
            quality: self.quality,
            format: self.format,
            progressive: self.progressive,
            animated: self.animated,
            thumbnails: recipes,
            limits: cx.services.image_limits,
        })
    }

    fn result(&self, image: &ProcessedImage, main: Value, thumbnails: &[Value]) -> Value {
        let (from, to) = (image.original, image.size);
        let animation = match (image.original_frames, image.frames) {
            (1, _) => "none",
            (_, 1) => "first_frame",
            _ => "kept",
        };
        let saved = i64::try_from(from.bytes).unwrap_or(i64::MAX).saturating_sub(i64::try_from(to.bytes).unwrap_or(i64::MAX));
        let mut result = json!({
            "success": true,
            "message": format!(
                "{} of {} × {} became {} of {} × {}", image.original_format, from.width, from.height, image.format, to.width, to.height
            ),
            "format": image.format,
            "source": self.file_path,
            "original": { "width": from.width, "height": from.height, "bytes": from.bytes, "format": image.original_format },
            "bytes_saved": saved,
            "animation": animation,
            "frames": image.frames,
            "color_converted": image.color_converted,
            "thumbnails": thumbnails,
        });
        if let (Some(result), Value::Object(main)) = (result.as_object_mut(), main) {
            result.extend(main);
        }
        result
    }
}

/// How long what was made is there.
#[derive(Clone, Copy)]
struct Kept {
    /// The file; `None` for good.
    until: Option<Timestamp>,
    /// The link to it.
    link_until: Timestamp,
}

impl Kept {
    fn from(cx: &TaskContext) -> Self {
        let after = |life: Duration| cx.clock.now().saturating_add(life).unwrap_or(Timestamp::MAX);
        let (until, link_until) = (cx.services.image_retention.map(after), after(LINK_LIFE));
        Self { until, link_until: until.map_or(link_until, |until| until.min(link_until)) }
    }
}

/// Makes an output a stored file, and tells of it.
async fn published(
    cx: &TaskContext,
    output: ScratchFile,
    name: &str,
    format: Format,
    size: Size,
    kept: Kept,
) -> Result<Value, TaskFailure> {
    let path = format!("images/{name}.{}", format.extension());
    let path = FilePath::parse(&path).map_err(|error| TaskFailure::fail("BadPath", error))?;
    let content_type = format!("image/{format}").to_ascii_lowercase();
    let link = cx.files.link(&path, kept.link_until);
    cx.files.publish(output, path.clone(), &content_type, kept.until).await.map_err(FileError::failure)?;
    Ok(json!({
        "file_path": path,
        "width": size.width,
        "height": size.height,
        "bytes": size.bytes,
        "download_url": link,
        "download_url_expires_at": kept.link_until,
        "expires_at": kept.until,
    }))
}
