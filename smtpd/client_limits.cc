#include "client_limits.h"

#include "async/address.h"
#include "config/config.h"
#include "log/log.h"
#include "table/ask.h"
#include "table/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using Event = ipc::ClientEvent;

constexpr Seconds warning_interval{60}; // between two complaints about anvil

// The network of this length that the address is in.
std::string masked(IpAddress address, int prefix)
{
    for (int bit = prefix; bit < address.size * 8; ++bit)
        address.bytes[static_cast<std::size_t>(bit / 8)] &=
            static_cast<std::uint8_t>(~(0x80u >> static_cast<unsigned>(bit % 8)));
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(address.size == 4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
    return fmt::format("{}/{}", text, prefix);
}

} // namespace

Result<std::unique_ptr<ClientLimits>> ClientLimits::open(const Config& config, const SmtpdParams& params,
                                                         std::string service)
{
    std::unique_ptr<ClientLimits> limits(new ClientLimits(params, std::move(service)));
    const auto is_set = [&](Event event) { return limits->limit_of(event) > 0; };
    const std::array events = {Event::connect, Event::message, Event::recipient, Event::new_tls, Event::auth};
    if (std::ranges::none_of(events, is_set) && params.connection_count_limit() == 0)
        return std::unique_ptr<ClientLimits>();
    ListOptions options;
    options.kind = ListKind::addresses;
    const Param<std::string>& list = params.limit_exceptions;
    auto exceptions = MatchList::open(list(), options);
    if (!exceptions)
        return Error{Fault::config, fmt::format("{}: {}: {}", config.place(list.name()), list.name(),
                                                exceptions.error().context)};
    limits->exceptions_ = *std::move(exceptions);
    return limits;
}

int ClientLimits::limit_of(Event event) const
{
    switch (event) {
    case Event::connect:
        return params_.connection_rate_limit();
    case Event::message:
        return params_.message_rate_limit();
    case Event::recipient:
        return params_.recipient_rate_limit();
    case Event::new_tls:
    case Event::tls_rate:
        return params_.new_tls_rate_limit();
    case Event::auth:
        return params_.auth_rate_limit();
    case Event::disconnect:
        break;
    }
    return 0;
}

std::string ClientLimits::client_name(const Peer& client) const
{
    const auto address = IpAddress::parse(client.address);
    const int prefix = client.v6 ? params_.ipv6_prefix() : params_.ipv4_prefix();
    const bool whole = !address || prefix >= address->size * 8;
    return fmt::format("{}:{}", service_, whole ? client.address : masked(*address, prefix));
}

Task<bool> ClientLimits::applies_to(const Peer& client) const
{
    if (!client.network)
        co_return false;
    const auto match = [&] { return exceptions_.match(client.address); };
    const ListMatch excepted = co_await ask(exceptions_.may_block(), match);
    co_return !excepted;
}

// A server that cannot count serves on.
void ClientLimits::warn_of_failure(const Error& error)
{
    const SteadyTime now = SteadyClock::now();
    if (warned_ != SteadyTime{} && now - warned_ < warning_interval)
        return;
    warned_ = now;
    log::warn(fmt::format("client limits are not applied: {}", error.context));
}

Task<std::optional<LimitExcess>> ClientLimits::count(Event event, const Peer& client)
{
    const int limit = limit_of(event);
    const bool connection = event == Event::connect || event == Event::disconnect;
    if (limit == 0 && !connection)
        co_return std::nullopt;
    ipc::ClientReport report;
    report.event = event;
    report.client = client_name(client);
    const auto counts = co_await anvil_.report(std::move(report));
    if (!counts) {
        warn_of_failure(counts.error());
        co_return std::nullopt;
    }
    if (event == Event::disconnect)
        co_return std::nullopt;
    const int most = params_.connection_count_limit();
    LimitExcess excess;
    if (event == Event::connect && most > 0 && counts->connections > most) {
        excess.name = "Connection concurrency";
        excess.count = counts->connections;
    } else if (limit > 0 && counts->rate > limit) {
        excess.name = event == Event::connect     ? "Connection rate"
                      : event == Event::message   ? "Message delivery request rate"
                      : event == Event::recipient ? "Recipient address rate"
                      : event == Event::auth      ? "AUTH command rate"
                                                  : "New TLS session rate";
        excess.count = counts->rate;
    } else {
        co_return std::nullopt;
    }
    co_return excess;
}

} // namespace bulkhead
