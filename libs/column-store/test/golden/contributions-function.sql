SELECT
  statistics.function AS name,
  sumIf(statistics.l1iMisses, guests.stage = 'v2.6.29') AS before,
  sumIf(statistics.l1iMisses, guests.stage = 'v2.6.30') AS after,
  toInt64(after) - toInt64(before) AS difference
FROM function_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.stage IN ('v2.6.29', 'v2.6.30')
  AND guests.state = 'finished'
  AND statistics.mode = 'kernel'
GROUP BY name
HAVING difference != 0
ORDER BY abs(difference) DESC, name
LIMIT 5
