SELECT a.id, a.farm_name, d.name AS district, u.id AS user_id, u.first_name, u.phone, u.email
FROM applications AS a JOIN users AS u ON u.id = a.applicant_id JOIN districts AS d ON d.id = a.district_id
WHERE a.id = :application_id
