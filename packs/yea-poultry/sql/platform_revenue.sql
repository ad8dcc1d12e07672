-- The platform's income of one day: commissions of the orders that were delivered, fees of the activations that began, charges for advertising.
INSERT INTO platform_revenue (day, delivered_orders, sales_pesewas, commission_pesewas, activation_pesewas, advertising_pesewas, total_pesewas,
                              calculated_at)
SELECT :on_day, o.orders, o.sales, o.commission, a.fees, e.charges, o.commission + a.fees + e.charges, :now
FROM (
    SELECT COUNT(*) AS orders, COALESCE(SUM(orders.total_pesewas), 0) AS sales, COALESCE(SUM(c.commission_pesewas), 0) AS commission
    FROM orders LEFT JOIN commissions AS c ON c.order_id = orders.id AND c.status <> 'VOID'
    WHERE orders.status = 'DELIVERED' AND orders.delivered_at >= :from_at AND orders.delivered_at < :to_at
) AS o
CROSS JOIN (
    SELECT COALESCE(SUM(fee_pesewas), 0) AS fees FROM marketplace_activations
    WHERE status <> 'CANCELLED' AND starts_at >= :from_at AND starts_at < :to_at
) AS a
CROSS JOIN (
    SELECT COALESCE(SUM(charge_pesewas), 0) AS charges FROM ad_events WHERE occurred_at >= :from_at AND occurred_at < :to_at
) AS e
WHERE true
ON CONFLICT (day) DO UPDATE SET
    delivered_orders = excluded.delivered_orders, sales_pesewas = excluded.sales_pesewas, commission_pesewas = excluded.commission_pesewas,
    activation_pesewas = excluded.activation_pesewas, advertising_pesewas = excluded.advertising_pesewas,
    total_pesewas = excluded.total_pesewas, calculated_at = excluded.calculated_at
