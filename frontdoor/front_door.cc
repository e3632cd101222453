#include "front_door.h"

#include "dialogue.h"
#include "login_name.h"

#include "config/front_door.h"
#include "log/log.h"
#include "smtp/reply.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Seconds table_check_interval{1};

// Sessions that wait for one environment; the rest of them is for the others.
constexpr std::size_t share_of_one = 4;

} // namespace

FrontDoor::FrontDoor() = default;
FrontDoor::~FrontDoor() = default;

Result<MatchList> FrontDoor::open_list(const Param<std::string>& param, ListKind kind) const
{
    ListOptions options;
    options.kind = kind;
    auto list = MatchList::open(param(), options);
    if (!list)
        return Error{Fault::config, fmt::format("{}: {}: {}", config().place(param.name()), param.name(),
                                                list.error().context)};
    return list;
}

Result<> FrontDoor::before_jail()
{
    const auto bad = [this](const ParamBase& param, std::string_view reason) {
        return Error{Fault::config,
                     fmt::format("{}: {}: {}", config().place(param.name()), param.name(), reason)};
    };
    if (!params_.upstream_protocol().empty() && params_.upstream_protocol() != "haproxy")
        return bad(params_.upstream_protocol, "must be empty or haproxy");
    for (const std::string& mechanism : params_.mechanisms())
        if (!tells_name_first(mechanism))
            return bad(params_.mechanisms, mechanism + " does not begin with the login name");
    service_.name = service_name();
    service_.myhostname = common().myhostname();
    service_.decisions.emplace(params_);
    const auto sessions = static_cast<std::size_t>(common().session_limit());
    service_.environments.emplace(params_.handover_timeout(),
                                  std::max<std::size_t>(1, sessions / share_of_one));
    service_.offers = Offers::of_all(config(), params_);
    auto tls = tls::open_own_server(params_.tls, params_.level(), service_name());
    if (tls)
        service_.tls = *std::move(tls);
    else
        log::warn(fmt::format("{}: disabling TLS support", tls.error().context));
    TRY(service_.forbidden_commands, open_list(params_.forbidden_commands, ListKind::strings));
    TRY(service_.upstream_proxies, open_list(params_.upstream_hosts, ListKind::addresses));
    TRY(service_.xclient_hosts, open_list(params_.xclient_hosts, ListKind::addresses));
    TRY(service_.unlimited_clients, open_list(params_.limit_exceptions, ListKind::addresses));
    return {};
}

Result<> FrontDoor::after_jail()
{
    const std::string folder(front_door_folder);
    if (::access(folder.c_str(), X_OK) != 0)
        log::warn(
            "no environment takes sessions: each needs a service \"frontdoor\" of type pass, and this one "
            "belongs into the primary environment");
    return {};
}

void FrontDoor::hand_over_if_stale()
{
    const SteadyTime now = SteadyClock::now();
    if (is_draining() || now - tables_checked_ < table_check_interval)
        return;
    tables_checked_ = now;
    if (!service_.decisions->is_stale() && !service_.forbidden_commands.is_stale() &&
        !service_.upstream_proxies.is_stale() && !service_.xclient_hosts.is_stale() &&
        !service_.unlimited_clients.is_stale())
        return;
    log::info("table has changed -- restarting");
    retire();
}

std::string FrontDoor::refusal() const
{
    return Reply(421, "4.3.2", common().myhostname() + " Error: too many sessions, try again later").wire();
}

Task<> FrontDoor::serve(Session& client)
{
    hand_over_if_stale();
    Dialogue dialogue(client.stream, service_);
    co_await dialogue.run();
}

} // namespace bulkhead
