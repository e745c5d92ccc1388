-- memcached's own proxy in front of two memcached: memcached -o proxy_config=routelib,proxy_arg=memcached-proxy.lua
-- Needs memcached 1.6.23 or newer, built with --enable-proxy, and its route library. The tests do not run this one, because the
-- memcached of Debian is built without: it is the first example of memcached's documentation, with our addresses.
pools{
    main = {
        backends = {
            "127.0.0.1:11211",
            "127.0.0.1:11212",
        }
    }
}

routes{
    default = route_direct{ child = "main" }
}
