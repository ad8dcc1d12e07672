//! Models: the tables of an application's database that kinds may know, as they are declared.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// What a field holds, whatever its database calls the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A whole number of 64 bits.
    Integer,
    /// A number with decimals.
    Number,
    /// A string of any length.
    Text,
    /// A boolean.
    Boolean,
    /// A moment; one without a zone is taken as UTC.
    Timestamp,
    /// A calendar day without a time.
    Date,
    /// A UUID in its hyphenated form.
    Uuid,
    /// Any JSON value.
    Json,
}

impl FieldType {
    /// All of them, in the order in which they are told to users.
    pub const ALL: [Self; 8] =
        [Self::Integer, Self::Number, Self::Text, Self::Boolean, Self::Timestamp, Self::Date, Self::Uuid, Self::Json];

    /// Its name in a declaration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Json => "json",
        }
    }

    /// By its name in a declaration.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether its values are numbers, which no spreadsheet takes for a formula.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a model is to the built-in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelRole {
    /// People who use the application.
    User,
    /// People who run it.
    Admin,
    /// Rows that the application publishes, for example articles.
    Content,
    /// Who did what and when.
    Activity,
    /// What users are told inside the application.
    Notification,
}

impl ModelRole {
    /// Every role, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::User, Self::Admin, Self::Content, Self::Activity, Self::Notification];

    /// Its name in a declaration; a model of this name has the role unless another one claims it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Content => "content",
            Self::Activity => "activity",
            Self::Notification => "notification",
        }
    }

    /// By its name in a declaration.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

impl fmt::Display for ModelRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! field_roles {
    ($($variant:ident $name:literal [$($usual:literal)*] [$($kind:ident)*] $doc:literal;)*) => {
        /// What a field is to the built-in kinds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FieldRole {
            $(#[doc = $doc] $variant,)*
        }

        impl FieldRole {
            /// Every role, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in a declaration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Fields of these names have the role where the declaration names none; the first that there is.
            pub fn usual_names(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($usual),*],)* }
            }

            /// The types that such a field may have; empty for any.
            pub fn types(self) -> &'static [FieldType] {
                match self { $(Self::$variant => &[$(FieldType::$kind),*],)* }
            }
        }
    };
}

field_roles! {
    Address "address" ["email" "email_address"] [Text] "The e-mail address.";
    Phone "phone" ["phone" "phone_number"] [Text] "The telephone number.";
    Name "name" ["name" "full_name" "first_name" "username"] [Text] "How somebody is called.";
    Status "status" ["status" "state" "is_active"] [] "The state of a row; see the named values.";
    Created "created" ["created_at" "created" "date_joined" "timestamp"] [Timestamp Date] "When the row came to be.";
    Title "title" ["title" "subject" "name"] [Text] "The heading.";
    Body "body" ["body" "message" "content" "text"] [Text] "The text.";
    Kind "kind" ["kind" "type" "category"] [] "What sort of thing it is.";
    User "user" ["user_id" "user" "recipient_id"] [] "Whose it is: the key of a row of the model `user`.";
    Action "action" ["action" "event" "verb"] [] "What somebody did.";
    Author "author" ["author_id" "author" "created_by"] [] "Who made it: the key of a row of the model `admin`, or of `user` where no admins are declared.";
    Read "read" ["is_read" "read"] [Boolean] "Whether it was read.";
    ReadAt "read_at" ["read_at"] [Timestamp Date] "When it was read.";
    PublishAt "publish_at" ["publish_at" "scheduled_at" "scheduled_for"] [Timestamp Date] "When it is to be published.";
    PublishedAt "published_at" ["published_at"] [Timestamp Date] "When it was published.";
    ExpiresAt "expires_at" ["expires_at" "expiry_date" "valid_until"] [Timestamp Date] "When it expires.";
    Views "views" ["views" "view_count"] [Integer Number] "How often it was looked at.";
    LastSeen "last_seen" ["last_login_at" "last_login" "last_seen_at"] [Timestamp Date] "When somebody was last there.";
}

impl FieldRole {
    /// By its name in a declaration.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

impl fmt::Display for FieldRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelField {
    /// Its name for users.
    pub name: String,
    /// Its column in the table.
    pub column: String,
    /// The type of the field's values.
    pub kind: FieldType,
    /// Whether users may ask for it.
    pub may_export: bool,
    /// Whether users may filter by it.
    pub may_filter: bool,
}

/// A table as kinds may know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name for users.
    pub name: String,
    /// The table, as in `users` or `shop.users`.
    pub table: String,
    /// The name of the field that tells rows apart.
    pub key: String,
    /// Its fields, in the order of the declaration.
    pub fields: Vec<ModelField>,
    /// What it is to the built-in kinds.
    pub role: Option<ModelRole>,
    /// What its fields are to them.
    pub roles: BTreeMap<FieldRole, String>,
    /// Named values of the field with the role `status`, as in `published`.
    pub values: BTreeMap<String, Value>,
    /// Whether kinds may insert, change and delete rows.
    pub may_write: bool,
}

impl Model {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&ModelField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field with a role, where there is one.
    pub fn field_with(&self, role: FieldRole) -> Option<&ModelField> {
        self.field(self.roles.get(&role)?)
    }

    /// The names of the fields that users may ask for.
    pub fn exportable(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| field.may_export).map(|field| field.name.as_str())
    }

    /// The names of the fields that users may filter by.
    pub fn filterable(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| field.may_filter).map(|field| field.name.as_str())
    }

    /// Whether the key is compared as a number is.
    pub fn key_field(&self) -> Option<&ModelField> {
        self.field(&self.key)
    }
}
