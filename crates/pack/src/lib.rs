//! # legwork-pack: tasks without code
//!
//! A pack is a folder with a `pack.toml`, SQL and templates. It declares data sources, models, kinds and schedules, so that a team brings its own
//! background work without compiling anything. This crate reads and checks packs. It runs nothing and connects to nothing: what a kind does when a
//! task of it is run is up to the runners, which receive the types of this crate.
//!
//! ```
//! use legwork_pack::{Host, PackFiles, PackSet, Runner};
//!
//! let files = PackFiles::from_texts("packs/shop", [
//!     ("pack.toml", r#"
//!         [pack]
//!         name = "shop"
//!         description = "What the shop does by itself."
//!
//!         [sources.shop]
//!         url = "env:SHOP_DATABASE_URL"
//!
//!         [kinds."shop.close_carts"]
//!         description = "Closes carts that nobody has touched for some days."
//!         runner = "sql"
//!         sql = "sql/close_carts.sql"
//!         bind = { before = { type = "datetime", value = "{{ now | minus(days=params.days) }}" } }
//!         params = { days = { type = "integer", min = 1, default = 30 } }
//!         summary = "Closed {{ results.affected }} carts"
//!
//!         [schedules."Close old carts"]
//!         kind = "shop.close_carts"
//!         crontab = "0 3 * * *"
//!     "#),
//!     ("sql/close_carts.sql", "UPDATE carts SET closed_at = :now WHERE closed_at IS NULL AND touched_at < :before"),
//! ]);
//! let packs = PackSet::from_files(&[files], &Host::default()).unwrap();
//! let (_, kind) = packs.kind("shop.close_carts").unwrap();
//! assert!(matches!(kind.runner, Runner::Sql(_)));
//! assert_eq!(kind.params.parse("{}").unwrap()["days"], 30);
//! ```
//!
//! ## What comes in
//!
//! - [`PackFiles`]: the text files of one pack, from a folder or from memory.
//! - [`Host`]: what the program offers: its compiled kinds, its mail templates, the environment, the time.
//!
//! ## What comes out
//!
//! - [`PackSet`]: packs that were found right together, with their [`Kind`]s and [`Schedule`]s, or [`Faults`]: everything that is wrong with any of
//!   them, each with file, line and column.
//! - [`Params`]: the typed args of a kind: their JSON Schema, and the check of args with defaults applied.
//! - [`Engine`], [`Scope`], [`Value`], [`Expression`]: values with `{{ … }}` in them, and what they are evaluated over.
//! - [`Sql`]: statements for both [`Dialect`]s with numbered placeholders. [`Engine::bound`] gives the values to bind; no value ever becomes part of
//!   a statement.
//! - [`pack_schema`]: the JSON Schema of `pack.toml`, for editors. It is made of the same tables as the loader's own checks.

mod check;
mod engine;
mod fault;
mod fields;
mod files;
mod host;
mod kind;
mod load;
mod moment;
mod pack;
mod param;
mod read;
mod schema;
mod shape;
mod sql;
mod starter;
mod tree;
mod units;

pub use engine::{Engine, Expression, Scope, Value, ValueError, install};
pub use fault::{Fault, Faults, Place};
pub use files::{FilesError, PackFiles};
pub use host::{ArgsCheck, Host, HostKind};
pub use kind::{
    Backoff, Body, Builtin, ChildSpec, DEFAULT_BATCH, DEFAULT_MAX_ROWS, Data, EffectSteps, Email, Export, ExportRows, FanOut,
    FileMail, Http, Kind, Limits, Link, NoRow, OnUnknown, Query, Report, ReportFile, Rows, Runner, Sms, Step,
};
pub use load::PackSet;
pub use pack::{DemoSource, Model, ModelField, Pack, Route, Schedule, Script, Setting, Source, SourceUrl};
pub use param::{ArgFault, Param, ParamType, Params, RESERVED_PARAMS};
pub use schema::pack_schema;
pub use sql::{Bind, Dialect, Parameter, Sql, SqlType, SqlValue, Statement};
pub use starter::{PackNameError, starter};
pub use units::{Rate, parse_duration};
