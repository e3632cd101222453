#include "milter/settings.h"

#include "base/text.h"
#include "config/values.h"
#include "log/log.h"

#include <netdb.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace bulkhead::milter
{

namespace
{

constexpr std::array<std::string_view, 5> default_names = {"accept", "tempfail", "reject", "quarantine",
                                                           "shutdown"};
constexpr std::size_t max_milters = 50;

Error bad(std::string_view element, std::string_view why)
{
    return {Fault::config, fmt::format("milter \"{}\": {}", printable(element), why)};
}

Result<> parse_endpoint(Settings& milter, std::string_view text)
{
    milter.name = text;
    const auto colon = text.find(':');
    const std::string_view kind = text.substr(0, std::min(colon, text.size()));
    const std::string_view place = colon == text.npos ? std::string_view() : text.substr(colon + 1);
    if (kind == "unix" || kind == "local") {
        if (place.empty() || place.size() > 100)
            return bad(text, "want unix:pathname");
        milter.path = place;
        return {};
    }
    const auto last = place.rfind(':');
    if (kind != "inet" || last == place.npos || last == 0 || last + 1 == place.size())
        return bad(text, "want inet:host:port or unix:pathname");
    std::string_view host = place.substr(0, last);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    milter.host = host;
    milter.port = place.substr(last + 1);
    return {};
}

Result<> parse_option(Settings& milter, std::string_view text)
{
    const auto equals = text.find('=');
    if (equals == text.npos)
        return bad(milter.name, fmt::format("want name=value, not \"{}\"", printable(text)));
    const std::string_view name = trim(text.substr(0, equals));
    const std::string_view value = trim(text.substr(equals + 1));
    const auto time = [&](Seconds& target) -> Result<> {
        TRY(const std::int64_t seconds, parse_seconds(value, 's'));
        if (seconds < 1)
            return bad(milter.name, "a time limit must be positive");
        target = Seconds(seconds);
        return {};
    };
    if (name == "connect_timeout")
        return time(milter.connect_timeout);
    if (name == "command_timeout")
        return time(milter.command_timeout);
    if (name == "content_timeout")
        return time(milter.content_timeout);
    if (name == "default_action") {
        TRY(milter.default_action, parse_default(value));
        return {};
    }
    if (name == "protocol") {
        TRY(const std::int64_t version, parse_int(value));
        milter.protocol = static_cast<unsigned>(version);
        TRY_VOID(offer_of(milter.protocol));
        return {};
    }
    return bad(milter.name, fmt::format("unknown option \"{}\"", printable(name)));
}

// A port number or the name of a service.
void resolve(Settings& milter)
{
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int fault = ::getaddrinfo(milter.host.c_str(), milter.port.c_str(), &hints, &found);
    if (fault != 0) {
        log::warn(
            fmt::format("milter {}: host or service not found: {}", milter.name, ::gai_strerror(fault)));
        return;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
    for (const addrinfo* one = found; one; one = one->ai_next)
        if (const auto address = SocketAddress::from_socket(one->ai_addr))
            milter.addresses.push_back(*address);
}

} // namespace

Result<Default> parse_default(std::string_view text)
{
    const auto found = std::ranges::find_if(
        default_names, [&](std::string_view name) { return equals_ignoring_case(name, text); });
    if (found == default_names.end())
        return Error{Fault::config, fmt::format("bad milter_default_action \"{}\"", printable(text))};
    return static_cast<Default>(found - default_names.begin());
}

std::string_view default_name(Default action)
{
    return default_names[static_cast<std::size_t>(action)];
}

Result<std::vector<Settings>> parse_milters(std::string_view list, const Params& params)
{
    std::vector<Settings> milters;
    for (const std::string& element : parse_list(list)) {
        Settings milter;
        milter.connect_timeout = params.connect_timeout();
        milter.command_timeout = params.command_timeout();
        milter.content_timeout = params.content_timeout();
        TRY(milter.default_action, parse_default(params.default_action()));
        TRY(const std::int64_t version, parse_int(params.protocol()));
        milter.protocol = static_cast<unsigned>(version);
        TRY_VOID(offer_of(milter.protocol));
        const auto parts = parse_list(without_braces(element));
        if (parts.empty())
            return bad(element, "want inet:host:port or unix:pathname");
        TRY_VOID(parse_endpoint(milter, parts.front()));
        for (std::size_t i = 1; i < parts.size(); ++i)
            TRY_VOID(parse_option(milter, without_braces(parts[i])));
        milters.push_back(std::move(milter));
        if (milters.size() > max_milters)
            return bad(element, "too many milters");
    }
    return milters;
}

void resolve(std::vector<Settings>& milters)
{
    for (Settings& milter : milters)
        if (milter.path.empty())
            resolve(milter);
}

Macros Macros::from(const Params& params)
{
    Macros macros;
    const std::pair<Stage, const Param<std::string>*> lists[] = {
        {Stage::connect, &params.connect_macros},
        {Stage::helo, &params.helo_macros},
        {Stage::mail, &params.mail_macros},
        {Stage::rcpt, &params.rcpt_macros},
        {Stage::data, &params.data_macros},
        {Stage::end_of_headers, &params.end_of_headers_macros},
        {Stage::end_of_message, &params.end_of_data_macros},
        {Stage::unknown, &params.unknown_macros},
    };
    for (const auto& [stage, list] : lists)
        for (const std::string_view name : split((*list)(), " \t\n,"))
            macros.names[static_cast<std::size_t>(stage)].emplace_back(name);
    for (const std::string& element : parse_list(params.macro_defaults())) {
        const std::string_view text = without_braces(element);
        const auto equals = text.find('=');
        if (equals != text.npos)
            macros.defaults.emplace_back(without_braces(trim(text.substr(0, equals))),
                                         trim(text.substr(equals + 1)));
    }
    return macros;
}

} // namespace bulkhead::milter
