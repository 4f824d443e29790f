-- One machine's XMPP server; ENV_NAME is the environment's NAME. Reads and writes nothing of the system's own Prosody.

run_as_root = true -- else a Prosody that root starts changes user, and cannot write its data
data_path = ENV_TRUNKLINE_DATA
certificates = ENV_TRUNKLINE_RUN
installer_plugin_path = ENV_TRUNKLINE_RUN .. "/plugins"
plugin_paths = { ENV_TRUNKLINE_RELEASE .. "/modules" }
log = { { levels = { min = "info" }, to = "console" } }

modules_enabled = { "disco", "roster", "saslauth", "ping", "register", "version", "uptime", "posix" }
modules_disabled = { "s2s", "s2s_auth_certs" } -- this sample talks to no other server

interfaces = { ENV_BIND }
c2s_ports = { tonumber(ENV_XMPP_PORT) }
http_interfaces = { ENV_BIND }
http_ports = { tonumber(ENV_HTTP_PORT) }
https_ports = {}
http_default_host = ENV_REALM

authentication = "internal_hashed"
storage = "internal"
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

VirtualHost(ENV_REALM)
modules_enabled = { "trunkline" }
