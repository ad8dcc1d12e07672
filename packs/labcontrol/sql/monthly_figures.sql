INSERT INTO monthly_figures (month, studies, completed, measured, out_of_range, computed_at)
SELECT strftime('%Y-%m', s.ordered_at), COUNT(DISTINCT s.id), COUNT(DISTINCT CASE WHEN s.status = 'completed' THEN s.id END),
       COUNT(r.value), COUNT(*) FILTER (WHERE r.rating IN ('low', 'high')), :now
FROM studies AS s
LEFT JOIN results AS r ON r.study_id = s.id
WHERE true
GROUP BY 1
ON CONFLICT (month) DO UPDATE
SET studies = excluded.studies, completed = excluded.completed, measured = excluded.measured,
    out_of_range = excluded.out_of_range, computed_at = excluded.computed_at
