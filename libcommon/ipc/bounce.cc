#include "ipc/bounce.h"

namespace bulkhead::ipc
{

Message encode(const BounceAppend& request)
{
    const RecipientLogEntry& e = request.entry;
    Message m(Kind::bounce_append);
    m.add("queue_id", request.queue_id).add("recipient", e.recipient).add("original", e.original_recipient);
    m.add("offset", e.offset.value_or(-1))
        .add("dsn_original", e.dsn_original)
        .add("notify", std::int64_t{e.notify});
    m.add("status", e.status).add("action", e.action).add("diag_type", e.diagnostic_type);
    m.add("diag_text", e.diagnostic_text).add("mta_type", e.remote_mta_type).add("mta_name", e.remote_mta);
    m.add("reason", e.reason);
    return m;
}

Message encode(const BounceFlush& r)
{
    Message m(Kind::bounce_flush);
    m.add("notice", static_cast<std::int64_t>(r.notice))
        .add("queue_name", r.queue_name)
        .add("queue_id", r.queue_id);
    m.add("encoding", r.encoding).add("sender", r.sender).add("envelope_id", r.envelope_id);
    m.add("ret_flags", std::int64_t{r.ret_flags}).add("send_options", std::int64_t{r.send_options});
    m.add("verp", r.verp).add("delay_cleared", std::int64_t{r.delay_cleared});
    return m;
}

namespace
{

// Fills strings from attributes; the first missing one is the error.
struct TextField {
    std::string_view name;
    std::string* into;
};

Result<> take(const Message& message, std::initializer_list<TextField> fields)
{
    for (const TextField& field : fields) {
        TRY(const auto value, message.text(field.name));
        *field.into = value;
    }
    return {};
}

} // namespace

Result<BounceAppend> decode_bounce_append(const Message& m)
{
    BounceAppend r;
    RecipientLogEntry& e = r.entry;
    TRY_VOID(take(m, {{"queue_id", &r.queue_id},
                      {"recipient", &e.recipient},
                      {"original", &e.original_recipient},
                      {"dsn_original", &e.dsn_original},
                      {"status", &e.status},
                      {"action", &e.action},
                      {"diag_type", &e.diagnostic_type},
                      {"diag_text", &e.diagnostic_text},
                      {"mta_type", &e.remote_mta_type},
                      {"mta_name", &e.remote_mta},
                      {"reason", &e.reason}}));
    TRY(const auto offset, m.number("offset"));
    if (offset >= 0)
        e.offset = offset;
    TRY(const auto notify, m.number("notify"));
    e.notify = static_cast<unsigned>(notify);
    return r;
}

Result<BounceFlush> decode_bounce_flush(const Message& m)
{
    BounceFlush r;
    TRY_VOID(take(m, {{"queue_name", &r.queue_name},
                      {"queue_id", &r.queue_id},
                      {"encoding", &r.encoding},
                      {"sender", &r.sender},
                      {"envelope_id", &r.envelope_id},
                      {"verp", &r.verp}}));
    if (!r.verp.empty() && r.verp.size() != 2)
        return Error{Fault::malformed, "bad VERP delimiters"};
    TRY(const auto delay_cleared, m.number("delay_cleared"));
    r.delay_cleared = delay_cleared != 0;
    TRY(const auto notice, m.number("notice"));
    if (notice < 0 || notice > static_cast<std::int64_t>(Notice::trace))
        return Error{Fault::malformed, "unknown kind of notice"};
    r.notice = static_cast<Notice>(notice);
    TRY(const auto ret_flags, m.number("ret_flags"));
    TRY(const auto send_options, m.number("send_options"));
    r.ret_flags = static_cast<unsigned>(ret_flags);
    r.send_options = static_cast<unsigned>(send_options);
    return r;
}

Task<Result<>> request_bounce(Service& service, Message request)
{
    const auto answer = co_await service.call(request);
    if (!answer)
        co_return Error(Fault::broken, answer.error().context);
    if (answer->kind() != Kind::ok)
        co_return Error(Fault::broken,
                        std::string(answer->find("reason").value_or("bounce service refused")));
    co_return Result<>();
}

} // namespace bulkhead::ipc
