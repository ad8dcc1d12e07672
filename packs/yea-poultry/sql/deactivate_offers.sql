UPDATE offers SET status = 'EXPIRED', deactivated_at = :now WHERE status = 'ACTIVE' AND ends_at <= :now
