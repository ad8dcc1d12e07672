INSERT INTO customers (id, name, email) VALUES (1, 'Ama Mensah', 'ama@example.com'), (2, 'Ben Okai', 'ben@example.com');
INSERT INTO invoices (id, customer_id, amount, due_on, paid_at) VALUES
    (1, 1, 120.5, '2020-03-01', NULL),
    (2, 2, 80, '2020-03-01', :now),
    (3, 2, 15.25, '2090-01-01', NULL);
INSERT INTO carts (id, customer_id, touched_at) VALUES (1, 1, '2020-01-01 09:00:00'), (2, 2, :now);
