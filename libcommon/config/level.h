// compatibility_level: up to three numbers, "3.6" or "2", compared as numbers.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace bulkhead
{

struct CompatibilityLevel {
    int major = 0;
    int minor = 0;
    int patch = 0;

    // nullopt for anything but N, N.N or N.N.N.
    static std::optional<CompatibilityLevel> parse(std::string_view text);
    auto operator<=>(const CompatibilityLevel&) const = default;
};

} // namespace bulkhead
