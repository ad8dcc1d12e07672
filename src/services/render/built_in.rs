//! The templates that are part of the program, so that it mails without a folder beside it.

use std::collections::BTreeMap;

macro_rules! files {
    ($folder:literal; $($file:literal),* $(,)?) => {
        [$(($file, include_str!(concat!("../../../templates/", $folder, "/", $file)))),*]
    };
}

/// Every file of a mail by name.
pub(super) fn sources() -> BTreeMap<String, String> {
    let files = files!["emails";
        "_parts.html",
        "base.html",
        "base.txt",
        "newsletter.html",
        "newsletter.txt",
        "notification.html",
        "notification.txt",
        "report.html",
        "report.txt",
        "test_template.html",
        "test_template.txt",
        "weekly_stats.html",
        "weekly_stats.txt",
        "welcome_admin.html",
        "welcome_admin.txt",
        "welcome_user.html",
        "welcome_user.txt",
    ];
    files.into_iter().map(|(file, source)| (file.to_owned(), source.to_owned())).collect()
}

/// Every page by name.
pub(super) fn pages() -> BTreeMap<String, String> {
    files!["reports"; "report.html"].into_iter().map(|(file, source)| (file.to_owned(), source.to_owned())).collect()
}
