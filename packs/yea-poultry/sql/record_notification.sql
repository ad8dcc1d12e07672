INSERT INTO notifications (user_id, category, title, message, link, created_at, dedupe_key)
VALUES (:user_id, :category, :title, :message, :link, :now, :dedupe_key)
ON CONFLICT (dedupe_key) DO NOTHING
