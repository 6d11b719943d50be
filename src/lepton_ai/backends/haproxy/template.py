"""The fixed parts of HAProxy's configuration, for `str.format`; `config` fills them in. Order matters in each."""

GLOBAL = """\
# Made by Lepton AI from what it should serve; changes made here are overwritten.
global
    description '{description}'
    default-path config
    nbthread {threads}
    maxconn {connections}
    noreuseport
    hard-stop-after {old_worker_timeout}
    stats socket unix@{stats_socket} mode 600 level admin
    stats timeout 10s
    ssl-default-bind-options ssl-min-ver TLSv1.2
    tune.ssl.cachesize 1000
"""

# Without http-no-delay the kernel is told that more follows, and holds each piece of a stream back for 200 ms: events,
# logs, and the words of a language model.
#
# http-buffer-request: an answer that comes before the body went out leaves a connection on which HAProxy sends the
# next request although the rest of the first never came; the server takes that request for the body. Seen with HTTP/2
# clients and answers of 404 and 405: 9 of 60 requests of others failed. Bodies above a buffer (16 kB) are streamed all
# the same; our own servers close such connections themselves.
#
# A replica that is killed leaves idle connections behind, and each retry may pick another dead one before HAProxy has
# heard of it: with 3 retries about 1 kill in 10 under load lost a GET. Many more would let one bad request end many
# replicas.
DEFAULTS = """\
defaults base
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 1h
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout queue 60s
    timeout check 5s
    retries 6
    option redispatch 1
    option abortonclose
    option http-no-delay
    option http-buffer-request
{errors}
"""

# A repeated Authorization header is refused: which of the two counts must not depend on who reads it.
FRONTEND = """\
frontend lepton from base
    bind {bind} ssl crt '{server_pem}' alpn h2,http/1.1
    acl to_endpoint path_beg /endpoints/
    acl names_itself req.fhdr(x-request-id) -m reg ^[A-Za-z0-9._-]{{1,64}}$
    http-request set-var(txn.request_id) req.fhdr(x-request-id) if names_itself
    http-request set-var(txn.request_id) uuid() unless {{ var(txn.request_id) -m found }}
    {stands_by}
    acl has_one_token req.fhdr_cnt(authorization) eq 1
    http-request set-var(txn.project) path,field(3,/) if to_endpoint
    http-request set-var(txn.endpoint) path,field(3,/,2) if to_endpoint
    http-request set-var(txn.sha) http_auth_bearer,sha2(256),hex,lower if to_endpoint has_one_token
    http-request set-var(txn.known) var(txn.sha),map_str_int({tokens},0)
    http-request set-var(txn.mine) var(txn.sha),concat(:,txn.project),map_str_int({tokens},0)
    http-request set-var(txn.any) var(txn.sha),concat(:*),map_str_int({tokens},0)
    acl is_known date,sub(txn.known) lt 0
    acl is_mine date,sub(txn.mine) lt 0
    acl is_for_all date,sub(txn.any) lt 0
    http-request return {unauthenticated} if to_endpoint !is_known
    http-request return {forbidden} if to_endpoint !is_mine !is_for_all
    http-request set-var(txn.backend) var(txn.endpoint),map_str({routes}) if to_endpoint
    http-request return {not_found} if to_endpoint !{{ var(txn.backend) -m found }}
    http-request del-header ^forwarded$|^x[-_](forwarded[-_]|real[-_]ip$|request[-_]id$) -m reg
    http-request del-header ^x[-_]lepton[-_](activate|gateway|project)$ -m reg
    http-request del-header upgrade unless {{ req.hdr(upgrade) -i websocket }}
    http-request set-header X-Request-Id %[var(txn.request_id)]
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-after-response set-header X-Request-Id %[var(txn.request_id)]
    use_backend %[var(txn.backend)] if to_endpoint
    default_backend core

backend core from base
    retries 0
    http-error {core_down}
    server core unix@{core_socket} pool-purge-delay 2s
"""

# The core wakes sleeping endpoints. It is a backup server of each, so that a request whose last replica has just died
# goes there too; this frontend, which only HAProxy can reach, adds the secret that no replica may ever see.
ACTIVATOR = """\
frontend activator from base
    bind unix@{activator_socket} mode 600
    timeout client {wake_timeout}
    http-request set-header X-Lepton-Activate %[req.hdr(x-forwarded-prefix),field(3,/,2)]
    http-request set-header X-Lepton-Gateway {secret}
    http-request set-var(txn.request_id) req.hdr(x-request-id)
    http-request set-path %[req.hdr(x-forwarded-prefix)]%[path]
    default_backend waking

backend waking from base
    retries 0
    timeout server {wake_timeout}
    http-error {asleep}
    server core unix@{core_socket} pool-purge-delay 2s
"""

# A server that is added to a running HAProxy may use only those certificates that its file has named (ADR 0021).
PEER = """\
backend doors from base
    server none 127.0.0.1:1 disabled {tls}
"""

# Cookies belong to the dashboard, which shares this origin: no replica may read or set them.
ENDPOINT_DEFAULTS = """\
defaults endpoint from base
    balance leastconn
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET or { method OPTIONS }
    http-request set-header X-Forwarded-Prefix /endpoints/%[var(txn.endpoint)]
    http-request del-header ^(authorization|cookie)$|^x[-_]lepton[-_] -m reg
    http-request set-header X-Lepton-Project %[var(txn.project)]
    http-request set-path /%[path,field(5,/,0)]
    http-response del-header ^set-cookie2?$ -m reg
"""
