#include "table/proxy_protocol.h"

#include "table/netstring.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace bulkhead
{

namespace
{

// By the values of the enumerations.
constexpr std::array<std::string_view, 4> op_names = {"find", "store", "remove", "after"};
constexpr std::array<std::string_view, 5> status_names = {"found", "absent", "done", "broken", "refused"};

void append_fields(std::string& out, std::span<const std::string_view> fields)
{
    std::string body;
    for (const std::string_view field : fields)
        append_netstring(body, field);
    append_netstring(out, body);
}

template <std::size_t count> Result<std::array<std::string_view, count>> parse_fields(std::string_view bytes)
{
    TRY(const std::optional<Netstring> message, parse_netstring(bytes, proxy_message_limit));
    if (!message || message->encoded != bytes.size())
        return Error{Fault::malformed, "a message is cut"};
    std::string_view rest = message->text;
    std::array<std::string_view, count> fields;
    for (std::string_view& field : fields) {
        TRY(const std::optional<Netstring> one, parse_netstring(rest, proxy_message_limit));
        if (!one)
            return Error{Fault::malformed, "a field is missing"};
        field = one->text;
        rest.remove_prefix(one->encoded);
    }
    if (!rest.empty())
        return Error{Fault::malformed, "too many fields"};
    return fields;
}

template <typename Names> std::optional<std::size_t> index_of(const Names& names, std::string_view name)
{
    const auto found = std::ranges::find(names, name);
    if (found == names.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
}

} // namespace

void append_message(std::string& out, const ProxyRequest& request)
{
    std::string flags;
    if (request.fold_fixed_keys)
        flags += 'k';
    if (request.fold_patterns)
        flags += 'p';
    if (request.is_alias_source)
        flags += 'a';
    const std::array<std::string_view, 5> fields = {op_names[static_cast<std::size_t>(request.op)],
                                                    request.table, flags, request.key, request.value};
    append_fields(out, fields);
}

void append_message(std::string& out, const ProxyReply& reply)
{
    const std::array<std::string_view, 3> fields = {status_names[static_cast<std::size_t>(reply.status)],
                                                    reply.key, reply.text};
    append_fields(out, fields);
}

Result<std::size_t> end_of_proxy_message(std::string_view bytes)
{
    TRY(const std::optional<Netstring> message, parse_netstring(bytes, proxy_message_limit));
    return message ? message->encoded : 0;
}

Result<ProxyRequest> parse_proxy_request(std::string_view bytes)
{
    TRY(const auto fields, parse_fields<5>(bytes));
    const auto op = index_of(op_names, fields[0]);
    if (!op || fields[1].empty() || fields[2].find_first_not_of("kpa") != std::string_view::npos)
        return Error{Fault::malformed, "an unknown request"};
    ProxyRequest request;
    request.op = static_cast<ProxyRequest::Op>(*op);
    request.table = fields[1];
    request.fold_fixed_keys = fields[2].find('k') != std::string_view::npos;
    request.fold_patterns = fields[2].find('p') != std::string_view::npos;
    request.is_alias_source = fields[2].find('a') != std::string_view::npos;
    request.key = fields[3];
    request.value = fields[4];
    return request;
}

Result<ProxyReply> parse_proxy_reply(std::string_view bytes)
{
    TRY(const auto fields, parse_fields<3>(bytes));
    const auto status = index_of(status_names, fields[0]);
    if (!status)
        return Error{Fault::malformed, "an unknown reply"};
    return ProxyReply{static_cast<ProxyReply::Status>(*status), std::string(fields[1]),
                      std::string(fields[2])};
}

} // namespace bulkhead
