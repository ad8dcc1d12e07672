UPDATE carts SET closed_at = :now WHERE closed_at IS NULL AND touched_at < :before;
