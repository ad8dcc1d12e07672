SELECT invoices.id, invoices.amount, invoices.due_on, customers.name, customers.email
FROM invoices
JOIN customers ON customers.id = invoices.customer_id
WHERE invoices.id = :invoice_id AND invoices.paid_at IS NULL AND invoices.reminded_at IS NULL;
