#include "incoming_record.h"

#include "base/text.h"
#include "spool/envelope.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

Error bad(std::string text)
{
    return {Fault::malformed, std::move(text)};
}

constexpr std::array<std::string_view, 26> message_attributes = {
    "envelope_id",         "ret_flags",          "log_ident",     "rewrite_context",     "sasl_method",
    "sasl_username",       "sasl_sender",        "encoding",      "log_client_name",     "log_client_address",
    "log_client_port",     "log_message_origin", "log_helo_name", "log_protocol_name",   "client_name",
    "reverse_client_name", "client_address",     "client_port",   "client_address_type", "server_address",
    "server_port",         "helo_name",          "protocol_name", "trace_flags",         "message_id",
    "proxy_client_address"};

// Private attributes of our own, that other programs pass over.
constexpr std::string_view own_prefix = "x_bulkhead_";

bool is_number_up_to(std::string_view text, std::uint64_t limit)
{
    const auto number = parse_unsigned(text);
    return number && *number <= limit;
}

Result<> check_attribute(const AttributeView& attribute)
{
    const auto [name, value] = attribute;
    const bool good = name == "ret_flags"         ? is_number_up_to(value, 3)
                      : name == "notify_flags"    ? is_number_up_to(value, 15)
                      : name == "encoding"        ? value == "7bit" || value == "8bit" || value.empty()
                      : name == "rewrite_context" ? value == "local" || value == "remote"
                      : name == "dsn_orig_rcpt"   ? value.find(';') != value.npos
                      : name == "trace_flags"
                          ? is_number_up_to(value, trace_flag::probe | trace_flag::verify_only |
                                                       trace_flag::record | trace_flag::delay_sent)
                          : true;
    if (!good)
        return bad(fmt::format("bad value of the attribute {}", name));
    return {};
}

bool is_arrival_time(std::string_view text)
{
    const auto fields = split(text, " ");
    return (fields.size() == 1 || (fields.size() == 2 && is_number_up_to(fields[1], 999'999))) &&
           is_number_up_to(fields[0], INT64_MAX / 4);
}

} // namespace

AttributeUse use_of_attribute(std::string_view name)
{
    if (name == "notify_flags" || name == "dsn_orig_rcpt")
        return AttributeUse::recipient;
    if (name.starts_with(own_prefix) ||
        std::ranges::find(message_attributes, name) != message_attributes.end())
        return AttributeUse::message;
    return AttributeUse::dropped;
}

Result<> check_record(Segment segment, const Record& record)
{
    constexpr std::string_view in_envelope = "TFILSORVA>M";
    constexpr std::string_view in_extracted = "LORA>E";
    const std::string_view allowed = segment == Segment::envelope ? in_envelope : in_extracted;
    const char type = static_cast<char>(record.type);
    if (allowed.find(type) == allowed.npos)
        return bad(fmt::format("record type {} in the wrong place", static_cast<int>(record.type)));
    if (record.data.size() > max_envelope_record)
        return bad(fmt::format("{} bytes in a record of type {}", record.data.size(), type));
    if (record.data.find_first_of(std::string_view("\0\r\n", 3)) != record.data.npos)
        return bad(fmt::format("control character in a record of type {}", type));
    switch (type) {
    case 'A': {
        const auto attribute = parse_attribute(record.data);
        return attribute ? check_attribute(*attribute) : Result<>(bad("attribute without a name"));
    }
    case 'T':
        return is_arrival_time(record.data) ? Result<>() : Result<>(bad("bad arrival time"));
    case 'V':
        return record.data.size() == 2 ? Result<>() : Result<>(bad("bad VERP delimiters"));
    case 'M':
    case 'E':
        return record.data.empty() ? Result<>() : Result<>(bad("data in an empty record"));
    case 'R':
        return record.data.empty() ? Result<>(bad("empty recipient")) : Result<>();
    default:
        return {};
    }
}

} // namespace bulkhead
