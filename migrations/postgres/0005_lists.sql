-- Which list of recipients a retry by hand goes on with: that of the last task of its chain that has one, which need not be the task that it
-- retries (that one may never have run). The list is kept for as long as this row.

-- Every begin names the table: none is to wait behind this for long.
SET LOCAL lock_timeout = '300ms';

ALTER TABLE retry_origins ADD COLUMN list uuid;

CREATE INDEX retry_origins_list ON retry_origins (list) WHERE list IS NOT NULL;
