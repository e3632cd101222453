// master.cf: one service per logical line, eight columns, then the command's
// arguments.  Syntax and meaning of the columns only: whether a program or a port exists is
// the master's business.  (compat/feature-map.md, 0)
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/level.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead
{

enum class ServiceType : std::uint8_t { inet, unix_stream, unix_dgram, fifo, pass };

// "inet", "unix", "unix-dgram", "fifo", "pass".
std::string_view service_type_name(ServiceType type);
std::optional<ServiceType> parse_service_type(std::string_view text);

// The name of an inet service: [host:]port.  host is empty for "every address of
// inet_interfaces", without brackets for an IPv6 literal; port is a number or a service name.
struct InetEndpoint {
    std::string host;
    std::string port;

    static Result<InetEndpoint> parse(std::string_view name);
};

struct ServiceEntry {
    std::string name; // as written
    ServiceType type = ServiceType::unix_stream;
    bool is_private = true;
    bool unprivileged = true;
    bool chroot = false;
    Seconds wakeup{0};                // 0: never
    bool wakeup_only_if_used = false; // "60?"
    std::optional<int> process_limit; // nullopt: default_process_limit; 0: no limit
    std::string command;

    // What follows the command, for exec: braces removed, "-o name=value" always as two words.
    std::vector<std::string> arguments;

    // The same, understood: -o assignments in order, -v count, -D.  Other
    // words (pipe's flags= user= argv=...) are in plain_arguments.
    std::vector<std::string> overrides;
    std::vector<std::string> plain_arguments;
    int verbosity = 0;
    bool debugger = false;

    // As written, for postconf -M: the eight columns and the argument words with braces.
    std::vector<std::string> columns;
    std::vector<std::string> written_arguments;

    std::string file;
    int line = 0;

    std::string place() const;    // "/etc/x/master.cf: line 9"
    std::string identity() const; // "smtp/inet"
};

struct MasterCf {
    static constexpr std::size_t size_limit = 1 << 20;
    static constexpr std::size_t count_limit = 5000;
    static constexpr std::size_t argument_limit = 2000;

    std::vector<ServiceEntry> services; // in file order; a duplicate has replaced the earlier one
    std::vector<std::string> warnings;

    // Below level 1 the chroot column's default is y.
    static Result<MasterCf> read(const std::string& path, CompatibilityLevel level);
    static Result<MasterCf> parse(std::string_view text, std::string_view file, CompatibilityLevel level);

    const ServiceEntry* find(std::string_view name, ServiceType type) const;
};

// master_service_disable: elements "type", "name/type", "all"; true if one of them
// names this service.
bool is_disabled(const ServiceEntry& service, const std::vector<std::string>& disable_list);

} // namespace bulkhead
