--[[ Reserve units of a reward for a batch of requests, each judged by itself, in order.
  KEYS[1]  gate     hash: epoch, avail, state, seq
  KEYS[2]  counts   hash: member -> units taken in the limit's period
  KEYS[3]  leases   sorted set: token -> moment (ms) until which the lease lasts
  KEYS[4]  details  hash: token -> lease|quantity|period|member; a lease that was adopted is the
                    newcomer's, a dot, and those before it: lease3.lease2.lease1
  ARGV[1]  epoch    the gate the caller believes in
  ARGV[2]  lease_ms how long a lease lasts
  ARGV[3]  limit    units a member may take in the period; 0 for no limit
  ARGV[4]  period   the limit's period
  ARGV[5]  adopt_ms a lease of the same token, quantity and period older than this passes to the newcomer
  ARGV[6]  forget_at  when the period's counts may go, seconds since 1970; 0 for never
  ARGV[7..] member, token, lease, quantity of each request
  Returns  {seq, verdict...}; verdicts: 1 reserved, 2 held by a twin, 3 limit reached, 4 sold out,
           5 a twin's lease adopted;
           {-1} no gate, {-2, epoch} another epoch, {-3} gate closed: nothing was reserved.
  One script, because a read and a later decrement would let two shoppers pass together. ]]
local gate, counts, leases, details = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease_ms, limit, period = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local adopt_ms, forget_at = tonumber(ARGV[5]), tonumber(ARGV[6])
local RESERVED, HELD, LIMIT, SOLD_OUT, ADOPTED = 1, 2, 3, 4, 5

local epoch = redis.call('HGET', gate, 'epoch')
if not epoch then return {-1} end
if epoch ~= ARGV[1] then return {-2, tonumber(epoch)} end
if redis.call('HGET', gate, 'state') ~= 'open' then return {-3} end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local avail = tonumber(redis.call('HGET', gate, 'avail'))
local taken_total, answer = 0, {0}

local function lease(token, id, quantity, member)
  redis.call('ZADD', leases, now_ms + lease_ms, token)
  redis.call('HSET', details, token, id .. '|' .. quantity .. '|' .. period .. '|' .. member)
end

local function judge(member, token, id, quantity)
  local deadline = redis.call('ZSCORE', leases, token)
  if deadline then
    local detail = redis.call('HGET', details, token) or ''
    local former, held, since = string.match(detail, '^([^|]*)|([^|]*)|([^|]*)|')
    local young = now_ms + lease_ms - tonumber(deadline) < adopt_ms
    if young or tonumber(held) ~= quantity or since ~= period then return HELD end
    lease(token, id .. '.' .. former, quantity, member)
    return ADOPTED
  end
  if limit > 0 then
    local taken = tonumber(redis.call('HGET', counts, member) or '0')
    if taken + quantity > limit then return LIMIT end
  end
  if avail - taken_total < quantity then return SOLD_OUT end
  taken_total = taken_total + quantity
  redis.call('HINCRBY', counts, member, quantity)
  lease(token, id, quantity, member)
  return RESERVED
end

for i = 7, #ARGV, 4 do
  answer[#answer + 1] = judge(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]))
end
if taken_total > 0 then
  redis.call('HINCRBY', gate, 'avail', -taken_total)
  if forget_at > 0 then redis.call('EXPIREAT', counts, forget_at) end
end
answer[1] = redis.call('HINCRBY', gate, 'seq', 1)
return answer
