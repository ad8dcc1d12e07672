SELECT recorded_on, birds, eggs, deaths, feed_kg
FROM production_records WHERE farm_id = :farm_id AND recorded_on >= :since AND recorded_on < :today
ORDER BY recorded_on DESC
