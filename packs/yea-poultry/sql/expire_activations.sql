UPDATE marketplace_activations SET status = 'EXPIRED', expired_at = :now WHERE status = 'ACTIVE' AND expires_at <= :now
