mod auth;
mod outbound;
