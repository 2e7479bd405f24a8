-- A small shop: 200 customers, 1,000 orders, 3,000 items.
PRAGMA journal_mode = wal;
PRAGMA foreign_keys = on;
BEGIN;

CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    placed_at TEXT NOT NULL,
    paid INTEGER NOT NULL DEFAULT 0 CHECK (paid IN (0, 1))
) STRICT;

CREATE TABLE items (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    line INTEGER NOT NULL,
    article TEXT NOT NULL,
    cents INTEGER NOT NULL CHECK (cents > 0),
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_customer ON orders (customer_id, placed_at);

CREATE TEMP TABLE numbers AS
WITH RECURSIVE counted (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM counted WHERE value < 3000)
SELECT value FROM counted;

INSERT INTO customers (id, name, email)
SELECT value, 'Customer ' || value, 'customer' || value || '@shop.example'
FROM numbers WHERE value <= 200;

INSERT INTO orders (id, customer_id, placed_at, paid)
SELECT value, 1 + value * 7 % 200, datetime('2026-01-01', '+' || (value * 37) || ' minutes'), value % 3 > 0
FROM numbers WHERE value <= 1000;

INSERT INTO items (order_id, line, article, cents)
SELECT 1 + (value - 1) / 3, 1 + (value - 1) % 3, 'Article ' || (value * 13 % 97), 100 + value * 31 % 9900
FROM numbers WHERE value <= 3000;

COMMIT;
