--[[ Open a rebuilt gate under a newer epoch, or leave the one that is there.
  KEYS[1]  gate     KEYS[2] counts   KEYS[3] leases   KEYS[4] details
  KEYS[5]  new      counts as loaded from SQL; may be absent
  ARGV[1]  epoch    of the rebuilt gate
  ARGV[2]  avail    units left by SQL
  ARGV[3]  forget_at  when the period's counts may go, seconds since 1970; 0 for never
  Returns  1 installed, 0 a gate of this epoch or a later one is there.
  One script, because nobody may pass between the old counts and the new. ]]
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '-1')
if epoch >= tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[5])
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('RENAME', KEYS[5], KEYS[2])
  redis.call('PERSIST', KEYS[2])
  if tonumber(ARGV[3]) > 0 then redis.call('EXPIREAT', KEYS[2], ARGV[3]) end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'avail', ARGV[2], 'state', 'open')
redis.call('HINCRBY', KEYS[1], 'seq', 1)
return 1
