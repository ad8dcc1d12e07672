SELECT company, contact_name, email FROM advertiser_leads WHERE id = :lead_id AND status <> 'DUPLICATE' AND acknowledged_at IS NULL
