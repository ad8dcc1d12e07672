//! The rows of the demonstration.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::record::sqlite_time;

const FIRST: [&str; 40] = [
    "Ada", "Kwame", "Zainab", "José", "Amélie", "Thabo", "Fatima", "Chinedu", "Nadia", "Samuel", "Wanjiru", "Ibrahim", "Lerato",
    "Yusuf", "Grace", "Tendai", "Amina", "Daniel", "Ngozi", "Hassan", "Zoë", "Joseph", "Mariam", "Peter", "Aïcha", "Kofi",
    "Sarah", "Abebe", "Esther", "Omar", "Ruth", "Sipho", "Leïla", "Musa", "Naomi", "Blessing", "Jean", "Halima", "David",
    "Mwende",
];
const LAST: [&str; 36] = [
    "Mensah",
    "Okafor",
    "Diallo",
    "Nkosi",
    "Abdi",
    "Kamau",
    "Traoré",
    "Mwangi",
    "Banda",
    "Osei",
    "Hassan",
    "Moyo",
    "Ndiaye",
    "Tesfaye",
    "Santos",
    "Adeyemi",
    "Keïta",
    "O'Brien",
    "Mokoena",
    "Chanda",
    "Bello",
    "Otieno",
    "Sow",
    "Dlamini",
    "Habte",
    "Mutua",
    "Ba",
    "Owusu",
    "Phiri",
    "El-Amin",
    "Ouédraogo",
    "Juma",
    "Kone",
    "Rakoto",
    "Sesay",
    "van Wyk",
];
const COUNTRIES: [(&str, &str); 12] = [
    ("Ghana", "+233"),
    ("Nigeria", "+234"),
    ("Kenya", "+254"),
    ("South Africa", "+27"),
    ("Senegal", "+221"),
    ("Ethiopia", "+251"),
    ("Egypt", "+20"),
    ("Rwanda", "+250"),
    ("Morocco", "+212"),
    ("Zambia", "+260"),
    ("Côte d'Ivoire", "+225"),
    ("Tanzania", "+255"),
];
const ORGANIZATIONS: [&str; 10] = [
    "Ubuntu \"Hands\" Collective, Nairobi",
    "Green Delta Trust",
    "Accra Youth Forum",
    "Bright Futures",
    "Water for All, Lusaka",
    "Sahel Readers",
    "Open Health Lab",
    "Kigali Makers",
    "Cape Coast Volunteers",
    "Teach & Travel",
];
const ACTIONS: [(&str, u32); 8] =
    [("login", 30), ("view", 34), ("update", 12), ("create", 8), ("logout", 8), ("download", 4), ("comment", 3), ("delete", 1)];
const KINDS: [&str; 4] = ["news", "event", "resource", "opportunity"];
const SUBJECTS: [&str; 12] = [
    "Volunteering abroad",
    "Clean water for schools",
    "A year in Kigali",
    "Teaching with little",
    "Harvest festival",
    "First aid course",
    "Tree planting day",
    "Digital skills for all",
    "Health week",
    "Call for mentors",
    "Open library hours",
    "Coastal clean-up",
];
const NOTICES: [(&str, &str, &str); 5] = [
    ("welcome", "Welcome on board", "Your account is ready. Have a look around."),
    ("reminder", "Your profile is not complete", "Add your skills, so that projects can find you."),
    ("message", "You have a new message", "Somebody answered your application."),
    ("event", "An event near you", "There is a new event in your country this month."),
    ("system", "Planned maintenance", "The site will be read-only on Sunday from 02:00 to 03:00 UTC."),
];
const ADMIN_ROLES: [&str; 3] = ["superadmin", "editor", "support"];

const USERS: u32 = 1_200;
const ADMINS: u32 = 6;
const CONTENTS: u32 = 240;
const ACTIVITIES: u32 = 3_000;
const NOTIFICATIONS: u32 = 1_500;
const MINUTES_A_DAY: u32 = 24 * 60;

/// Table by table, the rows as arrays of values.
pub(super) fn all(now: Timestamp) -> Vec<(&'static str, Vec<Value>)> {
    let mut rng = Rng::with_seed(2024);
    let mut maker = Maker { rng: &mut rng, now };
    vec![
        ("users", (1..=USERS).map(|id| maker.user(id)).collect()),
        ("admins", (1..=ADMINS).map(|id| maker.admin(id)).chain([invited_admin(now)]).collect()),
        ("contents", (1..=CONTENTS).map(|id| maker.content(id)).collect()),
        ("activity_logs", (1..=ACTIVITIES).map(|id| maker.activity(id)).collect()),
        ("notifications", (1..=NOTIFICATIONS).map(|id| maker.notification(id)).collect()),
    ]
}

/// The admin of the examples of the pack au-vlp, who has not signed in yet.
fn invited_admin(now: Timestamp) -> Value {
    let created = sqlite_time(now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(now));
    json!([456, "admin456@example.org", "Wairimu", "Njoroge", "support", 0, created, null])
}

struct Maker<'a> {
    rng: &'a mut Rng,
    now: Timestamp,
}

impl Maker<'_> {
    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.rng.usize(..from.len())]
    }

    /// So many minutes before now, to the second; negative is after.
    fn before(&mut self, minutes: i64) -> String {
        let seconds = minutes * 60 + i64::from(self.rng.u32(..60));
        let at = self.now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(self.now);
        sqlite_time(Timestamp::from_second(at.as_second()).unwrap_or(at))
    }

    /// The `id`th of `all` rows, whose times are spread evenly over the last `days`, a little shaken, the oldest first.
    fn spread(&mut self, id: u32, all: u32, days: u32) -> i64 {
        let step = days * MINUTES_A_DAY / all;
        i64::from((all - id) * step + self.rng.u32(..step.max(1)))
    }

    fn user(&mut self, id: u32) -> Value {
        let (first, last) = (*self.pick(&FIRST), *self.pick(&LAST));
        let (country, code) = *self.pick(&COUNTRIES);
        let age = self.spread(id, USERS, 730);
        let status = match self.rng.u32(..20) {
            _ if id == 1 => 1,
            0 => 2,
            1 | 2 => 0,
            _ => 1,
        };
        let seen = i64::from(self.rng.u32(..45 * MINUTES_A_DAY)).min(age);
        let last_login = (status == 1 && self.rng.u32(..8) > 0).then(|| self.before(seen));
        let phone =
            (self.rng.u32(..5) > 0).then(|| format!("{code} 55 {:03} {:04}", self.rng.u32(100..1000), self.rng.u32(..10_000)));
        let organization = (self.rng.u32(..3) == 0).then(|| *self.pick(&ORGANIZATIONS));
        let verified = u8::from(id == 1 || self.rng.u32(..10) > 1);
        json!([
            id,
            address(first, last, id),
            first,
            last,
            phone,
            country,
            organization,
            status,
            verified,
            self.before(age),
            last_login
        ])
    }

    fn admin(&mut self, id: u32) -> Value {
        let (first, last) = (FIRST[id as usize], LAST[id as usize * 3]);
        let role = ADMIN_ROLES[(id as usize - 1).min(ADMIN_ROLES.len() - 1)];
        let status = u8::from(id != ADMINS);
        let (created, seen) = (self.spread(id, ADMINS, 900), i64::from(self.rng.u32(..5 * MINUTES_A_DAY)));
        let address = format!("admin{id}@example.org");
        json!([id, address, first, last, role, status, self.before(created), self.before(seen)])
    }

    /// Of twelve: one is due for publication, one is scheduled for later, one has expired, one is a draft, one expires later.
    fn content(&mut self, id: u32) -> Value {
        let day = i64::from(MINUTES_A_DAY);
        let (subject, kind) = (SUBJECTS[id as usize % SUBJECTS.len()], KINDS[id as usize % KINDS.len()]);
        let (title, slug) = (format!("{subject} ({id})"), format!("{}-{id}", slug_of(subject)));
        let body = format!("{subject}: what it is about, who can take part, and how.\nWrite to us if you have questions.");
        let created = self.spread(id, CONTENTS, 400) + 31 * day;
        let near = i64::from(self.rng.u32(30..20 * MINUTES_A_DAY));
        let (status, publish_at, expires_at) = match id % 12 {
            0 => ("scheduled", Some(near), None),
            1 => ("scheduled", Some(-near), None),
            2 => ("published", Some(created - day), Some(near)),
            3 => ("draft", None, None),
            4 => ("published", Some(created - day), Some(-near)),
            _ => ("published", Some(created - day), None),
        };
        let publish_at = publish_at.map(|at| self.before(at));
        let published_at = publish_at.clone().filter(|_| status == "published");
        let expires_at = expires_at.map(|at| self.before(at));
        let (views, rating) = if status == "published" { (self.rng.u32(..5_000), Some(self.rng.u32(20..51))) } else { (0, None) };
        let (author, rating) = (1 + id % ADMINS, rating.map(|tenths| f64::from(tenths) / 10.0));
        let created = self.before(created);
        json!([id, title, slug, body, kind, author, status, publish_at, published_at, expires_at, views, rating, created])
    }

    fn activity(&mut self, id: u32) -> Value {
        let mut chosen = self.rng.u32(..100);
        let weighed = ACTIONS.iter().find(|(_, weight)| {
            let is_it = chosen < *weight;
            chosen = chosen.saturating_sub(*weight);
            is_it
        });
        let action = weighed.map_or("view", |(action, _)| *action);
        // A few people do most of it.
        let user = 1 + (self.rng.u32(..USERS) * self.rng.u32(..USERS)) / USERS;
        let object = (!matches!(action, "login" | "logout")).then(|| format!("content/{}", 1 + self.rng.u32(..CONTENTS)));
        let address = format!("203.0.113.{}", self.rng.u32(1..255));
        let details = (self.rng.u32(..4) == 0).then(|| json!({ "agent": "web", "ms": self.rng.u32(5..900) }).to_string());
        let at = self.spread(id, ACTIVITIES, 120);
        json!([id, user, action, object, address, details, self.before(at)])
    }

    fn notification(&mut self, id: u32) -> Value {
        let (kind, title, message) = *self.pick(&NOTICES);
        let age = self.spread(id, NOTIFICATIONS, 200);
        let is_read = self.rng.u32(..10) < 6;
        let read = i64::from(self.rng.u32(..3 * MINUTES_A_DAY));
        let read_at = is_read.then(|| self.before((age - read).max(0)));
        json!([id, 1 + self.rng.u32(..USERS), kind, title, message, u8::from(is_read), read_at, self.before(age)])
    }
}

fn address(first: &str, last: &str, id: u32) -> String {
    const DOMAINS: [&str; 3] = ["example.org", "example.com", "example.net"];
    format!("{}.{}{id}@{}", slug_of(first), slug_of(last), DOMAINS[id as usize % DOMAINS.len()])
}

/// Plain letters only, as an address or a URL wants them.
fn slug_of(text: &str) -> String {
    let plain = text.to_lowercase().replace(['é', 'è', 'ë'], "e").replace('ï', "i");
    plain.chars().filter_map(|c| if c == ' ' { Some('-') } else { c.is_ascii_alphanumeric().then_some(c) }).collect()
}
