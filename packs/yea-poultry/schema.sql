-- The tables of the YEA Poultry system that this pack reads and writes. Amounts of money are whole pesewas (100 pesewas are one Ghana cedi).

CREATE TABLE regions (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE districts (
    id INTEGER PRIMARY KEY,
    region_code TEXT NOT NULL REFERENCES regions (code),
    name TEXT NOT NULL
);

CREATE TABLE users (
    id UUID PRIMARY KEY,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    role TEXT NOT NULL CHECK (role IN ('FARMER', 'OFFICER', 'EXECUTIVE', 'ADMIN')),
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    login_alerts BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL,
    last_login_at TIMESTAMP
);

-- Those who get admin notifications.
CREATE VIEW active_admins AS
SELECT id, first_name, email, is_active FROM users WHERE role = 'ADMIN' AND is_active;

CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    category TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    link TEXT,
    is_read BOOLEAN NOT NULL DEFAULT FALSE,
    read_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    dedupe_key TEXT UNIQUE
);

-- Farms

CREATE TABLE farms (
    id UUID PRIMARY KEY,
    farmer_id UUID NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    district_id INTEGER NOT NULL REFERENCES districts (id),
    latitude NUMERIC(9, 6),
    longitude NUMERIC(9, 6),
    bird_type TEXT NOT NULL CHECK (bird_type IN ('LAYERS', 'BROILERS')),
    capacity INTEGER NOT NULL,
    is_primary BOOLEAN NOT NULL DEFAULT TRUE,
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED')),
    approved_at TIMESTAMP,
    score NUMERIC(5, 1),
    grade TEXT,
    scored_at TIMESTAMP
);
CREATE UNIQUE INDEX farms_one_primary ON farms (farmer_id) WHERE is_primary;

CREATE TABLE farmer_profiles (
    user_id UUID PRIMARY KEY REFERENCES users (id),
    district_id INTEGER REFERENCES districts (id),
    region_code TEXT REFERENCES regions (code),
    latitude NUMERIC(9, 6),
    longitude NUMERIC(9, 6),
    location_synced_at TIMESTAMP
);

CREATE TABLE applications (
    id UUID PRIMARY KEY,
    applicant_id UUID NOT NULL REFERENCES users (id),
    farm_name TEXT NOT NULL,
    district_id INTEGER NOT NULL REFERENCES districts (id),
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'UNDER_REVIEW', 'APPROVED', 'REJECTED')),
    submitted_at TIMESTAMP NOT NULL,
    decided_at TIMESTAMP,
    stale_since TIMESTAMP
);

CREATE TABLE batches (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    enrollment_opens_on DATE NOT NULL,
    enrollment_closes_on DATE NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'CLOSED'))
);

CREATE TABLE batch_enrollments (
    id UUID PRIMARY KEY,
    batch_id UUID NOT NULL REFERENCES batches (id),
    farmer_id UUID NOT NULL REFERENCES users (id),
    status TEXT NOT NULL CHECK (status IN ('INVITED', 'STARTED', 'ENROLLED', 'DECLINED')),
    invited_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    sms_reminded_on DATE,
    email_reminded_on DATE
);

CREATE TABLE production_records (
    farm_id UUID NOT NULL REFERENCES farms (id),
    recorded_on DATE NOT NULL,
    birds INTEGER NOT NULL,
    eggs INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    feed_kg INTEGER NOT NULL,
    PRIMARY KEY (farm_id, recorded_on)
);

CREATE TABLE farm_score_history (
    farm_id UUID NOT NULL REFERENCES farms (id),
    scored_on DATE NOT NULL,
    score NUMERIC(5, 1) NOT NULL,
    grade TEXT NOT NULL,
    PRIMARY KEY (farm_id, scored_on)
);

-- Sales

CREATE TABLE marketplace_activations (
    id UUID PRIMARY KEY,
    seller_id UUID NOT NULL REFERENCES users (id),
    fee_pesewas INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'EXPIRED', 'CANCELLED')),
    starts_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    expired_at TIMESTAMP,
    sms_warned_days INTEGER,
    email_warned_days INTEGER
);

CREATE TABLE listings (
    id INTEGER PRIMARY KEY,
    seller_id UUID NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    is_visible BOOLEAN NOT NULL,
    hidden_at TIMESTAMP,
    hidden_reason TEXT
);

CREATE TABLE orders (
    id UUID PRIMARY KEY,
    seller_id UUID NOT NULL REFERENCES users (id),
    total_pesewas INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('PLACED', 'PAID', 'DELIVERED', 'CANCELLED', 'REFUNDED')),
    placed_at TIMESTAMP NOT NULL,
    delivered_at TIMESTAMP
);

CREATE TABLE commissions (
    order_id UUID PRIMARY KEY REFERENCES orders (id),
    seller_id UUID NOT NULL REFERENCES users (id),
    order_pesewas INTEGER NOT NULL,
    rate_bp INTEGER NOT NULL,
    commission_pesewas INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('DUE', 'SETTLED', 'VOID')),
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE platform_revenue (
    day DATE PRIMARY KEY,
    delivered_orders INTEGER NOT NULL,
    sales_pesewas INTEGER NOT NULL,
    commission_pesewas INTEGER NOT NULL,
    activation_pesewas INTEGER NOT NULL,
    advertising_pesewas INTEGER NOT NULL,
    total_pesewas INTEGER NOT NULL,
    calculated_at TIMESTAMP NOT NULL
);

-- Accounts

CREATE TABLE password_reset_tokens (
    id INTEGER PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP
);

CREATE TABLE mfa_codes (
    id INTEGER PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP
);

CREATE TABLE refresh_tokens (
    id INTEGER PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    expires_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP
);

-- Advertising

CREATE TABLE partners (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    contact_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    share_bp INTEGER NOT NULL
);

CREATE TABLE advertiser_leads (
    id UUID PRIMARY KEY,
    company TEXT NOT NULL,
    contact_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    budget_pesewas INTEGER,
    message TEXT,
    status TEXT NOT NULL CHECK (status IN ('NEW', 'QUALIFIED', 'DUPLICATE')),
    score INTEGER,
    priority TEXT,
    created_at TIMESTAMP NOT NULL,
    processed_at TIMESTAMP,
    acknowledged_at TIMESTAMP
);

CREATE TABLE offers (
    id UUID PRIMARY KEY,
    partner_id UUID NOT NULL REFERENCES partners (id),
    title TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('DRAFT', 'ACTIVE', 'EXPIRED')),
    starts_at TIMESTAMP NOT NULL,
    ends_at TIMESTAMP,
    warned_at TIMESTAMP,
    deactivated_at TIMESTAMP
);

CREATE TABLE ad_events (
    id INTEGER PRIMARY KEY,
    offer_id UUID NOT NULL REFERENCES offers (id),
    kind TEXT NOT NULL CHECK (kind IN ('IMPRESSION', 'CLICK', 'CONVERSION')),
    charge_pesewas INTEGER NOT NULL DEFAULT 0,
    value_pesewas INTEGER NOT NULL DEFAULT 0,
    occurred_at TIMESTAMP NOT NULL
);

CREATE TABLE ad_daily_stats (
    offer_id UUID NOT NULL REFERENCES offers (id),
    day DATE NOT NULL,
    impressions INTEGER NOT NULL,
    clicks INTEGER NOT NULL,
    conversions INTEGER NOT NULL,
    click_rate NUMERIC(6, 4),
    conversion_rate NUMERIC(6, 4),
    charge_pesewas INTEGER NOT NULL,
    value_pesewas INTEGER NOT NULL,
    calculated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (offer_id, day)
);

CREATE TABLE partner_earnings (
    partner_id UUID NOT NULL REFERENCES partners (id),
    period_start DATE NOT NULL,
    period_end DATE NOT NULL,
    conversions INTEGER NOT NULL,
    value_pesewas INTEGER NOT NULL,
    share_bp INTEGER NOT NULL,
    earned_pesewas INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('DUE', 'PAID')),
    calculated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (partner_id, period_start)
);

-- Figures that the dashboards read

CREATE TABLE daily_metrics (
    day DATE PRIMARY KEY,
    farmers INTEGER NOT NULL,
    active_farms INTEGER NOT NULL,
    reporting_farms INTEGER NOT NULL,
    birds INTEGER NOT NULL,
    eggs INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    feed_kg INTEGER NOT NULL,
    new_applications INTEGER NOT NULL,
    approved_applications INTEGER NOT NULL,
    orders INTEGER NOT NULL,
    sales_pesewas INTEGER NOT NULL,
    calculated_at TIMESTAMP NOT NULL
);

CREATE TABLE regional_metrics (
    day DATE NOT NULL,
    region_code TEXT NOT NULL REFERENCES regions (code),
    active_farms INTEGER NOT NULL,
    reporting_farms INTEGER NOT NULL,
    birds INTEGER NOT NULL,
    eggs INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    average_score NUMERIC(5, 1),
    sales_pesewas INTEGER NOT NULL,
    calculated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (day, region_code)
);

CREATE TABLE dashboard_cache (
    cache_key TEXT PRIMARY KEY,
    payload JSON NOT NULL,
    refreshed_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL
);

CREATE TABLE system_metrics (
    hour TIMESTAMP PRIMARY KEY,
    active_users INTEGER NOT NULL,
    active_farms INTEGER NOT NULL,
    open_applications INTEGER NOT NULL,
    open_orders INTEGER NOT NULL,
    unread_notifications INTEGER NOT NULL,
    tasks_ended INTEGER NOT NULL,
    tasks_failed INTEGER NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE system_health_reports (
    task_id TEXT PRIMARY KEY,
    checked_at TIMESTAMP NOT NULL,
    healthy BOOLEAN NOT NULL,
    failed TEXT NOT NULL,
    checks JSON NOT NULL
);
