INSERT INTO farm_score_history (farm_id, scored_on, score, grade)
SELECT id, :today, score, grade FROM farms WHERE status = 'ACTIVE' AND scored_at = :now AND score IS NOT NULL
ON CONFLICT (farm_id, scored_on) DO UPDATE SET score = excluded.score, grade = excluded.grade
