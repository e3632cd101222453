#include "ipc/delivery.h"

#include "base/text.h"

#include <charconv>

#include <fmt/format.h>

namespace bulkhead::ipc
{

namespace
{

std::string time_text(WallTime time)
{
    return fmt::format("{}.{:06}", time.seconds, time.microseconds);
}

Result<WallTime> parse_time(std::string_view text)
{
    const auto dot = text.find('.');
    const auto seconds = parse_unsigned(text.substr(0, dot));
    const auto microseconds =
        dot == std::string_view::npos ? std::nullopt : parse_unsigned(text.substr(dot + 1));
    if (!seconds || !microseconds || *microseconds >= 1'000'000)
        return Error{Fault::malformed, "delivery request with a bad time"};
    return WallTime{static_cast<std::int64_t>(*seconds), static_cast<std::int32_t>(*microseconds)};
}

} // namespace

Message encode(const DeliveryRequest& r)
{
    Message m(Kind::deliver);
    m.add("queue_name", r.queue_name)
        .add("queue_id", r.queue_id)
        .add("nexthop", r.nexthop)
        .add("sender", r.sender);
    if (!r.log_place.empty())
        m.add("log_place", r.log_place);
    m.add("encoding", r.encoding).add("envelope_id", r.envelope_id).add("rewrite_context", r.rewrite_context);
    m.add("ret_flags", std::int64_t{r.ret_flags}).add("trace_flags", std::int64_t{r.trace_flags});
    m.add("send_options", std::int64_t{r.send_options}).add("data_offset", r.data_offset);
    m.add("content_length", r.content_length).add("arrival", time_text(r.arrival));
    m.add("active_since", time_text(r.active_since)).add("handed_over", time_text(r.handed_over));
    for (const DeliveryRecipient& recipient : r.recipients) {
        m.add("recipient", recipient.address).add("offset", recipient.offset);
        if (!recipient.original.empty())
            m.add("original", recipient.original);
        if (!recipient.dsn_original.empty())
            m.add("dsn_original", recipient.dsn_original);
        if (recipient.notify != 0)
            m.add("notify", std::int64_t{recipient.notify});
    }
    return m;
}

// "recipient" begins the next one; what follows belongs to it.
static Result<> decode_recipients(const Message& message, DeliveryRequest& request)
{
    Message::Walk walk = message.walk();
    const auto number = [](std::string_view digits, std::int64_t& value) {
        const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return fault == std::errc{} && end == digits.data() + digits.size();
    };
    while (const auto attribute = walk.next()) {
        if (attribute->name == "recipient") {
            request.recipients.emplace_back();
            request.recipients.back().address = attribute->value;
            continue;
        }
        if (request.recipients.empty())
            continue;
        DeliveryRecipient& recipient = request.recipients.back();
        std::int64_t notify = 0;
        if (attribute->name == "original")
            recipient.original = attribute->value;
        else if (attribute->name == "dsn_original")
            recipient.dsn_original = attribute->value;
        else if (attribute->name == "offset" && !number(attribute->value, recipient.offset))
            return Error{Fault::malformed, "delivery request with a bad offset"};
        else if (attribute->name == "notify" && !number(attribute->value, notify))
            return Error{Fault::malformed, "delivery request with bad notify flags"};
        if (notify != 0)
            recipient.notify = static_cast<unsigned>(notify);
    }
    if (request.recipients.empty())
        return Error{Fault::malformed, "delivery request without recipients"};
    return {};
}

Result<DeliveryRequest> decode_delivery_request(const Message& message)
{
    DeliveryRequest r;
    const auto text = [&](std::string_view name, std::string& into) -> Result<> {
        TRY(const auto value, message.text(name));
        into = value;
        return {};
    };
    const auto time = [&](std::string_view name, WallTime& into) -> Result<> {
        TRY(const auto value, message.text(name));
        TRY(into, parse_time(value));
        return {};
    };
    TRY_VOID(text("queue_name", r.queue_name));
    TRY_VOID(text("queue_id", r.queue_id));
    r.log_place = message.find("log_place").value_or("");
    TRY_VOID(text("nexthop", r.nexthop));
    TRY_VOID(text("sender", r.sender));
    TRY_VOID(text("encoding", r.encoding));
    TRY_VOID(text("envelope_id", r.envelope_id));
    TRY_VOID(text("rewrite_context", r.rewrite_context));
    TRY_VOID(time("arrival", r.arrival));
    TRY_VOID(time("active_since", r.active_since));
    TRY_VOID(time("handed_over", r.handed_over));
    TRY(const auto ret_flags, message.number("ret_flags"));
    TRY(const auto trace_flags, message.number("trace_flags"));
    TRY(const auto send_options, message.number("send_options"));
    TRY(r.data_offset, message.number("data_offset"));
    TRY(r.content_length, message.number("content_length"));
    r.ret_flags = static_cast<unsigned>(ret_flags);
    r.trace_flags = static_cast<unsigned>(trace_flags);
    r.send_options = static_cast<unsigned>(send_options);
    TRY_VOID(decode_recipients(message, r));
    return r;
}

Message encode(const DeliveryReport& report)
{
    Message m(Kind::ok);
    std::string letters;
    for (const DeliveryOutcome outcome : report.outcomes)
        letters += outcome == DeliveryOutcome::sent ? 's' : outcome == DeliveryOutcome::bounced ? 'b' : 'd';
    m.add("outcomes", letters).add("site_dsn", report.site_dsn).add("site_reason", report.site_reason);
    return m;
}

Result<DeliveryReport> decode_delivery_report(const Message& message)
{
    DeliveryReport report;
    TRY(const auto letters, message.text("outcomes"));
    for (const char letter : letters) {
        if (letter != 's' && letter != 'b' && letter != 'd')
            return Error{Fault::malformed, "delivery report with an unknown outcome"};
        report.outcomes.push_back(letter == 's'   ? DeliveryOutcome::sent
                                  : letter == 'b' ? DeliveryOutcome::bounced
                                                  : DeliveryOutcome::deferred);
    }
    TRY(const auto dsn, message.text("site_dsn"));
    TRY(const auto reason, message.text("site_reason"));
    report.site_dsn = dsn;
    report.site_reason = reason;
    return report;
}

} // namespace bulkhead::ipc
