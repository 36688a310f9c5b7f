"""The buckets that all workers share: in Redis, by its clock, one call each."""

from collections.abc import Sequence

from redis import Redis

from webapp.messaging.services.limits.buckets import LONGEST_HOLD_SECONDS, Ask, Bucket, Share

SECOND = 1_000_000

_BEGIN = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function hold(domain)
  local said = redis.call('HGET', KEYS[1], domain)
  if not said then return 0, 0 end
  local till, wait = string.match(said, '^(%d+):(%d+)$')
  return tonumber(till), tonumber(wait)
end
"""

# A bucket is full, and not needed, after a second; a minute forgives a clock that is set back.
# Numbers are microseconds; as text without an exponent, which tostring() would begin to use.
_TAKE = """
local SECOND = 1000000
local function ahead(key)
  return math.max((tonumber(redis.call('GET', key) or 0)) - now, 0)
end
local function room(lead, rate)
  return math.max(math.floor((SECOND - lead) * rate / SECOND), 0)
end
local function wait_of(lead, rate)
  return math.max(math.ceil(lead - SECOND + SECOND / rate), 1)
end
local function keep(key, lead)
  redis.call('SET', key, string.format('%.0f', now + lead), 'EX', 60)
end
local holds = redis.call('EXISTS', KEYS[1]) == 1
local rate, lead, left, taken = tonumber(ARGV[1]), 0, math.huge, 0
if rate > 0 then
  lead = ahead(KEYS[2])
  left = room(lead, rate)
end
local granted, waits, short = {}, {}, {}
for i = 3, #KEYS do
  local at = (i - 3) * 3 + 2
  local domain, wanted, own = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local n, wait, till = 0, 0, 0
  if holds then till = hold(domain) end
  if till > now then
    wait = till - now
  else
    n = math.min(wanted, left)
    if own > 0 then
      local before = ahead(KEYS[i])
      n = math.min(n, room(before, own))
      local after = before + math.ceil(n * SECOND / own)
      if n > 0 then keep(KEYS[i], after) end
      if n < wanted then wait = wait_of(after, own) end
    end
    left = left - n
    taken = taken + n
    short[i] = n < wanted
  end
  granted[i - 2], waits[i - 2] = n, wait
end
if rate > 0 then
  lead = lead + math.ceil(taken * SECOND / rate)
  if taken > 0 then keep(KEYS[2], lead) end
  if left < 1 then
    local wait = wait_of(lead, rate)
    for i = 3, #KEYS do
      if short[i] then waits[i - 2] = math.max(waits[i - 2], wait) end
    end
  end
end
return {granted, waits}
"""

# Many mails under way to one server are put off at once: that is one occasion, not many.
_HOLD = """
local till, wait = hold(ARGV[1])
local first, longest = tonumber(ARGV[2]), tonumber(ARGV[3])
if till > now then return till - now end
if wait == 0 or till + longest < now then wait = first else wait = wait * 2 end
wait = math.min(wait, longest)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', now + wait, wait))
redis.call('PEXPIRE', KEYS[1], math.ceil(longest / 250))
return wait
"""

_HELD = """
local all, found = redis.call('HKEYS', KEYS[1]), {}
for _, domain in ipairs(all) do
  local till = hold(domain)
  if till > now then
    table.insert(found, domain)
    table.insert(found, till - now)
  end
end
return found
"""

_LET_GO = """
for _, domain in ipairs(ARGV) do
  if hold(domain) <= now then redis.call('HDEL', KEYS[1], domain) end
end
"""


class SharedBuckets:
    """The buckets and holds in one Redis; any call may raise RedisError."""

    def __init__(self, client: Redis, holds_key: str) -> None:
        self._holds = holds_key
        self._take = client.register_script(_BEGIN + _TAKE)
        self._hold = client.register_script(_BEGIN + _HOLD)
        self._held = client.register_script(_BEGIN + _HELD)
        self._let_go = client.register_script(_BEGIN + _LET_GO)

    def take(self, sender: Bucket | None, asks: Sequence[Ask]) -> list[Share]:
        keys = [self._holds, sender.key if sender else ""]
        arguments: list[str | int] = [sender.per_second if sender else 0]
        for ask in asks:
            keys.append(ask.bucket.key if ask.bucket else "")
            arguments += [ask.domain, ask.wanted, ask.bucket.per_second if ask.bucket else 0]
        granted, waits = self._take(keys=keys, args=arguments)
        return [Share(n, wait / SECOND) for n, wait in zip(granted, waits, strict=True)]

    def hold_back(self, domain: str, seconds: float) -> float:
        times = round(seconds * SECOND), round(LONGEST_HOLD_SECONDS * SECOND)
        return float(self._hold(keys=[self._holds], args=[domain, *times]) / SECOND)

    def held_back(self) -> dict[str, float]:
        found = self._held(keys=[self._holds])
        pairs = zip(found[::2], found[1::2], strict=True)
        return {domain.decode(): wait / SECOND for domain, wait in pairs}

    def let_go(self, domains: Sequence[str]) -> None:
        self._let_go(keys=[self._holds], args=list(domains))
