#include "config/service_ports.h"

#include "base/result.h"
#include "base/text.h"
#include "config/values.h"

#include <fmt/format.h>

#include <limits>

namespace bulkhead
{

namespace
{

constexpr std::size_t service_limit = 10'000;

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    const auto number = parse_unsigned(text);
    if (!number || *number == 0 || *number > std::numeric_limits<std::uint16_t>::max())
        return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

struct KnownPort {
    std::vector<std::string> names;
    std::uint16_t port = 0;
};

// One "name=name=port"; the error is the bare reason.
Result<KnownPort> parse_known(std::string_view entry)
{
    KnownPort known;
    std::string_view rest = entry;
    for (auto equals = rest.find('='); equals != rest.npos; equals = rest.find('=')) {
        const std::string_view name = trim(rest.substr(0, equals));
        if (name.empty())
            return Error{Fault::malformed, "missing service name before \"=\""};
        if (parse_unsigned(name))
            return Error{Fault::malformed, "numerical service name"};
        known.names.emplace_back(name);
        rest.remove_prefix(equals + 1);
    }
    rest = trim(rest);
    if (known.names.empty())
        return Error{Fault::malformed, "not of the form \"name=port\""};
    if (rest.empty())
        return Error{Fault::malformed, "missing port value after \"=\""};
    if (!parse_unsigned(rest))
        return Error{Fault::malformed, "non-numerical service port"};
    const auto port = parse_port(rest);
    if (!port)
        return Error{Fault::malformed, "no such port"};
    known.port = *port;
    return known;
}

} // namespace

std::vector<std::string> ServicePorts::add_known(std::string_view list)
{
    std::vector<std::string> faults;
    const auto complain = [&](std::string_view entry, std::string_view reason) {
        faults.push_back(fmt::format("known_tcp_ports: in \"{}\": {}", printable(entry), reason));
    };
    for (const std::string& element : parse_list(list)) {
        const std::string_view entry = without_braces(element);
        const auto known = parse_known(entry);
        if (!known) {
            complain(entry, known.error().context);
            continue;
        }
        for (const std::string& name : known->names)
            if (!ports_.emplace(name, known->port).second)
                complain(entry, "duplicate service name");
    }
    return faults;
}

void ServicePorts::add_services(std::string_view file)
{
    for (std::string_view line : split(file, "\n")) {
        line = line.substr(0, line.find('#'));
        auto words = split(line, " \t\r");
        if (words.size() < 2 || !words[1].ends_with("/tcp"))
            continue;
        const auto port = parse_port(words[1].substr(0, words[1].size() - 4));
        if (!port || ports_.size() >= service_limit)
            continue;
        words.erase(words.begin() + 1);
        for (const std::string_view name : words)
            ports_.emplace(name, *port);
    }
}

std::optional<std::uint16_t> ServicePorts::find(std::string_view service) const
{
    if (parse_unsigned(service))
        return parse_port(service);
    const auto found = ports_.find(service);
    return found == ports_.end() ? std::nullopt : std::optional(found->second);
}

} // namespace bulkhead
