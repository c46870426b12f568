SELECT
  id, type, version, toUnixTimestamp64Milli(time) AS timeMs, run, subject, payload
FROM events
WHERE run = '9474c8d9a2e3d71d058361390b771e68'
ORDER BY time, id
