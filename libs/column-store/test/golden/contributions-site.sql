SELECT
  concat(statistics.function, ' ', statistics.op, ' ', statistics.address) AS name,
  sumIf(statistics.saves, guests.stage = 'v2.6.29') AS before,
  sumIf(statistics.saves, guests.stage = 'callee-save-pte') AS after,
  toInt64(after) - toInt64(before) AS difference
FROM site_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.stage IN ('v2.6.29', 'callee-save-pte')
  AND guests.state = 'finished'
GROUP BY name
HAVING difference != 0
ORDER BY abs(difference) DESC, name
LIMIT 10
