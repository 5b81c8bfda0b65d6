--[[ Mark a day in a member's year, or leave a year that is not loaded to be rebuilt.
  KEYS[1]  year   bitmap: bit 0 says the year is loaded, bit N is day N of the year
  ARGV[1]  day    of the year, 1 to 366
  ARGV[2]  seconds to keep the year
  Returns  1 marked, 0 the year is not loaded.
  One script, because a bit set in an unloaded year would pass for the whole of it. ]]
if redis.call('GETBIT', KEYS[1], 0) == 0 then return 0 end
redis.call('SETBIT', KEYS[1], ARGV[1], 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
