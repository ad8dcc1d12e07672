-- District, region and coordinates of each farmer's main farm into the farmer's profile. Only profiles that differ are written.
INSERT INTO farmer_profiles (user_id, district_id, region_code, latitude, longitude, location_synced_at)
SELECT f.farmer_id, f.district_id, d.region_code, f.latitude, f.longitude, :now
FROM farms AS f JOIN districts AS d ON d.id = f.district_id
WHERE f.is_primary AND f.status = 'ACTIVE'
ON CONFLICT (user_id) DO UPDATE SET
    district_id = excluded.district_id, region_code = excluded.region_code, latitude = excluded.latitude, longitude = excluded.longitude,
    location_synced_at = excluded.location_synced_at
WHERE farmer_profiles.district_id IS DISTINCT FROM excluded.district_id OR farmer_profiles.region_code IS DISTINCT FROM excluded.region_code
   OR farmer_profiles.latitude IS DISTINCT FROM excluded.latitude OR farmer_profiles.longitude IS DISTINCT FROM excluded.longitude
