SELECT id FROM invoices WHERE paid_at IS NULL AND reminded_at IS NULL AND due_on < :today;
