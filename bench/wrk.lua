-- A browser's request for a pixel. With RATE (requests a second) set, each is sent at its time, not as soon as it can be.
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
wrk.headers["Accept"] = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
wrk.headers["Accept-Language"] = "en-US,en;q=0.9"
wrk.headers["Referer"] = "https://news.example/2024/article"

local rate = tonumber(os.getenv("RATE") or "0")

if rate > 0 then
  local ffi = require("ffi")
  ffi.cdef([[ typedef struct { long s; long us; } when; int gettimeofday(when *now, void *zone); ]])
  local clock, due = ffi.new("when"), nil

  function delay()
    ffi.C.gettimeofday(clock, nil)
    local now = tonumber(clock.s) + tonumber(clock.us) / 1e6
    due = (due or now) + 1 / rate
    if due < now - 0.1 then due = now end
    return math.max(0, math.floor((due - now) * 1000))
  end
end
