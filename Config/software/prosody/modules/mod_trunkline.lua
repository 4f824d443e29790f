-- Health, load and draining over HTTP, of this one instance.

module:depends("http");

local portmanager = require "core.portmanager";
local st = require "util.stanza";

local machine, instance = os.getenv("TRUNKLINE_MACHINE"), os.getenv("TRUNKLINE_INSTANCE");
local control, data = os.getenv("TRUNKLINE_CONTROL"), os.getenv("TRUNKLINE_DATA");
local xmlns_sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
local draining, messages = false, 0;

local function listens()
	local c2s = portmanager.get_active_services():get("c2s");
	return c2s ~= nil and next(c2s) ~= nil and next(c2s[next(c2s)]) ~= nil;
end

local function writable()
	local path = data .. "/.writable";
	local file = io.open(path, "w");
	if not file then return false; end
	local written = file:write("ok\n");
	return file:close() and written and os.remove(path);
end

local function sessions()
	local count = 0;
	for _ in pairs(prosody.full_sessions) do count = count + 1; end
	return count;
end

local function reply(event, code, body)
	event.response.status_code = code;
	event.response.headers.content_type = "text/plain";
	return body;
end

module:provides("http", {
	default_path = "/";
	route = {
		["GET /healthz"] = function (event)
			if not listens() then return reply(event, 503, "the port for clients is not open"); end
			if not writable() then return reply(event, 503, "the data directory cannot be written"); end
			return reply(event, 200, "ok " .. machine .. " " .. instance);
		end;
		["GET /metrics"] = function (event)
			return reply(event, 200, ("sessions %d\nmessages %d\ndraining %d"):format(
				sessions(), messages, draining and 1 or 0));
		end;
		["POST /drain"] = function (event)
			if event.request.headers.x_control ~= control then return 404; end
			draining = true;
			return reply(event, 200, "draining " .. machine);
		end;
		["POST /undrain"] = function (event)
			if event.request.headers.x_control ~= control then return 404; end
			draining = false;
			return reply(event, 200, "open " .. machine);
		end;
	};
});

-- Before the passwords are looked at. RFC 6120 has a condition that tells clients to try again, here or elsewhere.
module:hook("stanza/" .. xmlns_sasl .. ":auth", function (event)
	if not draining then return; end
	event.origin.send(st.stanza("failure", { xmlns = xmlns_sasl }):tag("temporary-auth-failure"):up()
		:text_tag("text", "This server takes no new sessions"));
	return true;
end, 1000);

local function count() messages = messages + 1; end
module:hook("message/bare", count, 1000);
module:hook("message/full", count, 1000);
