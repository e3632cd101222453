// What an XCLIENT or XFORWARD command may hold: values end up in log lines, headers and queue
// files, and refusals in replies; none of them brings a line end or a control byte along.
#include "client_attributes.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require_clean(std::string_view text)
{
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }))
        std::abort();
}

static void require_clean(const Reply& reply)
{
    for (const std::string& line : reply.lines)
        require_clean(line);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto client = parse_xclient(text, Peer())) {
        for (const std::string& value : {client->peer.name, client->peer.reverse_name, client->peer.address,
                                         client->helo.value_or(""), client->login.value_or("")})
            require_clean(value);
    } else {
        require_clean(client.error());
    }
    if (const auto client = parse_xforward(text, Forwarded())) {
        for (const std::string& value : {client->name, client->address, client->port, client->protocol,
                                         client->helo, client->ident, client->label()})
            require_clean(value);
    } else {
        require_clean(client.error());
    }
    return 0;
}
