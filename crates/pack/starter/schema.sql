CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
CREATE TABLE invoices (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    amount NUMERIC NOT NULL,
    due_on DATE NOT NULL,
    paid_at TIMESTAMP,
    reminded_at TIMESTAMP
);
CREATE TABLE carts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, touched_at TIMESTAMP NOT NULL, closed_at TIMESTAMP);
