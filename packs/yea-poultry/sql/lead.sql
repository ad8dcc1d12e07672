SELECT id, company, contact_name, email, phone, budget_pesewas, message, status, score, priority FROM advertiser_leads WHERE id = :lead_id
