UPDATE users
SET unread_count = (SELECT COUNT(*) FROM notifications WHERE notifications.user_id = users.id AND NOT notifications.is_read)
WHERE id = :user_id
RETURNING id, unread_count
