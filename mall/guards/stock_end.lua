--[[ End leases: settle those whose redemption stands, or release those that were refused.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  KEYS[2]  counts   hash: member -> units taken in the leases' own period; may be gone already
  KEYS[3]  leases   sorted set: token -> deadline
  KEYS[4]  details  hash: token -> lease|quantity|period|member
  ARGV[1]  how      'settle' keeps the units taken, 'release' puts them back
  ARGV[2..] token, lease of each
  Returns  how many leases ended.
  One script, because a unit must go back exactly once: only whoever removes the lease may do it,
  and only with the lease that is still in force. Of a lease that was adopted the newest part, before
  the first dot, is in force; but it has no more units than those before it, so that whichever of
  them stands settles it. ]]
local gate, counts, leases, details = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ended, back = 0, 0

local function may_end(lease, id)
  local mine = string.match(lease, '^[^.]*')
  if ARGV[1] == 'settle' then return string.find('.' .. id .. '.', '.' .. mine .. '.', 1, true) end
  return mine == string.match(id, '^[^.]*')
end

for i = 2, #ARGV, 2 do
  local token, lease = ARGV[i], ARGV[i + 1]
  local detail = redis.call('HGET', details, token)
  local id, quantity, _, member = string.match(detail or '', '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if detail and may_end(lease, id) and redis.call('ZREM', leases, token) == 1 then
    redis.call('HDEL', details, token)
    ended = ended + 1
    if ARGV[1] == 'release' then
      back = back + quantity
      if redis.call('EXISTS', counts) == 1 then redis.call('HINCRBY', counts, member, -quantity) end
    end
  end
end
if back > 0 and redis.call('EXISTS', gate) == 1 then
  redis.call('HINCRBY', gate, 'avail', back)
  redis.call('HINCRBY', gate, 'seq', 1)
end
return ended
