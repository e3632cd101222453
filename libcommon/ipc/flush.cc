#include "ipc/flush.h"

namespace bulkhead::ipc
{

namespace
{
constexpr std::size_t max_sites = 10'000;
}

Message encode(const FlushAdd& request)
{
    Message message(Kind::flush_add);
    message.add("queue_id", request.queue_id);
    for (const std::string& site : request.sites)
        message.add("site", site);
    return message;
}

Message encode_flush_site(std::string_view site)
{
    Message message(Kind::flush_site);
    message.add("site", site);
    return message;
}

Message encode_flush_answer(FlushAnswer answer)
{
    Message message(Kind::ok);
    message.add("answer", static_cast<std::int64_t>(answer));
    return message;
}

Result<FlushAdd> decode_flush_add(const Message& message)
{
    FlushAdd request;
    TRY(const auto id, message.text("queue_id"));
    request.queue_id = id;
    Message::Walk walk = message.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name != "site")
            continue;
        if (request.sites.size() >= max_sites)
            return Error{Fault::limit, "too many sites of one message"};
        request.sites.emplace_back(attribute->value);
    }
    return request;
}

Result<std::string> decode_flush_site(const Message& message)
{
    TRY(const auto site, message.text("site"));
    return std::string(site);
}

Result<FlushAnswer> decode_flush_answer(const Message& message)
{
    TRY(const auto answer, message.number("answer"));
    if (answer < 0 || answer > static_cast<std::int64_t>(FlushAnswer::refused))
        return Error{Fault::malformed, "unknown answer of the flush service"};
    return static_cast<FlushAnswer>(answer);
}

Task<FlushAnswer> flush_site(Service& flush, std::string site)
{
    const Message request = encode_flush_site(site);
    const auto answer = co_await flush.call(request);
    if (!answer || answer->kind() != Kind::ok)
        co_return FlushAnswer::unavailable;
    const auto decoded = decode_flush_answer(*answer);
    co_return decoded ? *decoded : FlushAnswer::unavailable;
}

} // namespace bulkhead::ipc
