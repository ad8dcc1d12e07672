SELECT email FROM users WHERE role = 'EXECUTIVE' AND is_active AND email IS NOT NULL ORDER BY email LIMIT 100
