// The words that master, front door and administrators share about the port of many environments.
#pragma once

#include <string_view>

namespace bulkhead
{

// A service of this name and of type pass takes an environment's sessions from the front door.
inline constexpr std::string_view front_door_service = "frontdoor";

// In the spool of the primary environment: one socket per environment, by its name.
inline constexpr std::string_view front_door_folder = "frontdoor";

// The primary environment in tables.
inline constexpr std::string_view primary_name = "-";

} // namespace bulkhead
