//! Images: what comes of good ones, what is said of bad ones, and the children that work on them.

mod broken;
mod children;
mod kind;
mod make;
mod pixels;
mod tasks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use legwork_image::{Animated, Fit, ImageLimits, OutputFormat, ProcessedImage, Recipe, ThumbnailRecipe};
use legwork_isolate::IsolateConfig;
use legwork_isolate::{Isolate, IsolateError};

/// This program, as the tests start its children.
const PROGRAM: &str = env!("CARGO_BIN_EXE_legwork");

/// What an image may cost in tests.
pub const LIMITS: ImageLimits = ImageLimits { max_bytes: 50 << 20, max_pixels: 100_000_000, max_memory: 300 << 20 };

/// Two children of `program`.
pub fn config(program: impl Into<PathBuf>) -> IsolateConfig {
    IsolateConfig {
        program: program.into(),
        children: 2,
        max_memory: 300 << 20,
        requests_per_child: 1_000,
        time_limit: Duration::from_mins(1),
        keep: Duration::from_mins(1),
    }
}

/// A folder with images, and children that work on them.
struct Studio {
    folder: tempfile::TempDir,
    isolate: Isolate,
}

impl Studio {
    fn new() -> Self {
        Self::with(config(PROGRAM))
    }

    fn with(config: IsolateConfig) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), isolate: Isolate::new(config) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A recipe for an image of these bytes: a box of 40 × 40, no thumbnails, no loss.
    fn recipe(&self, bytes: &[u8]) -> Recipe {
        let source = self.path("source");
        std::fs::write(&source, bytes).unwrap();
        recipe(&source, &self.path("output"))
    }

    async fn run(&self, recipe: &Recipe) -> Result<ProcessedImage, IsolateError> {
        self.isolate.call(legwork_image::WORK, recipe).await
    }

    async fn made(&self, recipe: &Recipe) -> (ProcessedImage, Vec<u8>) {
        let image = self.run(recipe).await.unwrap();
        (image, std::fs::read(&recipe.output).unwrap())
    }

    /// The word and the text of a final refusal.
    async fn refused(&self, recipe: &Recipe) -> (String, String) {
        match self.run(recipe).await {
            Err(IsolateError::Refused { word, message, is_final: true }) => (word, message),
            other => panic!("{other:?}"),
        }
    }
}

fn recipe(source: &Path, output: &Path) -> Recipe {
    Recipe {
        source: source.to_owned(),
        output: output.to_owned(),
        max_width: 40,
        max_height: 40,
        quality: 90,
        format: OutputFormat::Keep,
        progressive: true,
        animated: Animated::FirstFrame,
        thumbnails: Vec::new(),
        limits: LIMITS,
    }
}

fn thumbnail(studio: &Studio, size: u32, fit: Fit) -> ThumbnailRecipe {
    ThumbnailRecipe { size, fit, output: studio.path(&format!("thumbnail-{size}-{fit:?}")) }
}
