// Templates of tables, keys and values from hostile bytes, and the names of servers: "template \0
// key \0 value".  What is promised: a key without the parts is not asked for, and nothing of a key
// comes into a question but through the quoting function.
#include "table/query_template.h"
#include "table/server_pool.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

static std::string_view take(std::string_view& rest)
{
    const auto end = rest.find('\0');
    const std::string_view part = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    return part;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    const std::string_view text = take(rest);
    const std::string_view key = take(rest);
    const ServerHost host = parse_server_host(text);
    require(host.text == text && host.name.size() <= text.size());
    const auto parsed = QueryTemplate::parse(text);
    if (!parsed)
        return 0;
    const AddressParts parts(key);
    std::size_t quoted = 0;
    const auto filled = parsed->fill(parts, [&](std::string_view part, std::string& out) {
        require(!part.empty() && key.find(part) != key.npos);
        quoted += part.size();
        out += std::string(part.size(), 'q');
        return true;
    });
    require(filled.has_value() == parsed->fits(parts));
    require(!filled || filled->size() <= text.size() + quoted);
    const auto formatted = parsed->format(rest, parts);
    require(!formatted || !rest.empty());
    return 0;
}
