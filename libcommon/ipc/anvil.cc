#include "ipc/anvil.h"

#include "ipc/trace.h"
#include "os/files.h"

#include <fmt/format.h>

namespace bulkhead::ipc
{

Message encode(const ClientReport& report)
{
    Message message(Kind::client_event);
    message.add("event", static_cast<std::int64_t>(report.event)).add("client", report.client);
    return message;
}

Message encode(const ClientCounts& counts)
{
    Message message(Kind::ok);
    message.add("connections", counts.connections).add("rate", counts.rate);
    return message;
}

Result<ClientReport> decode_client_report(const Message& message)
{
    TRY(const std::int64_t event, message.number("event"));
    TRY(const std::string_view client, message.text("client"));
    if (event < 0 || event > static_cast<std::int64_t>(ClientEvent::tls_rate))
        return Error{Fault::malformed, fmt::format("unknown client event {}", event)};
    if (client.empty() || client.size() > client_name_limit)
        return Error{Fault::malformed, "bad name of a client"};
    return ClientReport{static_cast<ClientEvent>(event), std::string(client)};
}

Result<ClientCounts> decode_client_counts(const Message& message)
{
    if (message.kind() != Kind::ok)
        return Error{Fault::broken, std::string(message.find("reason").value_or("refused"))};
    TRY(const std::int64_t connections, message.number("connections"));
    TRY(const std::int64_t rate, message.number("rate"));
    ClientCounts counts;
    counts.connections = static_cast<int>(connections);
    counts.rate = static_cast<int>(rate);
    return counts;
}

Task<Result<ClientCounts>> Anvil::ask(const Message& request)
{
    Stream& stream = *stream_;
    stream.set_deadline(SteadyClock::now() + time_limit);
    CO_TRY_VOID(co_await send(stream, request));
    CO_TRY(const Message answer, co_await receive(stream));
    trace_received(path_, answer);
    co_return decode_client_counts(answer);
}

Task<Result<ClientCounts>> Anvil::report(ClientReport report)
{
    const Message request = encode(report);
    const auto permit = co_await turn_.acquire();
    trace_sent(path_, request);
    const bool kept = stream_ != nullptr;
    for (int attempt = kept ? 0 : 1;; ++attempt) {
        if (!stream_) {
            CO_TRY(UniqueFd fd, connect_unix(path_));
            stream_ = std::make_unique<Stream>(std::move(fd));
        }
        auto counts = co_await ask(request);
        if (counts)
            co_return counts;
        stream_.reset();
        // The counting process has left since: another one counts from zero.
        if (attempt > 0 || counts.error().fault != Fault::closed)
            co_return Error(Fault::broken, fmt::format("{}: {}", path_, counts.error().context));
    }
}

} // namespace bulkhead::ipc
