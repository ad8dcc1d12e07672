//! The list of settings, from which `.env.example` is written.

/// A setting: an environment variable with its default and its description.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Its default, as it would be written; empty where there is none.
    pub default: &'static str,
    /// What it does, and what is allowed.
    pub doc: &'static str,
}

const fn setting(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, doc }
}

/// Every setting, in the order of `.env.example`.
pub const SETTINGS: &[Setting] = &[
    setting("ROLES", "api,worker,scheduler", "What this process does: any of api, worker, scheduler."),
    setting("LISTEN", "127.0.0.1:8000", "Address and port of the HTTP server. A bare worker listens only where it is set."),
    setting("PUBLIC_URL", "", "How users reach the server, as in https://tasks.example.org. Default: http:// and LISTEN."),
    setting("DATA_DIR", "data", "Folder for the embedded database, generated secrets and the outbox."),
    setting("DATABASE_URL", "", "postgres://user:password@host/database. Default: a SQLite file in DATA_DIR."),
    setting(
        "DATABASE_CONNECTIONS",
        "10",
        "Connections to the database for reads; the batched writes hold eight more at most, and a worker's heartbeat one.",
    ),
    setting(
        "ENCRYPTION_KEYS",
        "",
        "Keys that args, results and errors are encrypted with in the database, as id:base64 of 32 bytes, with commas: the first \
        encrypts, all decrypt, so a new key goes in front. legwork encryption-key makes one. Default: nothing is encrypted.",
    ),
    setting(
        "REDIS_URL",
        "",
        "redis://, rediss:// (TLS), redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port. \
        Falls back to REDISCLOUD_URL, then CELERY_BROKER_URL. Default: an in-process queue.",
    ),
    setting("REDISCLOUD_URL", "", "Used where REDIS_URL is not set."),
    setting("CELERY_BROKER_URL", "", "Used where REDIS_URL and REDISCLOUD_URL are not set."),
    setting("REDIS_PREFIX", "legwork", "What every Redis key starts with, so that a server can be shared."),
    setting(
        "JWT_SECRET",
        "",
        "Secret for HS256 tokens, at least 32 characters; several with commas for rotation: the first signs, all verify. \
        Required with Postgres unless JWT_PUBLIC_KEY is set; embedded, one is made and kept in DATA_DIR.",
    ),
    setting(
        "JWT_PUBLIC_KEY",
        "",
        "Public key (PEM, or the path of a PEM file) for RS256 or EdDSA tokens that another issuer signs.",
    ),
    setting("JWT_ISSUER", "legwork", "The iss that a token must have."),
    setting("JWT_AUDIENCE", "legwork", "The aud that a token must have."),
    setting("RATE_LIMIT", "1000", "Submissions per second and principal; off for no limit."),
    setting("BODY_LIMIT", "1MiB", "The largest request body."),
    setting("ARGS_LIMIT", "256KiB", "The largest args of one task."),
    setting("RESULT_LIMIT", "256KiB", "The largest result of one task."),
    setting("BATCH_LIMIT", "1000", "The most tasks in one POST /tasks/batch."),
    setting("REQUEST_TIMEOUT", "30s", "The longest time for a request; long polls and event streams have their own."),
    setting("CORS_ORIGINS", "", "Origins that browsers may call from, with commas, or * for any; none by default."),
    setting("TRUSTED_PROXIES", "", "Addresses or ranges of reverse proxies whose X-Forwarded-For is believed, with commas."),
    setting("METRICS", "on", "Whether /metrics is served: on or off."),
    setting("WORKER_NAME", "", "This worker's name: %h is the host, %p the process id. Unique by default."),
    setting("CONCURRENCY", "100", "Tasks that run at once in this process."),
    setting("QUEUES", "", "Queues that this worker serves, with commas; all by default."),
    setting("QUEUE_CONCURRENCY", "", "Tasks of a queue that run at once in this process, as in heavy=2,mail=10."),
    setting("ROUTES", "", "Which queue a kind goes to, as in email.*=mail,report.*=heavy; the first pattern that fits."),
    setting("SHUTDOWN_GRACE", "25s", "How long running tasks may finish after SIGTERM before they are released."),
    setting("LEASE", "30s", "A worker without a heartbeat for this long is declared dead, and its tasks are rescued; 3s to 1h."),
    setting("RESULT_RETENTION", "30d", "How long results are kept."),
    setting("IDEMPOTENCY_RETENTION", "24h", "How long an Idempotency-Key is kept."),
    setting(
        "SMTP_URL",
        "",
        "smtp://host:25 (plain), smtp+starttls://user:password@host:587 or smtps://user:password@host:465. \
        Default: mails are written to DATA_DIR/outbox.",
    ),
    setting("SMTP_CONNECTIONS", "4", "Connections to the mail server at most."),
    setting("SMTP_MESSAGES_PER_CONNECTION", "100", "Messages over one connection before it is opened anew."),
    setting("SMTP_TIMEOUT", "30s", "How long the mail server may take for one command."),
    setting("BULK_RECIPIENT_LIMIT", "10000", "Recipients of one bulk mail, or of one message to many, at most."),
    setting("BULK_CONNECTIONS", "8", "Connections to the mail server for bulk mail at most, beside SMTP_CONNECTIONS."),
    setting(
        "BULK_SUPPRESS_BOUNCES",
        "on",
        "Whether an address of which the mail server says that it does not exist (550, 551, 553 with 5.1.x) gets no bulk mail any more: on or off.",
    ),
    setting("TIMEZONE", "UTC", "The zone of schedules that name none: an IANA name, as in Africa/Accra."),
    setting("MAIL_FROM", "Legwork <legwork@localhost>", "The sender of mails."),
    setting(
        "MAIL_FROM_DOMAINS",
        "",
        "The domains of other senders that a mail may name in `from`, with commas; * allows all. Default: the domain of MAIL_FROM.",
    ),
    setting(
        "SMS_PROVIDER",
        "outbox",
        "Who sends text messages: hubtel; http, any provider by the templates below; or outbox, files in DATA_DIR/outbox.",
    ),
    setting(
        "SMS_FROM",
        "Legwork",
        "The sender of text messages: 1 to 11 letters, digits and .-_& with a letter, or 3 to 15 digits.",
    ),
    setting("SMS_CONNECTIONS", "4", "Calls to the provider at once."),
    setting("SMS_TIMEOUT", "30s", "How long the provider may take for one message."),
    setting("SMS_MAX_SEGMENTS", "10", "The longest message, in segments of 160 (153) or 70 (67) characters."),
    setting("HUBTEL_CLIENT_ID", "", "The client id of the Hubtel account."),
    setting("HUBTEL_CLIENT_SECRET", "", "Its secret."),
    setting("HUBTEL_URL", "https://sms.hubtel.com/v1/messages/send", "Where Hubtel takes messages."),
    setting(
        "SMS_HTTP_URL",
        "",
        "Where the provider takes messages: a template of to, to_digits (without the +), from, message and message_id, each encoded \
        for a URL.",
    ),
    setting("SMS_HTTP_METHOD", "POST", "POST, PUT or GET (which sends no body)."),
    setting(
        "SMS_HTTP_HEADERS",
        "{\"content-type\": \"application/json\"}",
        "Headers as a JSON object; the values are templates.",
    ),
    setting(
        "SMS_HTTP_BODY",
        "{\"to\": {{ to }}, \"from\": {{ from }}, \"message\": {{ message }}}",
        "The body, a template. Values are encoded as the content-type asks: JSON (with the quotes), form fields, XML, or as they are.",
    ),
    setting("SMS_HTTP_ACCEPTED", "200,201,202", "The statuses that mean that the message was taken."),
    setting(
        "SMS_HTTP_ACCEPTED_IF",
        "",
        "An expression of status, json and text (the answer's body) that holds as well where it was taken, as in json.code == 0.",
    ),
    setting("SMS_HTTP_MESSAGE_ID", "", "An expression for the provider's id of the message, as in json.data.id."),
    setting(
        "TEMPLATES_DIR",
        "templates",
        "Folder with emails/NAME.html and emails/NAME.txt; what is not there comes from the program itself.",
    ),
    setting("SITE_NAME", "Legwork", "site_name in templates."),
    setting("FRONTEND_URL", "", "frontend_url in templates. Default: PUBLIC_URL."),
    setting(
        "OUTBOUND_ALLOW",
        "",
        "Private addresses or ranges that callbacks, http.call and the provider of text messages may have, as in 10.0.0.0/8, with commas; none by default.",
    ),
    setting(
        "WEBHOOK_SECRET",
        "",
        "Secret that signs callbacks and http.call: whsec_ and base64 of 24 to 64 bytes. Embedded, one is made and kept in DATA_DIR; \
        where there is none, callback_url and http.call are refused.",
    ),
    setting(
        "SOURCES",
        "",
        "A TOML file that declares the application's databases and their models. Default: the source app is a demonstration in \
        DATA_DIR/demo.db, made at first start.",
    ),
    setting(
        "PACKS",
        "",
        "Folders of packs, with commas; none loads no pack. Default: au-vlp, which is part of the program, if the server runs embedded, else none.",
    ),
    setting(
        "DEMO",
        "off",
        "Whether a source of a pack that is not configured is a demonstration in DATA_DIR, made of the pack's own rows: on or off. \
        Always on if the server runs embedded.",
    ),
    setting(
        "STORAGE_URL",
        "",
        "Where files are kept: file:///absolute/folder, or s3://bucket/prefix (a build with --features s3). Default: files in DATA_DIR.",
    ),
    setting("AWS_ACCESS_KEY_ID", "", "Key id for the bucket. Default: the role of the machine."),
    setting("AWS_SECRET_ACCESS_KEY", "", "Its secret."),
    setting("AWS_SESSION_TOKEN", "", "The token of a temporary login to the bucket."),
    setting("AWS_REGION", "us-east-1", "The bucket's region."),
    setting("AWS_ENDPOINT_URL", "", "The S3-compatible server, where it is not AWS, as in https://minio.example.org:9000."),
    setting(
        "FILES_SECRET",
        "",
        "Secret that signs links to files, at least 32 characters; several with commas for rotation: the first signs, all verify. \
        Default: JWT_SECRET, so that all processes agree; embedded without either, one is made and kept in DATA_DIR.",
    ),
    setting("UPLOAD_LIMIT", "20MiB", "The largest file that may be uploaded."),
    setting(
        "UPLOAD_RETENTION",
        "off",
        "How long an uploaded image is kept; off keeps it until its owner removes it. Counts for what is uploaded from then on.",
    ),
    setting(
        "IMAGE_RETENTION",
        "off",
        "How long images are kept that image.process has made; off keeps them until their owner removes them.",
    ),
    setting("EXPORT_RETENTION", "24h", "How long an exported file or a report can be fetched; then it is removed."),
    setting("CHILDREN", "", "Child processes at once, in which images are worked on. Default: the number of cores."),
    setting("CHILD_MAX_MEMORY", "300MiB", "Memory that one child may have, 32MiB at least; what needs more fails."),
    setting("CHILD_TIME_LIMIT", "60s", "The longest time for one piece of work in a child; what needs longer fails."),
    setting("CHILD_REQUESTS", "100", "Pieces of work before a child is replaced."),
    setting("CHILD_KEEP", "10s", "How long an idle child process is kept."),
    setting("IMAGE_MAX_BYTES", "50MiB", "The largest file of an image."),
    setting("IMAGE_MAX_PIXELS", "100000000", "The most pixels of an image, in all frames together that are decoded."),
    setting("LOG_LEVEL", "info", "off, error, warn, info, debug or trace, also by module, as in info,legwork::queue=debug."),
    setting("LOG_FORMAT", "text", "text or json."),
    setting(
        "LEGWORK_URL",
        "",
        "The server that commands such as legwork submit talk to. Default: PUBLIC_URL, else http:// and LISTEN.",
    ),
    setting(
        "LEGWORK_TOKEN",
        "",
        "The token that these commands show. Default: a short-lived one, made with JWT_SECRET or with the secret in DATA_DIR.",
    ),
];

/// The text of `.env.example`.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting of Legwork with its default. Nothing has to be set: without any, it runs embedded.\n\
         # Durations: 500ms, 30s, 5m, 2h, 30d. Sizes: 256KiB, 1MiB.\n",
    );
    for Setting { name, default, doc } in SETTINGS {
        for line in wrapped(doc, 118) {
            text.extend(["\n# ", &line]);
        }
        text.extend(["\n# ", name, "=", default, "\n"]);
    }
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}
