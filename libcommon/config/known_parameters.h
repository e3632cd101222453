// The names that main.cf may hold: every built-in parameter of the compatible
// release, older names that are still accepted, newer ones, and our own, with
// default, type, area, help and what they do here.  A constant table
// (known_parameters.inc), sorted by name: a lookup costs a binary search, start-up nothing.
// All views point into the table.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bulkhead
{

enum class ParameterOrigin : std::uint8_t {
    builtin, // listed by postconf -d
    service, // of one transport, with a default of its own
    legacy,  // accepted, not listed
    later,   // newer than the compatible release
    own,     // not Postfix's
};

enum class ParameterStatus : std::uint8_t {
    in_effect, // a program reads it and does what it says
    accepted,  // needs no effect here
    not_yet,   // known, but without effect so far: setting it is warned of
};

// "in effect", "accepted, no effect needed", "known, not implemented yet".
std::string_view status_text(ParameterStatus status);

struct KnownParameter {
    std::string_view name;
    ParameterStatus status{};
    ParameterOrigin origin{};
    std::uint8_t tier = 0;          // 0 no effect needed, 1..3 by importance
    std::string_view area;          // "smtpd", "tls", ...
    std::string_view type;          // "bool", "time unit=s [1..]", "table list", ...
    std::string_view default_value; // an expression; may contain $name
    std::string_view help;          // one line, never empty
};

// By name, ascending.  Defaults are the compatible release's; what our product
// says instead (names, folders, versions) is in product_default().
std::vector<KnownParameter> known_parameters();
std::optional<KnownParameter> find_known_parameter(std::string_view name);

// What is known of a name, also of one that is made of a transport's name and a suffix
// ("relay_destination_rate_delay"): then all but name, default and origin
// are those of the common parameter.  nullopt for a name that nobody knows.  The
// views point into the table and, for a transport's name, into the argument and the table.
std::optional<KnownParameter> describe_parameter(std::string_view name);

// Our own default where it differs from the table's: mail_name, mail_version,
// mail_owner, folders below the installation, ...
std::optional<std::string_view> product_default(std::string_view name);

// "x_destination_concurrency_limit" -> {transport "x", default name
// "default_destination_concurrency_limit"}; nullopt if no per-transport
// suffix ends the name.
struct TransportName {
    std::string_view transport;
    std::string_view suffix; // with the leading underscore
    std::string_view default_name;
};
std::optional<TransportName> split_transport_name(std::string_view name);

// The default_ name of a suffix such as "_destination_concurrency_limit"; empty if
// it is not a per-transport suffix.
std::string_view transport_default_name(std::string_view suffix);

// All of them: "_delivery_slot_cost", ...
std::vector<std::string_view> transport_suffixes();

} // namespace bulkhead
