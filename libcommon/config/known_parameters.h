// The names that main.cf may hold: every built-in parameter of the compatible
// release, older names that are still accepted, newer ones, and our own, with
// default, type and area.  A constant table, sorted by name, so a lookup costs a
// binary search and start-up costs nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace bulkhead
{

enum class ParameterOrigin : std::uint8_t {
    builtin, // listed by postconf -d
    service, // of one transport, with a default of its own
    legacy,  // accepted, not listed
    later,   // newer than the compatible release
    own,     // ours: own_parameters.inc
};

struct KnownParameter {
    std::string_view name;
    std::string_view default_value; // an expression; may contain $name
    std::string_view type;          // "bool", "time unit=s [1..]", "table list", ...
    std::string_view area;
    std::uint8_t tier; // 0 accepted and without effect, 1..3 by importance
    ParameterOrigin origin;
};

// By name, ascending.  Defaults are the compatible release's; what our product
// says instead (names, folders, versions) is in product_default().
std::span<const KnownParameter> known_parameters();
const KnownParameter* find_known_parameter(std::string_view name);

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
